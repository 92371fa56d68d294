"""Optimizers as pure functions: update(param, grad, state, hparams), everything in place.

The parameters of R replicas are one tensor (R, n), and so are gradients and each state tensor. Every replica
has its own hyperparameters: `hparams` holds them by name as (R, 1) in float64. Coupled weight decay is (R, n)
where some parameters are not decayed. `hparams["step"]` is the number of the update, counted from 1.
"""

# R replicas, n parameters of one replica, O outputs and I inputs of a hidden matrix

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking import ops
from grokking.config import STRICT, NonNegative, Positive, UnitInterval
from grokking.ops import numba_kernels as kernels

HParams = dict[str, Tensor]
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


def sgd(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> None:
    """SGD with heavy-ball momentum and coupled L2, as torch.optim.SGD without dampening."""
    momentum = _update_momentum(param, grad, state, hparams)
    param.addcmul_(momentum, hparams["learning_rate"].to(param.dtype), value=-1)


def nesterov(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> None:
    """SGD with Nesterov momentum and coupled L2, as torch.optim.SGD has it (Sutskever et al. 2013)."""
    decayed = grad + hparams["weight_decay"].to(param.dtype) * param
    momentum = _update_momentum(param, grad, state, hparams)
    ahead = decayed.add_(hparams["momentum"].to(param.dtype) * momentum)
    param.sub_(hparams["learning_rate"].to(param.dtype) * ahead)


def _update_momentum(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> Tensor:
    momentum = state["momentum"].mul_(hparams["momentum"].to(param.dtype))
    return momentum.add_(grad).addcmul_(param, hparams["weight_decay"].to(param.dtype))


def adam(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> None:
    """Adam with coupled L2 (Kingma and Ba, arXiv 1412.6980)."""
    decayed = grad + hparams["weight_decay"].to(param.dtype) * param
    _adam_step(param, decayed, state, hparams, torch.ones_like(hparams["beta1"]))


def adamw(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> None:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101)."""
    decay_factor = 1 - hparams["learning_rate"] * hparams["weight_decay"]
    _adam_step(param, grad, state, hparams, decay_factor)


def _adam_step(param: Tensor, grad: Tensor, state: State, hparams: HParams, decay_factor: Tensor) -> None:
    """Multiply the parameters by `decay_factor` (R, 1), then take Adam's step; its kernel takes one pass."""
    beta1, beta2, step = hparams["beta1"], hparams["beta2"], hparams["step"]
    correction, step_size = 1 / (1 - beta2**step), hparams["learning_rate"] / (1 - beta1**step)
    factors = [decay_factor, 1 - beta1, 1 - beta2, correction, step_size, hparams["epsilon"]]
    factor_R6 = torch.cat(factors, dim=1).to(param.dtype)
    mean, square = state["mean"], state["square"]
    if ops.is_fast(param):
        kernels.adam_step(*map(kernels.array, (param, grad, mean, square, factor_R6)))
        return
    decay_factor, one_minus_beta1, one_minus_beta2, correction, step_size, epsilon = factor_R6.split(1, dim=1)
    mean.lerp_(grad, one_minus_beta1)
    square.lerp_(grad.square(), one_minus_beta2)
    scale = (square * correction).sqrt_().add_(epsilon)
    param.mul_(decay_factor).addcdiv_(step_size * mean, scale, value=-1)


def muon_adamw(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> None:
    """AdamW for all parameters; hidden matrices get their values by `muon_matrices`."""
    of_adamw = {key: hparams[f"adamw_{key}"] for key in ("learning_rate", "weight_decay")}
    adamw(param, grad, state, hparams | of_adamw)


def muon_matrices(
    matrices: Sequence[Tensor], grads: Sequence[Tensor], states: Sequence[State], hparams: HParams
) -> None:
    """Muon for hidden matrices (R, O, I) (Jordan et al. 2024, kellerjordan.github.io/posts/muon)."""
    rate, decay, momentum = (hparams[k].unsqueeze(-1) for k in ("learning_rate", "weight_decay", "momentum"))
    ahead = []
    for grad_ROI, state in zip(grads, states, strict=True):
        average_ROI = state["momentum"].lerp_(grad_ROI, 1 - momentum.to(grad_ROI.dtype))
        ahead.append(grad_ROI.lerp(average_ROI, momentum.to(grad_ROI.dtype)))
    for matrix_ROI, update_ROI in zip(matrices, orthogonalize(ahead), strict=True):
        outputs, inputs = matrix_ROI.shape[1:]
        matrix_ROI.mul_((1 - rate * decay).to(matrix_ROI.dtype))
        matrix_ROI.sub_(rate.to(matrix_ROI.dtype) * max(1, outputs / inputs) ** 0.5 * update_ROI)


def orthogonalize(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Each matrix (R, O, I) with its singular values brought to between 0.7 and 1.2.

    Matrices of one shape, turned so that O <= I, go through the iteration together.
    """
    wide = [matrix if matrix.shape[1] <= matrix.shape[2] else matrix.mT for matrix in matrices]
    for shape in {matrix.shape for matrix in wide}:
        same_shape = [i for i, matrix in enumerate(wide) if matrix.shape == shape]
        together = newton_schulz(torch.cat([wide[i] for i in same_shape]))
        for i, orthogonal in zip(same_shape, together.split(shape[0]), strict=True):
            wide[i] = orthogonal
    return [w if w.shape == matrix.shape else w.mT for w, matrix in zip(wide, matrices, strict=True)]


def newton_schulz(x: Tensor) -> Tensor:
    """Five steps of the quintic Newton-Schulz iteration, coefficients of Jordan et al. 2024; x has O <= I."""
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        square = ops.matmul(x, x.mT)
        x = 3.4445 * x + ops.matmul(-4.7750 * square + 2.0315 * ops.matmul(square, square), x)
    return x


@plain_dataclass(frozen=True)
class Optimizer:
    """An update and the names of its state tensors, which are shaped as the parameters and start as zeros."""

    update: Callable[[Tensor, Tensor, State, HParams], None]
    state_names: tuple[str, ...]
    decoupled: bool  # whether weight decay multiplies the weights instead of adding to the gradient
    # for hidden matrices, after `update`, whose result for them is discarded; it has lists of matrices, grads
    # and states, and `hparams`
    update_matrices: Callable[..., None] | None = None
    # state of each hidden matrix: name -> axes after R, such as "OI" or "OO"; starts as zeros
    matrix_state: Mapping[str, str] = field(default_factory=dict)
    needs_matrices: bool = False  # whether a network without hidden matrices is refused


OPTIMIZERS = {
    "sgd": Optimizer(sgd, ("momentum",), decoupled=False),
    "nesterov": Optimizer(nesterov, ("momentum",), decoupled=False),
    "adam": Optimizer(adam, ("mean", "square"), decoupled=False),
    "adamw": Optimizer(adamw, ("mean", "square"), decoupled=True),
    "muon": Optimizer(muon_adamw, ("mean", "square"), True, muon_matrices, {"momentum": "OI"}, True),
}
