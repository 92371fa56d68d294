"""Muon without weight decay; after each update the norm of all weights is what it was at the start."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "muon",
    "weight_decay": 0.0,
    "adamw_weight_decay": 0.0,
    "epsilon": 1e-8,
    "momentum": 0.95,
    "beta1": 0.9,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
    "weight_clamp.name": "initial_norm",
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 0.01, "high": 0.3},
    "adamw_learning_rate": {"kind": "log", "low": 5e-3, "high": 0.1},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
