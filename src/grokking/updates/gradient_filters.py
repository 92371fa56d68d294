"""Filters that change gradients before the optimizer sees them, in place."""

# R replicas, n parameters of one replica, W steps of a window

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, NonNegative, Positive, UnitInterval, whole_number
from grokking.updates.optimizers import HParams, State
from grokking.updates.weight_clamps import total_norm


@dataclass(frozen=True, config=STRICT)
class NoFilterConfig:
    name: Literal["none"]


@dataclass(frozen=True, config=STRICT)
class ClipNormConfig:
    name: Literal["clip_norm"]
    max_gradient_norm: Positive  # of all parameters together; a longer gradient is shortened to it


@dataclass(frozen=True, config=STRICT)
class AverageFilterConfig:
    name: Literal["grokfast_ema"]
    decay: UnitInterval  # of the exponential moving average of gradients, their slow component
    amplitude: NonNegative  # gain of the slow component


@dataclass(frozen=True, config=STRICT)
class WindowFilterConfig:
    name: Literal["grokfast_ma"]
    # steps whose mean gradient is the slow component; before that many, nothing is added
    window: Annotated[int, whole_number(1, 10_000)]
    amplitude: NonNegative  # gain of the slow component


FilterConfig = Annotated[
    NoFilterConfig | ClipNormConfig | AverageFilterConfig | WindowFilterConfig, Field(discriminator="name")
]


def no_filter(grad_Rn: Tensor, state: State, hparams: HParams) -> None:
    """The gradient as it is."""


def clip_norm(grad_Rn: Tensor, state: State, hparams: HParams) -> None:
    """Clipping by norm (Pascanu et al., arXiv 1211.5063), as torch.nn.utils.clip_grad_norm_."""
    share_R1 = hparams["max_gradient_norm"] / (total_norm(grad_Rn) + 1e-6)
    grad_Rn.mul_(share_R1.clamp(max=1.0).to(grad_Rn.dtype))


def grokfast_ema(grad_Rn: Tensor, state: State, hparams: HParams) -> None:
    """Grokfast-EMA (Lee et al., arXiv 2405.20233): amplifies a moving average, at first the gradient."""
    average_Rn, weight_R1 = state["average"], torch.where(hparams["step"] > 1, 1 - hparams["decay"], 1.0)
    average_Rn.lerp_(grad_Rn, weight_R1.to(grad_Rn.dtype))
    grad_Rn.add_(hparams["amplitude"].to(grad_Rn.dtype) * average_Rn)


def grokfast_ma(grad_Rn: Tensor, state: State, hparams: HParams) -> None:
    """Grokfast-MA (Lee et al., arXiv 2405.20233): amplifies the mean of the last W gradients.

    The window is a ring buffer. Its sum is kept in float64 and corrected by what enters and leaves.
    """
    window_RWn, sum_Rn = state["window"], state["window_sum"]
    length, step_R1 = window_RWn.shape[1], hparams["step"]
    oldest = ((step_R1[0] - 1) % length).long()
    sum_Rn.add_(grad_Rn).sub_(window_RWn.index_select(1, oldest).squeeze(1))
    window_RWn.index_copy_(1, oldest, grad_Rn.unsqueeze(1))
    amplitude_R1 = torch.where(step_R1 >= length, hparams["amplitude"], 0.0)
    grad_Rn.add_((amplitude_R1 * (sum_Rn / length)).to(grad_Rn.dtype))


def empty_window(config: WindowFilterConfig, param_Rn: Tensor) -> State:
    window_RWn = param_Rn.new_zeros(len(param_Rn), config.window, param_Rn.shape[1])
    return {"window": window_RWn, "window_sum": torch.zeros_like(param_Rn, dtype=torch.float64)}


@plain_dataclass(frozen=True)
class Filter:
    """A filter, and the state that it begins with, from its configuration and the parameters (R, n)."""

    apply: Callable[[Tensor, State, HParams], None]
    initial_state: Callable[[Any, Tensor], State]


FILTERS = {
    "none": Filter(no_filter, lambda config, param_Rn: {}),
    "clip_norm": Filter(clip_norm, lambda config, param_Rn: {}),
    "grokfast_ema": Filter(grokfast_ema, lambda config, param_Rn: {"average": torch.zeros_like(param_Rn)}),
    "grokfast_ma": Filter(grokfast_ma, empty_window),
}
