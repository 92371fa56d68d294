"""What is measured of every replica at an evaluation, from its logits on all equations."""

# R replicas, P equations, V classes

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from grokking.training.losses import LOSSES


def measure(
    logits_RPV: Tensor, answer_P: Tensor, train_RP: Tensor, loss: str, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Loss and accuracy on training and validation equations, rms of the centred logits; (R,) each."""
    answer_RP = answer_P.expand(train_RP.shape)
    loss_RP = LOSSES[loss](logits_RPV.to(dtype), answer_RP)
    correct_RP = (logits_RPV.argmax(-1) == answer_RP).to(torch.float64)
    centred_RPV = logits_RPV - logits_RPV.mean(-1, keepdim=True)
    return {
        "train_loss": _mean_where(train_RP, loss_RP),
        "train_accuracy": _mean_where(train_RP, correct_RP),
        "validation_loss": _mean_where(~train_RP, loss_RP),
        "validation_accuracy": _mean_where(~train_RP, correct_RP),
        "logit_rms": centred_RPV.square().mean((-1, -2)).sqrt(),
    }


def weight_norms(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Euclidean norm of all parameters and of each layer's, from stacked parameters; (R,) each.

    Layers are added one by one: a reduction over them would round differently for other R.
    """
    squares: dict[str, Any] = defaultdict(int)
    for name, parameter in parameters.items():
        layer = name.rpartition(".")[0] or name
        square_R = _sum_of_squares(parameter)
        squares["weight_norm"] = squares["weight_norm"] + square_R
        squares[f"weight_norm/{layer}"] = squares[f"weight_norm/{layer}"] + square_R
    return {name: square.sqrt() for name, square in squares.items()}


def _sum_of_squares(parameter: Tensor) -> Tensor:
    return parameter.detach().flatten(1).to(torch.float64).square().sum(1)


def _mean_where(mask_RP: Tensor, value_RP: Tensor) -> Tensor:
    return (value_RP * mask_RP).sum(-1) / mask_RP.sum(-1)
