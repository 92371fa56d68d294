"""What an evaluation measures: losses and correctness per equation, and norms of the weights."""

# R replicas, E equations, V classes

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor


class EquationMetrics(NamedTuple):
    """Per equation: the loss, 1 or 0 for a right or wrong answer, the mean squared centred logit."""

    loss_RE: Tensor
    correct_RE: Tensor
    square_RE: Tensor

    @classmethod
    def of(cls, logits_REV: Tensor, answer_RE: Tensor, loss_RE: Tensor) -> Self:
        """From the logits, which are overwritten."""
        correct_RE = logits_REV.argmax(-1) == answer_RE
        centred_REV = logits_REV.sub_(logits_REV.mean(-1, keepdim=True))
        return cls(loss_RE.double(), correct_RE.double(), centred_REV.square_().mean(-1).double())

    def columns(self, chosen: slice) -> Self:
        """The metrics of some equations only."""
        return type(self)(*(metric_RE[:, chosen] for metric_RE in self))


def weight_norms(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Euclidean norm of all parameters and of each layer's, from tensors (R, ...); (R,) each.

    Layers are added one by one: a reduction over them would round differently for other R.
    """
    squares: dict[str, Tensor] = {}
    for name, param in params.items():
        square_R = param.detach().flatten(1).to(torch.float64).square().sum(1)
        layer = name.rpartition(".")[0] or name
        for key in ("weight_norm", f"weight_norm/{layer}"):
            squares[key] = squares[key] + square_R if key in squares else square_R
    return {name: square_R.sqrt() for name, square_R in squares.items()}
