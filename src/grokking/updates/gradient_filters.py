"""What may be done to gradients before the optimizer: filters over time, projection off the weights.

Gradients and states are stacked as in `optimizers`; a gradient is changed in place.
"""

# R replicas, n parameters of one replica, W steps of a window

from collections.abc import Callable, Iterable
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, NonNegative, PositiveInt, UnitInterval
from grokking.updates.optimizers import State, Values


@dataclass(frozen=True, config=STRICT)
class NoFilterConfig:
    name: Literal["none"]


@dataclass(frozen=True, config=STRICT)
class AverageFilterConfig:
    name: Literal["grokfast_ema"]
    decay: UnitInterval  # of the exponential moving average of gradients, their slow part
    amplitude: NonNegative  # the slow part is added so many times


@dataclass(frozen=True, config=STRICT)
class WindowFilterConfig:
    name: Literal["grokfast_ma"]
    window: PositiveInt  # steps whose mean gradient is the slow part; nothing is added before so many steps
    amplitude: NonNegative  # the slow part is added so many times


FilterConfig = Annotated[
    NoFilterConfig | AverageFilterConfig | WindowFilterConfig, Field(discriminator="name")
]


def unfiltered(gradient_Rn: Tensor, state: State, values: Values) -> None:
    """The gradient as it is."""


def grokfast_ema(gradient_Rn: Tensor, state: State, values: Values) -> None:
    """Grokfast-EMA (Lee et al., arXiv 2405.20233): amplifies the moving average; it begins at gradient 1."""
    cast, average_Rn = gradient_Rn.dtype, state["average"]
    weight_R1 = torch.where(values["step"] == 1, 1.0, 1 - values["decay"])
    average_Rn.lerp_(gradient_Rn, weight_R1.to(cast))
    gradient_Rn.add_(values["amplitude"].to(cast) * average_Rn)


def grokfast_ma(gradient_Rn: Tensor, state: State, values: Values) -> None:
    """Grokfast-MA (Lee et al., arXiv 2405.20233): amplifies the mean of the last W gradients.

    The window is a ring, its sum is kept in float64 and corrected by what enters and leaves.
    """
    window_RWn, sum_Rn = state["window"], state["window_sum"]
    length, step_R1 = window_RWn.shape[1], values["step"]
    place_R1n = ((step_R1.long() - 1) % length).unsqueeze(-1).expand(-1, 1, gradient_Rn.shape[1])
    oldest_Rn = window_RWn.gather(1, place_R1n).squeeze(1)
    sum_Rn.add_(gradient_Rn).sub_(oldest_Rn)
    window_RWn.scatter_(1, place_R1n, gradient_Rn.unsqueeze(1))
    mean_Rn = torch.where(step_R1 >= length, sum_Rn / length, 0.0)
    gradient_Rn.add_((values["amplitude"] * mean_Rn).to(gradient_Rn.dtype))


@plain_dataclass(frozen=True)
class Filter:
    """A filter and the state it keeps: shape in front of the parameters, type; zero at first."""

    apply: Callable[[Tensor, State, Values], None]
    state: Callable[
        [Any], dict[str, tuple[tuple[int, ...], torch.dtype | None]]
    ]  # None: the parameters' type


FILTERS = {
    "none": Filter(unfiltered, lambda config: {}),
    "grokfast_ema": Filter(grokfast_ema, lambda config: {"average": ((), None)}),
    "grokfast_ma": Filter(
        grokfast_ma,
        lambda config: {"window": ((config.window,), None), "window_sum": ((), torch.float64)},
    ),
}


def unprojected(gradients: Iterable[Tensor], parameters: Iterable[Tensor]) -> None:
    """The gradients as they are."""


def orthogonal(gradients: Iterable[Tensor], parameters: Iterable[Tensor]) -> None:
    """⟂Grad (Prieto et al., arXiv 2501.04697): of each tensor only what does not change its norm.

    The part along the weights, which under cross-entropy only scales the logits up, is taken out and the
    rest brought to the length the gradient had. Tensors (R, ...) one by one.
    """
    for gradient, parameter in zip(gradients, parameters, strict=True):
        gradient_Rk, weight_Rk = gradient.flatten(1), parameter.flatten(1)
        along_R1 = _dot(weight_Rk, gradient_Rk) / (_dot(weight_Rk, weight_Rk) + 1e-30)
        across_Rk = gradient_Rk - along_R1 * weight_Rk
        length_R1 = _dot(gradient_Rk, gradient_Rk).sqrt()
        rescaled_Rk = across_Rk * (length_R1 / (_dot(across_Rk, across_Rk).sqrt() + 1e-30))
        gradient.copy_(rescaled_Rk.view(gradient.shape))


def _dot(x_Rk: Tensor, y_Rk: Tensor) -> Tensor:
    return (x_Rk * y_Rk).sum(1, keepdim=True)


PROJECTIONS: dict[str, Callable[[Iterable[Tensor], Iterable[Tensor]], None]] = {
    "none": unprojected,
    "orthogonal": orthogonal,
}
