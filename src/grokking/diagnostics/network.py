"""A two-layer network as NumPy arrays, and its forward pass on pairs of tokens."""

# B pairs, T tokens, N hidden width, V classes

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr


@dataclass(frozen=True)
class Activation:
    """A function of pre-activations and its derivative."""

    apply: Callable[[np.ndarray], np.ndarray]
    derivative: Callable[[np.ndarray], np.ndarray]


def _relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


def _relu_derivative(z: np.ndarray) -> np.ndarray:
    return (z > 0).astype(z.dtype)


def _gelu(z: np.ndarray) -> np.ndarray:
    return z * ndtr(z)


def _gelu_derivative(z: np.ndarray) -> np.ndarray:
    return ndtr(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _square_derivative(z: np.ndarray) -> np.ndarray:
    return 2 * z


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(_relu, _relu_derivative),
    "gelu": Activation(_gelu, _gelu_derivative),
    "square": Activation(np.square, _square_derivative),
}


@dataclass(frozen=True)
class TwoLayerMLP:
    """readout · φ(scale · (first_a[a] + first_b[b] + first_bias)) + readout_bias, one-hot inputs.

    A bias that is None is not a parameter of the network. `scale` is N^-alpha in system 2.
    """

    first_a_TN: np.ndarray
    first_b_TN: np.ndarray
    first_bias_N: np.ndarray | None
    readout_VN: np.ndarray
    readout_bias_V: np.ndarray | None
    scale: float
    activation: str  # a key of ACTIVATIONS

    def pre_activations(self, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
        """What the activation is applied to, (B, N)."""
        summed_BN = self.first_a_TN[a_B] + self.first_b_TN[b_B]
        return self.scale * (summed_BN if self.first_bias_N is None else summed_BN + self.first_bias_N)

    def hidden(self, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
        """Hidden activations, (B, N)."""
        return ACTIVATIONS[self.activation].apply(self.pre_activations(a_B, b_B))

    def logits(self, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
        """Logits, (B, V)."""
        logits_BV = self.hidden(a_B, b_B) @ self.readout_VN.T
        return logits_BV if self.readout_bias_V is None else logits_BV + self.readout_bias_V


def all_pairs(tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair (a, b), ordered by a, then b: two arrays of length T²."""
    first, second = np.divmod(np.arange(tokens**2), tokens)
    return first, second
