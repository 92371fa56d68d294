"""AdamW whose weights keep their norm, at the best of fifteen points of `adamw_hyperball`."""

RULESET = "open"
WORKLOAD = "quadratic_mlp"
DATE = "2026-11-28"
SETTINGS = {
    "optimizer.name": "adamw",
    "learning_rate": 0.078,
    "weight_decay": 0.0,
    "beta1": 0.77,
    "beta2": 0.944,
    "epsilon": 1e-8,
    "schedule.warmup_steps": 10,
    "weight_clamp.name": "initial_norm",
}
