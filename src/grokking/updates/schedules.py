"""Learning-rate schedules: a factor in [0, 1] as a function of the step, counted from 1."""

import math
from collections.abc import Callable
from typing import Annotated

from pydantic.dataclasses import dataclass

from grokking.config import STRICT, NonNegativeInt, one_of


def constant(progress: float) -> float:
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 over the steps after warm-up."""
    return 0.5 * (1 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine}


@dataclass(frozen=True, config=STRICT)
class ScheduleConfig:
    name: Annotated[str, one_of(SCHEDULES)]
    warmup_steps: NonNegativeInt  # linear from 1 / warmup_steps to 1; 0 for none


def factor(config: ScheduleConfig, step: int, budget: int) -> float:
    """The factor of the learning rate at an update; updates are counted from 1.

    After the budget it keeps its value at the budget.
    """
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, budget - config.warmup_steps)
    return SCHEDULES[config.name](min(1.0, progress))
