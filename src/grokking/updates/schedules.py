"""Learning-rate schedules: a factor as a function of the step, counted from 1."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, NonNegativeInt, Positive, PositiveInt


@dataclass(frozen=True, config=STRICT)
class PlainScheduleConfig:
    name: Literal["constant", "cosine"]
    warmup_steps: NonNegativeInt  # linear from 1 / warmup_steps to 1; 0 for none


@dataclass(frozen=True, config=STRICT)
class StepScheduleConfig:
    name: Literal["step"]
    warmup_steps: NonNegativeInt
    step_size: PositiveInt  # updates between two falls of the rate
    gamma: Positive  # what it is multiplied by at each


ScheduleConfig = Annotated[PlainScheduleConfig | StepScheduleConfig, Field(discriminator="name")]


def constant(config: Any, step: int, steps: int) -> float:
    return 1.0


def cosine(config: Any, step: int, steps: int) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def fall_in_steps(config: StepScheduleConfig, step: int, steps: int) -> float:
    """torch.optim.lr_scheduler.StepLR: the first `step_size` updates at the full rate."""
    return config.gamma ** ((step - 1) // config.step_size)


# Arguments: configuration, updates since warm-up, and how many there are between warm-up and the budget
SCHEDULES: dict[str, Callable[[Any, int, int], float]] = {
    "constant": constant,
    "cosine": cosine,
    "step": fall_in_steps,
}


def factor(config: ScheduleConfig, step: int, budget: int) -> float:
    """The factor of the learning rate at an update; updates are counted from 1."""
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    after = step - config.warmup_steps
    return SCHEDULES[config.name](config, after, max(1, budget - config.warmup_steps))
