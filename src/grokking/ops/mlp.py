"""The dense stack of an MLP on pairs of tokens: rows looked up and summed, activations, layers, logits.

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend on
the example. So it stands in a table, a row for each token as operand a and below them one for each as b.
"""

# ... leading dimensions (none, or R replicas), B examples, T tokens, N first hidden width, V classes
# Of one replica: S examples of a slice, I inputs and O outputs of a layer

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from grokking.ops import numba_kernels as kernels
from grokking.ops.lookup import rows
from grokking.ops.matmul import add_product, linear, matmul
from grokking.ops.numba_kernels import array
from grokking.ops.replicas import by_replica
from grokking.ops.switch import is_fast

Activation = Callable[[Tensor], Tensor]
Layer = tuple[Tensor, Tensor]  # the first: table (..., 2T, N) and bias (..., N)
Layers = Sequence[Layer]  # the others: weight (..., O, I) and bias (..., O)
Dtype = torch.dtype | None  # as in `matmul`
Hidden = list[tuple[Tensor, Tensor]]  # of a slice: input and output of each activation

SLICE = 2**18  # activations at a time (1 MiB in float32): they stay in cache from one pass to the next


def mlp(
    first: Layer, a: Tensor, b: Tensor, dense: Layers, activation: Activation, dtype: Dtype = None
) -> Tensor:
    """Logits (..., B, V) of pairs (..., B)."""
    if is_fast(a) and activation in BACKWARD:
        return by_replica(_MLP(activation, dtype), a.dim() > 1, a, b, *chain(first, *dense))
    *hidden, (weight, last_bias) = dense
    return linear(mlp_hidden(first, a, b, hidden, activation, dtype), weight, last_bias, dtype)


def mlp_hidden(
    first: Layer, a: Tensor, b: Tensor, hidden: Layers, activation: Activation, dtype: Dtype = None
) -> Tensor:
    """Activations of the last hidden layer, (..., B, N), by torch's operations; `_MLP` has them in slices.

    `hidden` are the layers between the first and the readout.
    """
    table, bias = first
    tokens = table.shape[-2] // 2  # rows 0 to T - 1 are of operand a, T to 2T - 1 of operand b
    x = activation(rows(table, a) + rows(table, tokens + b) + bias.unsqueeze(-2))
    for weight, bias_O in hidden:
        x = activation(linear(x, weight, bias_O, dtype))
    return x


def _relu_backward(grad: Tensor, after: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.grad_input(grad, after, 0, grad_input=grad)


# Of each activation: gradient of its output, its input -> gradient of its input; may write into the first.
# ReLU is done in place, so its backward pass reads the output, which is above 0 where the input is.
BACKWARD: dict[Activation, Callable[[Tensor, Tensor], Tensor]] = {
    torch.relu: _relu_backward,
    torch.nn.functional.gelu: torch.ops.aten.gelu_backward,
    torch.square: lambda grad, before: grad.mul_(before).mul_(2),
}


@dataclass(frozen=True)
class _MLP:
    """Slice by slice of one replica's examples, without a graph inside."""

    activation: Activation
    dtype: Dtype

    def forward(self, *tensors: Tensor) -> tuple[Tensor, list[Hidden]]:
        a_B, b_B, *parameters = tensors
        logits_BV = parameters[0].new_empty(len(a_B), len(parameters[-1]))
        return logits_BV, [self._forward(parameters, *s) for s in _slices(parameters, a_B, b_B, logits_BV)]

    def backward(self, grad: Tensor, hidden_of_slices: list[Hidden], *tensors: Tensor) -> list[Tensor | None]:
        a_B, b_B, *parameters = tensors
        relu, sums = self.activation is torch.relu, [torch.zeros_like(x) for x in parameters]
        slices = _slices(parameters, a_B, b_B, grad)
        for (a_S, b_S, grad_S), hidden in zip(slices, hidden_of_slices, strict=True):
            layers = zip(parameters[2::2], sums[2::2], sums[3::2], hidden, strict=True)
            for number, (weight_OI, sum_OI, sum_O, (before, after)) in reversed(list(enumerate(layers))):
                sum_O.add_(grad_S.sum(0))
                add_product(sum_OI, grad_S.mT, after, self.dtype)
                grad_S = matmul(grad_S, weight_OI, self.dtype)
                if number > 0 or not relu:  # that of the first ReLU is in the kernel
                    grad_S = BACKWARD[self.activation](grad_S, before)
            kernels.add_pairs(array(grad_S), array(hidden[0][1]), relu, *map(array, (a_S, b_S, sums[0])))
        torch.sum(sums[0].chunk(2)[1], 0, out=sums[1])  # each example adds to one row of b and to the bias
        return [None, None, *sums]

    def _forward(self, parameters: Sequence[Tensor], a_S: Tensor, b_S: Tensor, logits_SV: Tensor) -> Hidden:
        """Write the logits of a slice; ReLU is done in place."""
        relu, (table, bias, *dense) = self.activation is torch.relu, parameters
        x = table.new_empty(len(a_S), len(bias))
        kernels.sum_pairs(*map(array, (table, bias, a_S, b_S)), relu, array(x))
        hidden = [(x, x if relu else self.activation(x))]
        for weight_OI, bias_O in zip(dense[:-2:2], dense[1:-2:2], strict=True):
            x = linear(hidden[-1][1], weight_OI, bias_O, self.dtype)
            hidden.append((x, torch.relu_(x) if relu else self.activation(x)))
        logits_SV.copy_(linear(hidden[-1][1], dense[-2], dense[-1], self.dtype))
        return hidden


def _slices(parameters: Sequence[Tensor], *of_examples: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of all examples in parts, by the widest hidden layer."""
    size = max(1, SLICE // max(len(bias) for bias in parameters[1:-1:2]))
    return zip(*(x.split(size) for x in of_examples), strict=True)
