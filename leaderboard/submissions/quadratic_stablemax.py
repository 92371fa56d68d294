"""The point of `quadratic_cross_entropy` with StableMax for softmax (Prieto et al., arXiv 2501.04697)."""

RULESET = "open"
WORKLOAD = "quadratic_mlp"
DATE = "2026-11-30"
SETTINGS = {
    "optimizer.name": "adamw",
    "learning_rate": 0.09,
    "weight_decay": 2.867,
    "beta1": 0.626,
    "beta2": 0.919,
    "epsilon": 1e-8,
    "loss": "stablemax_cross_entropy",
    "model.init_scale": 0.0182,
    "model.output_scale": 1.68,
}
