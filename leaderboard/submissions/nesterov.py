"""SGD with Nesterov momentum (Sutskever et al. 2013) and coupled weight decay."""

RULESET = "tuned"
SETTINGS = {"optimizer.name": "nesterov", "schedule.name": "cosine", "schedule.warmup_steps": 10}
SPACE = {
    "learning_rate": {"kind": "log", "low": 0.1, "high": 300.0},
    "decay_rate": {"kind": "log", "low": 1e-5, "high": 0.03},
    "momentum": {"kind": "linear", "low": 0.5, "high": 0.95},
}
