"""What the rules know when a seed begins: how earlier trials ended, and how its own weights decay."""

from collections.abc import Sequence

import numpy as np

from grokking.experiment import ExperimentConfig
from grokking.search.known_trials import KnownTrials
from grokking.search.pruning import PruningContext, slack
from grokking.updates.optimizers import OPTIMIZERS, SGDConfig

PINS_LOGITS = ("mean_squared_error",)  # losses that fix the scale of the logits whatever the weight norm


def context_of(config: ExperimentConfig, known: KnownTrials, limit: float) -> PruningContext:
    """The context of a seed with this configuration; from the cost `limit` on it is too far from the best."""
    rate = decay_rate(config)
    return PruningContext(
        budget=config.budget,
        limit=limit,
        decay_rate=rate,
        decay_driven=rate > 0 and norm_must_fall(config),
        memorization_step=_median(known.memorization_steps),
        generalization_norm=_median(known.generalization_norms),
        slack=slack(known.forecast_errors),
    )


def decay_rate(config: ExperimentConfig) -> float:
    """Share of a weight that decay alone takes away per step; 0 where that depends on the gradients.

    Adam rescales a coupled decay by its second moments. SGD only accumulates it in its momentum.
    """
    optimizer = config.optimizer
    rate = optimizer.learning_rate * optimizer.weight_decay
    if OPTIMIZERS[optimizer.name].decoupled:
        return rate
    return rate / (1 - optimizer.momentum) if isinstance(optimizer, SGDConfig) else 0.0


def norm_must_fall(config: ExperimentConfig) -> bool:
    """Whether only a smaller weight norm brings the logits to the scale at which a network generalizes."""
    plain = config.gradient_projection == "none" and config.weight_clamp.name == "none"
    return plain and config.loss not in PINS_LOGITS


def _median(ascending: Sequence[float]) -> float | None:
    middle = ascending[(len(ascending) - 1) // 2 : len(ascending) // 2 + 1]
    return float(np.mean(middle)) if ascending else None
