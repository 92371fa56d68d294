"""Tangent kernels of networks of any depth, estimated with random probes of the output.

With v ~ N(0, I) over the classes, E[vᵀ J(x) J(x')ᵀ v] is the trace kernel of `kernel`, if one v is shared
by all examples: two probes of their own would be independent and give zero. Each probe costs a backward pass
of the batch, and B² multiply-adds per unit of width; 8 to 16 are usual. Unbiased for the kernel, not for its
alignment, which comes out lower: the error of the estimate adds to the norm.
"""

# P probes, B examples, S places where a layer is used, I inputs and O outputs of a layer, V classes

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grokking.diagnostics.network import ACTIVATIONS


@dataclass(frozen=True)
class LayerPass:
    """What a layer saw: its inputs, and the gradient of vᵀ logits with respect to its outputs.

    S counts the places where one example uses the same weights: 1 in a dense stack, the positions in a
    transformer, 2 for an embedding table shared by both operands, whose inputs are one-hot.
    """

    inputs_BSI: np.ndarray
    gradients_PBSO: np.ndarray
    bias: bool


def probed_kernel(layers: Sequence[LayerPass]) -> np.ndarray:
    """The estimate (B, B), summed over layers: mean over probes of the inner products of gradients.

    A layer's gradient for one example is Σ_s gradient_s input_sᵀ, so products of two examples are
    Σ_st (input_s · input'_t + [bias]) (gradient_s · gradient'_t), and none is ever formed.
    """
    return np.sum([_layer_kernel(layer) for layer in layers], axis=0)


def _layer_kernel(layer: LayerPass) -> np.ndarray:
    places = range(layer.inputs_BSI.shape[1])
    return np.sum([_place_kernel(layer, s, t) for s in places for t in places], axis=0)


def _place_kernel(layer: LayerPass, s: int, t: int) -> np.ndarray:
    input_BB = layer.inputs_BSI[:, s] @ layer.inputs_BSI[:, t].T + float(layer.bias)
    here_BX, there_BX = (_probes_last(layer.gradients_PBSO[:, :, place]) for place in (s, t))
    return input_BB * (here_BX @ there_BX.T) / len(layer.gradients_PBSO)


def _probes_last(gradients_PBO: np.ndarray) -> np.ndarray:
    return gradients_PBO.swapaxes(0, 1).reshape(gradients_PBO.shape[1], -1)


def dense_passes(
    inputs_BI: np.ndarray,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray | None],
    activation: str,
    probes_PV: np.ndarray,
) -> list[LayerPass]:
    """Inputs and backpropagated probes of a stack of dense layers, weights (outputs, inputs) in order."""
    inputs, before = [inputs_BI], []
    for weight_OI, bias_O in zip(weights, biases, strict=True):
        before.append(inputs[-1] @ weight_OI.T + (0 if bias_O is None else bias_O))
        inputs.append(ACTIVATIONS[activation].apply(before[-1]))
    gradient_PBO = np.repeat(probes_PV[:, None], len(inputs_BI), axis=1)
    passes = [_pass(inputs[-2], gradient_PBO, biases[-1])]
    for layer in range(len(weights) - 2, -1, -1):
        gradient_PBO = gradient_PBO @ weights[layer + 1] * ACTIVATIONS[activation].derivative(before[layer])
        passes.insert(0, _pass(inputs[layer], gradient_PBO, biases[layer]))
    return passes


def _pass(inputs_BI: np.ndarray, gradient_PBO: np.ndarray, bias_O: np.ndarray | None) -> LayerPass:
    return LayerPass(inputs_BI[:, None], gradient_PBO[:, :, None], bias_O is not None)
