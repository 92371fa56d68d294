"""AdamW on gradients whose slow part is amplified (Grokfast-EMA, Lee et al., arXiv 2405.20233)."""

RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "adamw",
    "epsilon": 1e-8,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
    "gradient_filter.name": "grokfast_ema",
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 8e-3, "high": 0.12},
    "weight_decay": {"kind": "log", "low": 0.15, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
    "gradient_filter.decay": {"kind": "linear", "low": 0.5, "high": 0.98},
    "gradient_filter.amplitude": {"kind": "log", "low": 0.1, "high": 5.0},
}
