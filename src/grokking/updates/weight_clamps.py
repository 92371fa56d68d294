"""What may be done to the size of the weights after each update, in place."""

# R replicas, n parameters of one replica

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, Positive
from grokking.updates.optimizers import Values


@dataclass(frozen=True, config=STRICT)
class PlainClampConfig:
    # none: weights go where they go; initial_norm: the norm of all parameters stays what it was at step 0
    name: Literal["none", "initial_norm"]


@dataclass(frozen=True, config=STRICT)
class RowClampConfig:
    name: Literal["row_norm"]
    max_norm: Positive  # a row of a weight matrix that is longer is shortened to it


ClampConfig = Annotated[PlainClampConfig | RowClampConfig, Field(discriminator="name")]


def unclamped(parameter_Rn: Tensor, named: Iterable[Tensor], values: Values) -> None:
    """The weights as they are."""


def initial_norm(parameter_Rn: Tensor, named: Iterable[Tensor], values: Values) -> None:
    """All parameters are rescaled to the norm they began with (Liu et al., Omnigrok, arXiv 2210.01117)."""
    parameter_Rn.mul_((values["initial_norm"] / norm(parameter_Rn)).to(parameter_Rn.dtype))


def row_norm(parameter_Rn: Tensor, named: Iterable[Tensor], values: Values) -> None:
    """Each row of a matrix (R, rows, columns) is shortened to `max_norm` where it is longer."""
    for matrix in named:
        if matrix.dim() == 3:
            length = matrix.square().sum(-1, keepdim=True).sqrt()
            longest = values["max_norm"].unsqueeze(-1).to(matrix.dtype)
            matrix.mul_(longest / torch.maximum(length, longest))


def norm(parameter_Rn: Tensor) -> Tensor:
    """The norm of all parameters of each replica, (R, 1) in float64."""
    return parameter_Rn.double().square().sum(1, keepdim=True).sqrt()


CLAMPS: dict[str, Callable[[Tensor, Iterable[Tensor], Values], None]] = {
    "none": unclamped,
    "initial_norm": initial_norm,
    "row_norm": row_norm,
}
