"""Muon (Jordan et al. 2024) for hidden matrices, AdamW for the rest."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "muon",
    "epsilon": 1e-8,
    "momentum": 0.95,
    "beta1": 0.9,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 0.01, "high": 0.3},
    "weight_decay": {"kind": "log", "low": 0.05, "high": 2.0},
    "adamw_learning_rate": {"kind": "log", "low": 5e-3, "high": 0.1},
    "adamw_weight_decay": {"kind": "log", "low": 0.08, "high": 5.0},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
