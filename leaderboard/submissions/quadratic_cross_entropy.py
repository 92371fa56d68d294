"""AdamW with cross-entropy, small weights and a decay of a quarter a step: the search `speedrun` found it."""

RULESET = "open"
WORKLOAD = "quadratic_mlp"
DATE = "2026-11-28"
SETTINGS = {
    "optimizer.name": "adamw",
    "learning_rate": 0.09,
    "weight_decay": 2.867,
    "beta1": 0.626,
    "beta2": 0.919,
    "epsilon": 1e-8,
    "loss": "cross_entropy",
    "model.init_scale": 0.0182,
    "model.output_scale": 1.68,
}
