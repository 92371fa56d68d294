"""Adam (Kingma and Ba, arXiv 1412.6980) with coupled weight decay."""

RULESET = "tuned"
SETTINGS = {"optimizer.name": "adam", "epsilon": 1e-8, "schedule.name": "cosine", "schedule.warmup_steps": 10}
SPACE = {
    "learning_rate": {"kind": "log", "low": 5e-3, "high": 0.12},
    "weight_decay": {"kind": "log", "low": 1e-6, "high": 1e-3},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
