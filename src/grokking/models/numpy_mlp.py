"""One-hot MLP with backpropagation by hand in NumPy (system 0); its torch twin is `one_hot_mlp`.

A one-hot input selects a row of the first weight matrix, so the first layer is a lookup forward and a
sum over equal tokens backward; the one-hot matrix is never formed.
"""

# B examples, T tokens, N hidden width, V classes

from dataclasses import dataclass as plain_dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, Positive
from grokking.data.tasks import Sizes
from grokking.models.table_mlp import Widths
from grokking.ops import numba_kernels as kernels
from grokking.ops.matmul import array_product

Parameters = dict[str, np.ndarray]


@dataclass(frozen=True, config=STRICT)
class NumpyMLPConfig:
    family: Literal["numpy_mlp"]
    hidden_widths: Widths
    init_scale: Positive  # multiplies the He-normal initial weights


def initialise(config: NumpyMLPConfig, sizes: Sizes, seed: int, dtype: str) -> Parameters:
    """He-normal weights, zero biases; layer 0 has a row per token of a, then per token of b."""
    rng = np.random.default_rng(seed)
    widths = [2 * sizes.tokens, *config.hidden_widths, sizes.classes]
    parameters = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        std = config.init_scale * (2 / inputs) ** 0.5
        parameters[f"layer_{layer}.weight"] = rng.normal(0, std, (inputs, outputs)).astype(dtype)
        parameters[f"layer_{layer}.bias"] = np.zeros(outputs, dtype)
    return parameters


@plain_dataclass(frozen=True)
class Forward:
    """Activations of a forward pass: inputs of layers 1, 2, ... and the logits."""

    hidden: list[np.ndarray]
    logits_BV: np.ndarray


def forward(parameters: Parameters, a_B: np.ndarray, b_B: np.ndarray) -> Forward:
    """ReLU network on the pairs (a, b)."""
    layers = len(parameters) // 2
    first = parameters["layer_0.weight"]
    tokens = len(first) // 2
    table = np.concatenate([first[:tokens], first[tokens:] + parameters["layer_0.bias"]])
    x = np.empty((len(a_B), table.shape[1]), table.dtype)
    kernels.sum_pairs(table[None], a_B[None], b_B[None], table.dtype.type(0), x[None])
    hidden = [x]
    for layer in range(1, layers):
        x = array_product(hidden[-1], parameters[f"layer_{layer}.weight"])
        x += parameters[f"layer_{layer}.bias"]
        if layer < layers - 1:
            hidden.append(np.maximum(x, 0, out=x))
    return Forward(hidden, x)


def backward(
    parameters: Parameters, passed: Forward, logit_gradient_BV: np.ndarray, a_B: np.ndarray, b_B: np.ndarray
) -> Parameters:
    """Gradients of every parameter from the gradient of the loss with respect to the logits."""
    gradients, delta = {}, logit_gradient_BV
    for layer in range(len(passed.hidden), 0, -1):
        inputs = passed.hidden[layer - 1]
        gradients[f"layer_{layer}.weight"] = array_product(inputs.T, delta)
        gradients[f"layer_{layer}.bias"] = delta.sum(0)
        delta = array_product(delta, parameters[f"layer_{layer}.weight"].T)
        if layer > 1:
            delta *= inputs > 0
    of_table = np.zeros_like(parameters["layer_0.weight"])
    tokens = len(of_table) // 2
    zero, hidden_1BN = delta.dtype.type(0), passed.hidden[0][None]
    kernels.add_pairs(delta[None], hidden_1BN, zero, a_B[None], b_B[None], of_table[None])
    gradients["layer_0.weight"], gradients["layer_0.bias"] = of_table, of_table[tokens:].sum(0)
    return gradients


def cross_entropy_gradient(logits_BV: np.ndarray, answer_B: np.ndarray, dtype: str) -> np.ndarray:
    """Gradient of the mean cross-entropy with respect to the logits: (softmax - one-hot) / B.

    It overwrites the logits; what sums over the classes is in `dtype`, as in `training.losses`.
    """
    lowest = kernels.LOWEST_EXPONENT[logits_BV.dtype.itemsize]
    kernels.subtract_peak(logits_BV, logits_BV.dtype.type(lowest))
    exponential_BV = np.exp(logits_BV, out=logits_BV)
    kernels.share_gradient(exponential_BV, answer_B, np.dtype(dtype).type(0))
    exponential_BV /= len(answer_B)
    return exponential_BV
