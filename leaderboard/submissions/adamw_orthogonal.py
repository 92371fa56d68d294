"""AdamW on gradients without their part along the weights (Prieto et al., arXiv 2501.04697)."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "adamw",
    "epsilon": 1e-8,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
    "gradient_projection": "orthogonal",
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 8e-3, "high": 0.12},
    "weight_decay": {"kind": "log", "low": 0.15, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
