"""Gradients by autograd, added to sums."""

from collections.abc import Sequence

import torch
from torch import Tensor


def add_gradients(of: Sequence[Tensor], inputs: Sequence[Tensor], sums: Sequence[Tensor]) -> None:
    """Add the gradients of scalars to these sums; an input that is not used adds nothing.

    Of scalars only: for anything else torch imports sympy, which takes longer than a hundred steps.
    """
    found = torch.autograd.grad(of, inputs, allow_unused=True)
    for gradient, total in zip(found, sums, strict=True):
        if gradient is not None:
            total.add_(gradient)
