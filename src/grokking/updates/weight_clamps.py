"""Clamps: bounds on the size of the weights, applied after each update, in place."""

# R replicas, n parameters of one replica

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, Positive
from grokking.updates.optimizers import HParams


@dataclass(frozen=True, config=STRICT)
class PlainClampConfig:
    # none: no clamp; initial_norm: the norm of all parameters stays what it was at step 0
    name: Literal["none", "initial_norm"]


@dataclass(frozen=True, config=STRICT)
class RowClampConfig:
    name: Literal["row_norm"]
    max_norm: Positive  # a longer row of a weight matrix, as it is stored, is shortened to it


ClampConfig = Annotated[PlainClampConfig | RowClampConfig, Field(discriminator="name")]


def no_clamp(param_Rn: Tensor, params: Iterable[Tensor], hparams: HParams) -> None:
    """The weights as they are."""


def initial_norm(param_Rn: Tensor, params: Iterable[Tensor], hparams: HParams) -> None:
    """Rescale all parameters to the norm they began with (Liu et al., Omnigrok, arXiv 2210.01117)."""
    param_Rn.mul_((hparams["initial_norm"] / total_norm(param_Rn)).to(param_Rn.dtype))


def row_norm(param_Rn: Tensor, params: Iterable[Tensor], hparams: HParams) -> None:
    """Shorten each row of a matrix (R, rows, columns) to `max_norm` where it is longer."""
    for matrix in params:
        if matrix.dim() == 3:
            length = matrix.square().sum(-1, keepdim=True).sqrt()
            longest = hparams["max_norm"].unsqueeze(-1).to(matrix.dtype)
            matrix.mul_(longest / torch.maximum(length, longest))


def total_norm(param_Rn: Tensor) -> Tensor:
    """The norm of all parameters of each replica, (R, 1) in float64."""
    return param_Rn.double().square().sum(1, keepdim=True).sqrt()


CLAMPS: dict[str, Callable[[Tensor, Iterable[Tensor], HParams], None]] = {
    "none": no_clamp,
    "initial_norm": initial_norm,
    "row_norm": row_norm,
}
