"""Optimizer updates as functions of one stacked parameter, its gradient, its state and its values.

Every replica has its own hyperparameters: `values` holds them, and the number of the `step` counted from 1,
in float64 and shaped (R, 1, ..., 1) to broadcast against a parameter (R, ...). Parameter and state are
changed in place.
"""

# R replicas

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, NonNegative, Positive, UnitInterval

Values = dict[str, Tensor]
State = dict[str, Tensor]


@dataclass(frozen=True, config=STRICT)
class SGDConfig:
    name: Literal["sgd"]
    learning_rate: Positive
    weight_decay: NonNegative  # coupled (L2): weight_decay * parameter is added to the gradient
    momentum: UnitInterval


@dataclass(frozen=True, config=STRICT)
class AdamConfig:
    name: Literal["adam", "adamw"]
    learning_rate: Positive
    # adam: coupled (L2), weight_decay * parameter is added to the gradient
    # adamw: decoupled, each step multiplies parameters by 1 - learning_rate * weight_decay
    weight_decay: NonNegative
    beta1: UnitInterval
    beta2: UnitInterval
    epsilon: Positive


OptimizerConfig = Annotated[SGDConfig | AdamConfig, Field(discriminator="name")]


def sgd(parameter: Tensor, gradient: Tensor, state: State, values: Values) -> None:
    """SGD with heavy-ball momentum and coupled L2, as torch.optim.SGD without dampening."""
    cast = parameter.dtype
    momentum = state["momentum"].mul_(values["momentum"].to(cast))
    momentum.add_(gradient).add_(values["weight_decay"].to(cast) * parameter)
    parameter.sub_(values["learning_rate"].to(cast) * momentum)


def adam(parameter: Tensor, gradient: Tensor, state: State, values: Values) -> None:
    """Adam with coupled L2 (Kingma and Ba, arXiv 1412.6980)."""
    decayed = gradient + values["weight_decay"].to(parameter.dtype) * parameter
    _adam_step(parameter, decayed, state, values)


def adamw(parameter: Tensor, gradient: Tensor, state: State, values: Values) -> None:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101)."""
    parameter.mul_((1 - values["learning_rate"] * values["weight_decay"]).to(parameter.dtype))
    _adam_step(parameter, gradient, state, values)


def _adam_step(parameter: Tensor, gradient: Tensor, state: State, values: Values) -> None:
    cast, beta1, beta2, step = parameter.dtype, values["beta1"], values["beta2"], values["step"]
    mean = state["mean"].lerp_(gradient, (1 - beta1).to(cast))
    square = state["square"].lerp_(gradient.square(), (1 - beta2).to(cast))
    scale = (square * (1 / (1 - beta2**step)).to(cast)).sqrt_().add_(values["epsilon"].to(cast))
    step_size = (values["learning_rate"] / (1 - beta1**step)).to(cast)
    parameter.addcdiv_(step_size * mean, scale, value=-1)


@plain_dataclass(frozen=True)
class Optimizer:
    """An update and the names of the state tensors it keeps, each shaped as the parameter, first zero."""

    update: Callable[[Tensor, Tensor, State, Values], None]
    state: tuple[str, ...]


OPTIMIZERS = {
    "sgd": Optimizer(sgd, ("momentum",)),
    "adam": Optimizer(adam, ("mean", "square")),
    "adamw": Optimizer(adamw, ("mean", "square")),
}
