"""Optimizer updates as functions of all parameters, their gradients, their state and their values.

The parameters of R replicas are one tensor (R, n), and so are gradients and states. Every replica has its
own hyperparameters: `values` holds them, and the number of the `step` counted from 1, in float64 and shaped
(R, 1). Parameters and state are changed in place.
"""

# R replicas, n parameters of one replica, O outputs and I inputs of a hidden matrix

from collections.abc import Callable, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking import ops
from grokking.config import STRICT, NonNegative, Positive, UnitInterval

Values = dict[str, Tensor]
State = dict[str, Tensor]


@dataclass(frozen=True, config=STRICT)
class SGDConfig:
    name: Literal["sgd", "nesterov"]  # heavy-ball or Nesterov momentum
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


@dataclass(frozen=True, config=STRICT)
class MuonConfig:
    name: Literal["muon"]
    learning_rate: Positive  # of hidden matrices, whose updates have singular values near sqrt(max(1, O/I))
    weight_decay: NonNegative  # decoupled, of hidden matrices
    momentum: UnitInterval  # Nesterov's
    adamw_learning_rate: Positive  # of AdamW for embeddings, readout, biases and norms
    adamw_weight_decay: NonNegative
    beta1: UnitInterval
    beta2: UnitInterval
    epsilon: Positive


OptimizerConfig = Annotated[SGDConfig | AdamConfig | MuonConfig, Field(discriminator="name")]
Matrices = Callable[[Tensor], Sequence[Tensor]]  # the hidden matrices (R, O, I) within a tensor (R, n)


def sgd(parameter: Tensor, gradient: Tensor, state: State, values: Values, matrices: Matrices) -> None:
    """SGD with heavy-ball momentum and coupled L2, as torch.optim.SGD without dampening."""
    momentum = _momentum(parameter, gradient, state, values)
    parameter.addcmul_(momentum, values["learning_rate"].to(parameter.dtype), value=-1)


def nesterov(parameter: Tensor, gradient: Tensor, state: State, values: Values, matrices: Matrices) -> None:
    """SGD with Nesterov momentum and coupled L2, as torch.optim.SGD has it (Sutskever et al. 2013)."""
    cast = parameter.dtype
    decayed = gradient + values["weight_decay"].to(cast) * parameter
    momentum = _momentum(parameter, gradient, state, values)
    ahead = decayed.add_(values["momentum"].to(cast) * momentum)
    parameter.sub_(values["learning_rate"].to(cast) * ahead)


def _momentum(parameter: Tensor, gradient: Tensor, state: State, values: Values) -> Tensor:
    cast = parameter.dtype
    momentum = state["momentum"].mul_(values["momentum"].to(cast))
    return momentum.add_(gradient).addcmul_(parameter, values["weight_decay"].to(cast))


def adam(parameter: Tensor, gradient: Tensor, state: State, values: Values, matrices: Matrices) -> None:
    """Adam with coupled L2 (Kingma and Ba, arXiv 1412.6980)."""
    decayed = gradient + values["weight_decay"].to(parameter.dtype) * parameter
    adam_step(parameter, decayed, state, values, torch.ones_like(values["step"]))


def adamw(parameter: Tensor, gradient: Tensor, state: State, values: Values, matrices: Matrices) -> None:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101)."""
    adam_step(parameter, gradient, state, values, _kept(values))


def muon(parameter: Tensor, gradient: Tensor, state: State, values: Values, matrices: Matrices) -> None:
    """Muon for hidden matrices (Jordan et al. 2024, kellerjordan.github.io/posts/muon), AdamW for the rest.

    AdamW first moves everything; the hidden matrices are then moved by Muon from where they were.
    """
    hidden = matrices(parameter)
    before = [matrix_ROI.clone() for matrix_ROI in hidden]
    rest = {"learning_rate": values["adamw_learning_rate"], "weight_decay": values["adamw_weight_decay"]}
    adamw(parameter, gradient, state, values | rest, matrices)
    decay = values["momentum"].to(parameter.dtype)
    momentum = state["momentum"].lerp_(gradient, 1 - decay)
    updates = orthogonalised(matrices(gradient.lerp(momentum, decay)))
    cubes = {name: value_R1.unsqueeze(-1) for name, value_R1 in values.items()}
    for matrix_ROI, before_ROI, update_ROI in zip(hidden, before, updates, strict=True):
        _muon_step(matrix_ROI.copy_(before_ROI), update_ROI, cubes)


def _muon_step(matrix_ROI: Tensor, update_ROI: Tensor, values: Values) -> None:
    outputs, inputs = matrix_ROI.shape[1:]
    _decay(matrix_ROI, values)
    rate = values["learning_rate"].to(matrix_ROI.dtype) * max(1, outputs / inputs) ** 0.5
    matrix_ROI.sub_(rate * update_ROI)


def orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Each matrix (R, O, I), its singular values brought to between 0.7 and 1.2, its singular vectors kept.

    Those of one shape, lying down, go through the iteration together.
    """
    lying = [matrix if matrix.shape[1] <= matrix.shape[2] else matrix.mT for matrix in matrices]
    found: dict[int, Tensor] = {}
    for shape in dict.fromkeys(matrix.shape for matrix in lying):
        alike = [number for number, matrix in enumerate(lying) if matrix.shape == shape]
        stacked = newton_schulz(torch.cat([lying[number] for number in alike]))
        found |= dict(zip(alike, stacked.split(shape[0]), strict=True))
    pairs = zip(matrices, (found[number] for number in range(len(matrices))), strict=True)
    return [x if x.shape == matrix.shape else x.mT for matrix, x in pairs]


def newton_schulz(x: Tensor) -> Tensor:
    """Five steps of the quintic Newton-Schulz iteration, coefficients of Jordan et al. 2024; x has O <= I."""
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        square = ops.matmul(x, x.mT)
        x = 3.4445 * x + ops.matmul(-4.7750 * square + 2.0315 * ops.matmul(square, square), x)
    return x


def _decay(parameter: Tensor, values: Values) -> None:
    """Decoupled weight decay."""
    parameter.mul_(_kept(values).to(parameter.dtype))


def _kept(values: Values) -> Tensor:
    """What decoupled weight decay leaves of a parameter."""
    return 1 - values["learning_rate"] * values["weight_decay"]


def adam_step(parameter: Tensor, gradient: Tensor, state: State, values: Values, kept: Tensor) -> None:
    """Adam's step from what is `kept` (R, 1) of the parameters."""
    beta1, beta2, step = values["beta1"], values["beta2"], values["step"]
    correction, step_size = 1 / (1 - beta2**step), values["learning_rate"] / (1 - beta1**step)
    factors = [kept, 1 - beta1, 1 - beta2, correction, step_size, values["epsilon"]]
    factor_R6 = torch.cat(factors, dim=1).to(parameter.dtype)
    ops.adam_step(parameter, gradient, state["mean"], state["square"], factor_R6)


@plain_dataclass(frozen=True)
class Optimizer:
    """An update and the names of the state tensors it keeps, each shaped as the parameters, first zero."""

    update: Callable[[Tensor, Tensor, State, Values, Matrices], None]
    state: tuple[str, ...]


OPTIMIZERS = {
    "sgd": Optimizer(sgd, ("momentum",)),
    "nesterov": Optimizer(nesterov, ("momentum",)),
    "adam": Optimizer(adam, ("mean", "square")),
    "adamw": Optimizer(adamw, ("mean", "square")),
    "muon": Optimizer(muon, ("mean", "square", "momentum")),
}
