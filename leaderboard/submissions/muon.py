"""Muon (Jordan et al. 2024) for hidden matrices, AdamW for the rest."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "muon",
    "epsilon": 1e-8,
    "momentum": 0.95,
    "beta1": 0.9,
    "schedule.warmup_steps": 10,
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 0.01, "high": 0.3},
    "decay_rate": {"kind": "log", "low": 3e-3, "high": 0.3},
    "adamw_learning_rate": {"kind": "log", "low": 5e-3, "high": 0.08},
    "rest_decay_rate": {"kind": "log", "low": 3e-3, "high": 0.1},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
