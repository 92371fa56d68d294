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
    x = first.take(a_B, axis=0)
    x += (first[tokens:] + parameters["layer_0.bias"]).take(b_B, axis=0)
    hidden = [np.maximum(x, 0, out=x)]
    for layer in range(1, layers):
        x = hidden[-1] @ parameters[f"layer_{layer}.weight"]
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
        gradients[f"layer_{layer}.weight"] = inputs.T @ delta
        gradients[f"layer_{layer}.bias"] = delta.sum(0)
        delta = delta @ parameters[f"layer_{layer}.weight"].T
        delta *= inputs > 0
    gradients["layer_0.weight"] = _sum_by_token(delta, a_B, b_B, len(parameters["layer_0.weight"]) // 2)
    gradients["layer_0.bias"] = delta.sum(0)
    return gradients


def _sum_by_token(delta_BN: np.ndarray, a_B: np.ndarray, b_B: np.ndarray, tokens: int) -> np.ndarray:
    """Row t sums delta over the examples with a = t, row T + t over those with b = t."""
    from scipy.sparse import csr_array  # half a second that no other family's training needs

    columns = np.stack([a_B, b_B + tokens], axis=1).ravel()
    two_per_row = np.arange(0, len(columns) + 1, 2)
    chosen = csr_array((np.ones(len(columns), delta_BN.dtype), columns, two_per_row), (len(a_B), 2 * tokens))
    return chosen.T @ delta_BN


def cross_entropy_gradient(logits_BV: np.ndarray, answer_B: np.ndarray, dtype: str) -> np.ndarray:
    """Gradient of the mean cross-entropy with respect to the logits: (softmax - one-hot) / B.

    It overwrites the logits; what sums over the classes is in `dtype`, as in `training.losses`.
    """
    answered = np.arange(len(answer_B)), answer_B
    logits_BV -= logits_BV.max(1, keepdims=True)
    exponential_BV = np.exp(logits_BV, out=logits_BV)
    total_B1 = exponential_BV.sum(1, keepdims=True, dtype=dtype)
    total_B = total_B1[:, 0]
    at_answer_B = (exponential_BV[answered] - total_B) / (len(answer_B) * total_B)
    exponential_BV *= (1 / (len(answer_B) * total_B1)).astype(logits_BV.dtype)
    exponential_BV[answered] = at_answer_B
    return exponential_BV
