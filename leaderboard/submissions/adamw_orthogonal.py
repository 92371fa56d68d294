"""AdamW on gradients without their part along the weights (Prieto et al., arXiv 2501.04697)."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "adamw",
    "epsilon": 1e-8,
    "schedule.warmup_steps": 10,
    "gradient_projection": "orthogonal",
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 5e-3, "high": 0.08},
    "decay_rate": {"kind": "log", "low": 3e-3, "high": 0.1},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
