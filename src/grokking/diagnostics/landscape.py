"""The loss around a point: largest curvature, and how far it rises nearby.

Functions of a closure that computes the loss from the given torch parameters. The loss must be twice
differentiable by autograd for the eigenvalue, once for the excess.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Loss = Callable[[], Tensor]


def top_eigenvalue(loss: Loss, parameters: Sequence[Tensor], iterations: int, seed: int) -> float:
    """The Hessian's largest eigenvalue by power iteration: sharpness.

    Each iteration costs a Hessian-vector product, about two grads; 20 to 30 give it to a few per cent
    where the next one is not close. The power method finds the eigenvalue of largest size; if that is
    negative, it becomes a shift and the iteration runs again. Gradient descent of step η is unstable above
    2/η. Says how sharp the point is, nothing of what was learned.
    """
    grad = _flat(torch.autograd.grad(loss(), parameters, create_graph=True))
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(grad.shape, dtype=torch.float64, generator=generator).to(grad)

    def product(vector: Tensor) -> Tensor:
        along = grad @ vector  # a number: given a vector, autograd first imports sympy, for half a second
        return _flat(torch.autograd.grad(along, parameters, retain_graph=True, materialize_grads=True))

    largest = _power_iteration(product, start, iterations)
    if largest >= 0:
        return largest
    return largest + _power_iteration(lambda v: product(v) - largest * v, start, iterations)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _power_iteration(product: Callable[[Tensor], Tensor], start: Tensor, iterations: int) -> float:
    """Rayleigh quotient after this many products."""
    vector, quotient = start / start.norm(), start.new_zeros(())
    for _ in range(iterations):
        image = product(vector)
        quotient = vector @ image
        vector = image / image.norm().clamp(min=torch.finfo(image.dtype).tiny)
    return float(quotient)


@dataclass(frozen=True)
class Langevin:
    """How the posterior around a point is sampled, by stochastic gradient Langevin dynamics."""

    step_size: float  # ε: each step moves by -ε/2 times the gradient of the log posterior, plus N(0, ε)
    localization: float  # γ: a pull back to the point, γ (w - w*)
    steps: int  # of each chain, kept
    burn_in: int  # steps before these
    chains: int


@dataclass(frozen=True)
class SmoothedExcess:
    """Mean over chains, and its standard error from their spread (nan for one chain)."""

    mean: float
    standard_error: float


def smoothed_excess(
    loss: Loss, parameters: Sequence[Tensor], examples: int, langevin: Langevin, seed: int
) -> SmoothedExcess:
    """n β (E[L(w)] - L(w*)) with β = 1/ln n: how far the loss is above L(w*) around the point w*.

    The expectation is over w drawn from exp(-n β L(w) - γ/2 ‖w - w*‖²). With a weak pull γ this is the local
    learning coefficient of Lau et al. 2023 (arXiv 2308.12108): d/2 for a regular minimum of d parameters,
    less where the loss is flat in more ways. With a strong pull, as in the suite, it is the loss smoothed
    over about 1/√γ per weight: it orders networks of one kind and is no count of parameters. `loss` is the
    mean over all n examples. Costs a grad per step of each chain; depends on ε and γ, so compare only at the
    same. Parameters are restored. nan where a chain diverged: ε is too large there.
    """
    there = _flat([parameter.detach() for parameter in parameters])
    inverse_temperature = examples / np.log(examples)
    at_point = loss().item()
    generator = torch.Generator().manual_seed(seed)
    try:
        excess = [
            _chain(loss, parameters, there, inverse_temperature, langevin, generator) - at_point
            for _ in range(langevin.chains)
        ]
    finally:
        _write(there, parameters)
    scaled = inverse_temperature * np.array(excess)
    spread = scaled.std(ddof=1) if langevin.chains > 1 else np.nan
    return SmoothedExcess(float(scaled.mean()), float(spread / langevin.chains**0.5))


def _chain(
    loss: Loss,
    parameters: Sequence[Tensor],
    there: Tensor,
    inverse_temperature: float,
    langevin: Langevin,
    generator: torch.Generator,
) -> float:
    """Mean loss along one chain after its burn-in; nan where it diverged."""
    at, losses = there.clone(), []
    for _ in range(langevin.burn_in + langevin.steps):
        _write(at, parameters)
        value = loss()
        losses.append(value.item())
        drift = inverse_temperature * _flat(torch.autograd.grad(value, parameters))
        drift = drift + langevin.localization * (at - there)
        noise = torch.randn(at.shape, dtype=at.dtype, generator=generator).to(at.device)
        at = at - langevin.step_size / 2 * drift + langevin.step_size**0.5 * noise
    return float(np.mean(losses[langevin.burn_in :])) if np.isfinite(losses).all() else np.nan


@torch.no_grad()
def _write(vector: Tensor, parameters: Sequence[Tensor]) -> None:
    """Set the parameters to this vector's entries, in their own memory: closures hold on to it."""
    pieces = vector.split([parameter.numel() for parameter in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.copy_(piece.view_as(parameter))
