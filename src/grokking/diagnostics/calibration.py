"""Every diagnostic on networks whose solution is known, as a table: what sees it and what does not."""

# B pairs, T tokens, N hidden width, V classes

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grokking.diagnostics import analytic, fourier, geometry, kernel, spectrum
from grokking.diagnostics.network import TwoLayerMLP, all_pairs

MODULUS, WIDTH, TRAIN_FRACTION, SEED = 97, 512, 0.3, 0  # system 2's network and share of pairs
ACTIVATIONS = ("square", "relu")
HUGE = 1e6  # a ratio with nothing but rounding below it is shown as larger than this


@dataclass(frozen=True)
class Subject:
    """A network and what it does on all pairs."""

    network: TwoLayerMLP
    a_B: np.ndarray
    b_B: np.ndarray
    answer_B: np.ndarray
    hidden_BN: np.ndarray
    logits_TTV: np.ndarray

    def neuron_power(self) -> np.ndarray:
        """Power of each neuron's row of each operand, (K, 2N)."""
        return fourier.power(np.hstack([self.network.first_a_TN, self.network.first_b_TN]))

    def first_layer(self) -> np.ndarray:
        return np.vstack([self.network.first_a_TN, self.network.first_b_TN])


def subject(network: TwoLayerMLP) -> Subject:
    """Run the network on all pairs of addition."""
    tokens = len(network.first_a_TN)
    a_B, b_B = all_pairs(tokens)
    hidden_BN, logits_BV = network.hidden(a_B, b_B), network.logits(a_B, b_B)
    return Subject(
        network, a_B, b_B, (a_B + b_B) % tokens, hidden_BN, logits_BV.reshape(tokens, tokens, tokens)
    )


def subjects() -> dict[str, Subject]:
    """The exact, the memorising and the random network with each activation."""
    networks = {}
    pairs = round(TRAIN_FRACTION * MODULUS**2)
    for activation in ACTIVATIONS:
        sizes = (MODULUS, WIDTH, activation)
        memorising, _, _ = analytic.memorising_mlp(*sizes, pairs, np.random.default_rng(SEED))
        networks[f"{activation}, exact"] = analytic.cosine_mlp(*sizes, np.random.default_rng(SEED))
        networks[f"{activation}, memorising"] = memorising
        networks[f"{activation}, random"] = analytic.random_mlp(*sizes, np.random.default_rng(SEED))
    return {name: subject(network) for name, network in networks.items()}


def _kernel_alignments(on: Subject) -> dict[str, float]:
    tangent = kernel.mlp_kernel(on.network, on.a_B, on.b_B)
    found = kernel.class_alignments(tangent, on.answer_B)
    return {name: found[part] for name, part in ALIGNMENTS.items()}


ALIGNMENTS = {
    "class alignment of hidden features": "readout",
    "class alignment of the whole kernel": "whole",
    "class alignment of the first layer, operand a": "first_a",
    "the whole kernel's, uncentred": "uncentred",
}
MEASURES: dict[str, Callable[[Subject], float]] = {
    "accuracy on all pairs": lambda on: np.mean(on.logits_TTV.argmax(-1).ravel() == on.answer_B),
    "inverse participation ratio per neuron": lambda on: fourier.inverse_participation_ratio(
        on.neuron_power()
    ).mean(),
    "Gini per neuron": lambda on: fourier.gini(on.neuron_power()).mean(),
    "signal-to-noise per neuron, m = 1": lambda on: np.median(fourier.signal_to_noise(on.neuron_power(), 1)),
    "R_sum of the logits": lambda on: fourier.sum_energy(on.logits_TTV),
    "phase RQI": lambda on: geometry.phase_quality(
        on.network.first_a_TN,
        range(1, MODULUS // 2 + 1),
        fourier.power(on.network.first_a_TN).sum(1),
    ),
    "hidden RQI": lambda on: geometry.hidden_quality(on.hidden_BN, on.answer_B),
    "circularity, 4 components": lambda on: geometry.circularity(on.network.first_a_TN, 4),
    "distance irrelevance": lambda on: geometry.distance_irrelevance(on.logits_TTV),
    "RQI": lambda on: geometry.parallelogram_quality(on.network.first_a_TN),
    "effective rank": lambda on: spectrum.effective_rank(on.first_layer()),
    "effective rank, σ²": lambda on: spectrum.energy_effective_rank(on.first_layer()),
    "participation ratio": lambda on: spectrum.participation_ratio(on.hidden_BN),
    "mean-free ratio (published SNR)": lambda on: fourier.mean_free_ratio(on.network.first_a_TN),
}


def measure(on: Subject) -> dict[str, float]:
    """Every diagnostic of one network."""
    return {name: float(of(on)) for name, of in MEASURES.items()} | _kernel_alignments(on)


def table() -> pd.DataFrame:
    """A row per diagnostic, a column per network. About 20 s on one core."""
    return pd.DataFrame({name: measure(on) for name, on in subjects().items()})


def markdown(found: pd.DataFrame) -> str:
    """The table to three digits, as in docs/diagnostics.md."""
    return found.map(_rounded).rename_axis("diagnostic").to_markdown(disable_numparse=True)


def _rounded(value: float) -> str:
    return f"> {HUGE:.0e}" if value > HUGE else f"{value:.3g}"
