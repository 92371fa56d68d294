"""Small experiments as they would stand in params.yaml, one per family and optimizer."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PARAMS = Path(__file__).parents[1] / "params.yaml"

MODELS: dict[str, dict[str, Any]] = {
    "one_hot_mlp": {
        "family": "one_hot_mlp",
        "hidden_widths": [24, 12],
        "activation": "relu",
        "alpha": 0.25,
        "bias": True,
        "initialisation": "fan_in_uniform",
        "init_scale": 1.0,
        "output_scale": 0.8,
    },
    "embedding_mlp": {
        "family": "embedding_mlp",
        "tables": "shared",
        "combine": "concatenate",
        "embedding_width": 8,
        "embedding_std": 0.5,
        "hidden_widths": [16, 16],
        "activation": "gelu",
        "bias": True,
        "initialisation": "fan_in_uniform",
        "init_scale": 1.0,
        "output_scale": 1.0,
    },
    "normed_mlp": {
        "family": "normed_mlp",
        "embedding_width": 8,
        "embedding_std": 0.5,
        "hidden_widths": [16, 12],
        "activation": "gelu",
        "initialisation": "fan_in_uniform",
        "init_scale": 1.0,
        "output_scale": 1.2,
    },
    "recurrent": {
        "family": "recurrent",
        "cell": "lstm",
        "sequence": "a_op_b_eq",
        "layers": 2,
        "width": 12,
        "embedding_width": 8,
        "embedding_std": 0.5,
        "init_scale": 1.0,
        "output_scale": 1.2,
    },
    "transformer": {
        "family": "transformer",
        "sequence": "a_op_b_eq",
        "positions": "learned",
        "attention": "causal",
        "pooling": "last",
        "layers": 2,
        "width": 16,
        "heads": 4,
        "mlp_ratio": 2,
        "norm": "pre",
        "norm_type": "layer",
        "activation": "relu",
        "bias": True,
        "embedding_std": 0.5,
        "initialisation": "fan_in_uniform",
        "init_scale": 1.0,
        "tied_unembedding": False,
        "output_scale": 1.2,
    },
    "numpy_mlp": {"family": "numpy_mlp", "hidden_widths": [24, 12], "init_scale": 1.0},
}

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 1e-3, "momentum": 0.9},
    "nesterov": {"name": "nesterov", "learning_rate": 0.1, "weight_decay": 1e-3, "momentum": 0.9},
    "adam": {
        "name": "adam",
        "learning_rate": 1e-2,
        "weight_decay": 1e-3,
        "beta1": 0.9,
        "beta2": 0.98,
        "epsilon": 1e-8,
    },
    "adamw": {
        "name": "adamw",
        "learning_rate": 1e-2,
        "weight_decay": 0.5,
        "beta1": 0.9,
        "beta2": 0.98,
        "epsilon": 1e-8,
    },
    "muon": {
        "name": "muon",
        "learning_rate": 1e-2,
        "weight_decay": 0.5,
        "momentum": 0.95,
        "adamw_learning_rate": 3e-3,
        "adamw_weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.98,
        "epsilon": 1e-8,
    },
}

FILTERS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "clip_norm": {"name": "clip_norm", "max_gradient_norm": 0.3},
    "grokfast_ema": {"name": "grokfast_ema", "decay": 0.8, "amplitude": 2.0},
    "grokfast_ma": {"name": "grokfast_ma", "window": 7, "amplitude": 0.5},
}

CLAMPS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "initial_norm": {"name": "initial_norm"},
    "row_norm": {"name": "row_norm", "max_norm": 0.6},
}

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"name": "constant", "warmup_steps": 3},
    "cosine": {"name": "cosine", "warmup_steps": 3},
    "step": {"name": "step", "warmup_steps": 3, "step_size": 2, "gamma": 0.5},
}

BATCHES: dict[str, dict[str, Any]] = {
    "full": {"sampling": "full"},
    "with_replacement": {"sampling": "with_replacement", "size": 20},
    "without_replacement": {"sampling": "without_replacement", "size": 20, "drop_last": True},
    "whole_epochs": {"sampling": "without_replacement", "size": 20, "drop_last": False},
}


# what experiments of params.yaml leave as it is
DEFAULTS = YAML(typ="safe").load(PARAMS)["defaults"]["experiment"]


def experiment(
    family: str = "one_hot_mlp",
    optimizer: str = "adamw",
    batch: str = "full",
    seeds: tuple[int, ...] = (0,),
    grid: dict[str, list[Any]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """An experiment for `expand`; `changes` replace top-level keys."""
    return {
        "system": 0,
        "role": "variant",
        "task": "test",
        "model": deepcopy(MODELS[family]),
        **DEFAULTS,
        "precision": "float64",
        "optimizer": deepcopy(OPTIMIZERS[optimizer]),
        "schedule": {"name": "constant", "warmup_steps": 5},
        "batch": deepcopy(BATCHES[batch]),
        "budget": 30,
        "replicas": {"seeds": list(seeds), "split_seeds": [s % 3 for s in seeds], "grid": grid or {}},
    } | changes
