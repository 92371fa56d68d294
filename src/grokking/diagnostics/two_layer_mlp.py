"""A two-layer network as NumPy arrays: its forward pass on pairs of tokens, and its activation's slope."""

# B pairs, T tokens, N hidden width, V classes

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokking import ops
from grokking.models.layers import ACTIVATIONS


@dataclass(frozen=True)
class TwoLayerMLP:
    """output_scale · (readout · φ(scale · (first_a[a] + first_b[b] + first_bias)) + readout_bias).

    Inputs are one-hot. A bias that is None is not a parameter. `scale` is N^-alpha in system 2.
    """

    first_a_TN: np.ndarray
    first_b_TN: np.ndarray
    readout_VN: np.ndarray
    activation: str  # a key of models.layers.ACTIVATIONS
    first_bias_N: np.ndarray | None = None
    readout_bias_V: np.ndarray | None = None
    scale: float = 1.0
    output_scale: float = 1.0

    def pre_activations(self, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
        """What the activation is applied to, (B, N)."""
        summed_BN = self.first_a_TN[a_B] + self.first_b_TN[b_B]
        return self.scale * (summed_BN if self.first_bias_N is None else summed_BN + self.first_bias_N)

    def hidden(self, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
        """Hidden activations, (B, N)."""
        return activated(self.activation, torch.from_numpy(self.pre_activations(a_B, b_B))).numpy()

    def logits(self, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
        """Logits, (B, V)."""
        logits_BV = self.hidden(a_B, b_B) @ self.readout_VN.T
        return self.output_scale * (
            logits_BV if self.readout_bias_V is None else logits_BV + self.readout_bias_V
        )


def activated(activation: str, z: Tensor) -> Tensor:
    """The activation of pre-activations; it can be differentiated twice."""
    with ops.use("plain"):
        return ACTIVATIONS[activation](z)


def activation_and_slope(activation: str, z_BN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The activation at each entry and its derivative there."""
    z = torch.from_numpy(z_BN).requires_grad_()
    value = activated(activation, z)
    (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach().numpy(), slope.numpy()
