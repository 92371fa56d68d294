"""Networks whose solution is known: an exact one for addition, a memorizing one, one at random.

A diagnostic that cannot tell the first from the other two does not see grokking.
"""

# B pairs, T tokens, N hidden width, V classes

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from grokking.data.table import all_pairs
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP, activated

LEARNING_RATE = 1e-2  # Adam's, for the memorizing network
STEPS = 400  # it needs about a tenth of them


def cosine_mlp(n: int, width: int, activation: str, rng: np.random.Generator) -> TwoLayerMLP:
    """Addition mod n by cosines: neuron j has one frequency k_j and two random phases.

    Its rows are cos(w a + φ) and cos(w b + ψ) with w = 2π k_j / n, its readout cos(w c + φ + ψ). Square and
    ReLU of the sum of the first two contain cos(w(a + b) + φ + ψ), which agrees with the readout at c = a + b
    for every phase; all else depends on the phases and averages out over neurons (Gromov 2023, arXiv
    2301.02679, for the square). Every frequency 1..(n-1)/2 is used about equally often. Exact once there are
    enough neurons per frequency: all pairs are right at n = 97 with 512.
    """
    frequency_N = 1 + np.arange(width) % ((n - 1) // 2)
    phase_a_N, phase_b_N = rng.uniform(0, 2 * np.pi, (2, width))
    angle_TN = 2 * np.pi / n * np.outer(np.arange(n), frequency_N)
    first_a_TN, first_b_TN = np.cos(angle_TN + phase_a_N), np.cos(angle_TN + phase_b_N)
    readout_VN = np.cos(angle_TN + phase_a_N + phase_b_N)
    return TwoLayerMLP(first_a_TN, first_b_TN, readout_VN, activation)


def random_mlp(n: int, width: int, activation: str, rng: np.random.Generator) -> TwoLayerMLP:
    """Weights standard normal, no biases: a network that has learned nothing."""
    first_a_TN, first_b_TN, readout_VN = rng.standard_normal((3, n, width))
    return TwoLayerMLP(first_a_TN, first_b_TN, readout_VN, activation)


def memorizing_mlp(
    n: int, width: int, activation: str, pairs: int, rng: np.random.Generator
) -> tuple[TwoLayerMLP, np.ndarray, np.ndarray]:
    """A network trained on random labels of `pairs` random pairs until all are right.

    Returns the network, the numbers of the pairs in the order of `all_pairs`, and their labels. Full-batch
    Adam on cross-entropy in float64, so that a seed gives the same figures everywhere.
    """
    chosen_B, label_B = rng.permutation(n * n)[:pairs], rng.integers(0, n, pairs)
    a_B, b_B = (torch.from_numpy(token[chosen_B]) for token in all_pairs(n))
    start = random_mlp(n, width, activation, rng)
    weights = (start.first_a_TN, start.first_b_TN, start.readout_VN)
    scales = ((2 * n) ** -0.5, (2 * n) ** -0.5, width**-0.5)
    parameters = [
        torch.from_numpy(scale * weight).requires_grad_()
        for scale, weight in zip(scales, weights, strict=True)
    ]

    def logits() -> Tensor:
        first_a_TN, first_b_TN, readout_VN = parameters
        return activated(activation, first_a_TN[a_B] + first_b_TN[b_B]) @ readout_VN.T

    _fit(logits, torch.from_numpy(label_B), parameters)
    first_a_TN, first_b_TN, readout_VN = (parameter.detach().numpy() for parameter in parameters)
    return TwoLayerMLP(first_a_TN, first_b_TN, readout_VN, activation), chosen_B, label_B


def _fit(logits: Callable[[], Tensor], label_B: Tensor, parameters: list[Tensor]) -> None:
    """Train until every label is right."""
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    for _ in range(STEPS):
        logits_BV = logits()
        if bool((logits_BV.argmax(1) == label_B).all()):
            return
        optimizer.zero_grad()
        cross_entropy(logits_BV, label_B).backward()
        optimizer.step()
    raise ValueError(
        f"{len(label_B)} random labels were not memorized in {STEPS} steps; "
        "take fewer pairs or a wider network"
    )
