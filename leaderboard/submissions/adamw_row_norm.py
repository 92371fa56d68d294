"""AdamW without weight decay; after each update no row of a weight matrix is longer than a limit."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "adamw",
    "weight_decay": 0.0,
    "epsilon": 1e-8,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
    "weight_clamp.name": "row_norm",
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 5e-3, "high": 0.12},
    "weight_clamp.max_norm": {"kind": "log", "low": 0.2, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
