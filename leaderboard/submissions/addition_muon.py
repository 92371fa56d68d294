"""Muon with a cosine, at the best of eight points."""

RULESET = "open"
WORKLOAD = "transformer_addition"
DATE = "2026-11-28"
SETTINGS = {
    "optimizer.name": "muon",
    "learning_rate": 0.037,
    "weight_decay": 0.81,
    "adamw_learning_rate": 0.0062,
    "adamw_weight_decay": 3.05,
    "momentum": 0.95,
    "beta1": 0.9,
    "beta2": 0.982,
    "epsilon": 1e-8,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
}
