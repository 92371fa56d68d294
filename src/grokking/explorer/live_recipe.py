"""The recipe that the explorer trains in the browser: one that a search found for the quadratic network."""

from dataclasses import dataclass

import pandas as pd

from grokking.data.tasks import Task

# What the script of the page can train; a recipe with anything else is not offered there.
CAN_TRAIN = {
    "model.family": "one_hot_mlp",
    "model.activation": "square",
    "model.alpha": 0.0,
    "model.bias": False,
    "model.initialisation": "standard_normal",
    "model.output_scale": 1.0,
    "loss": "mean_squared_error",
    "label_noise": 0.0,
    "gradient_filter.name": "none",
    "gradient_projection": "none",
    "weight_clamp.name": "none",
    "frozen": "nothing",
    "optimizer.name": "adamw",
    "schedule.name": "constant",
    "schedule.warmup_steps": 0,
    "batch.sampling": "full",
}


@dataclass(frozen=True)
class LiveRecipe:
    """Hyperparameters as in params.yaml, and when the recipe generalized on the seeds that confirmed it."""

    tokens: int
    width: int
    init_scale: float
    learning_rate: float
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    train_fraction: float
    steps: list[int]  # of each seed

    @classmethod
    def of(cls, replicas: pd.DataFrame, task: Task) -> "LiveRecipe | None":
        """The recipe of these replicas, or None where the page could not train it, or not all generalized."""
        row, modulus = replicas.iloc[0], task.sizes.tokens
        widths = str(row["model.hidden_widths"])
        if any(row[key] != value for key, value in CAN_TRAIN.items()):
            return None
        if not widths.isdecimal() or int(widths) % 4:  # the page multiplies four numbers at a time
            return None
        if task.table.formula != f"a + b mod {modulus}" or not replicas["observed"].all():
            return None
        return cls(
            tokens=modulus,
            width=int(widths),
            init_scale=float(row["model.init_scale"]),
            **{key: float(row[f"optimizer.{key}"]) for key in ("learning_rate", "weight_decay", "beta1")},
            **{key: float(row[f"optimizer.{key}"]) for key in ("beta2", "epsilon")},
            train_fraction=round(float(task.train_mask(int(row["split_seed"])).mean()), 2),
            steps=sorted(replicas["generalization_step"].astype(int).tolist()),
        )
