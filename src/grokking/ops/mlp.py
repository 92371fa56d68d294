"""The dense stack of an MLP on pairs of tokens: rows looked up and summed, activations, layers, logits.

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend on
the example. So it stands in a table, a row for each token as operand a and below them one for each as b.
"""

# ... leading dimensions (none, or R replicas), B examples, T tokens, N first hidden width, V classes
# Of one replica: S examples of a slice, I inputs and O outputs of a layer

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels
from grokking.ops.matmul import linear, multiply
from grokking.ops.numba_kernels import array
from grokking.ops.replicas import each, together
from grokking.ops.switch import is_fast

Activation = Callable[[Tensor], Tensor]
Dense = Sequence[tuple[Tensor, Tensor]]  # weight (..., O, I) and bias (..., O) of each layer

SLICE = 2**17  # activations at a time (512 KiB in float32): they stay in cache from one pass to the next


def mlp(
    table: Tensor,
    bias: Tensor,
    a: Tensor,
    b: Tensor,
    dense: Dense,
    activation: Activation,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Logits (..., B, V) of pairs (..., B), from a table (..., 2T, N), its bias (..., N) and dense layers.

    `dtype` is that of `matmul`.
    """
    if is_fast(table) and activation in BACKWARD:
        flat = [tensor for layer in dense for tensor in layer]
        return cast(Tensor, _MLP.apply(activation, dtype, a, b, table, bias, *flat))
    *hidden, (weight, last_bias) = dense
    return linear(mlp_hidden(table, bias, a, b, hidden, activation, dtype), weight, last_bias, dtype)


def mlp_hidden(
    table: Tensor,
    bias: Tensor,
    a: Tensor,
    b: Tensor,
    dense: Dense,
    activation: Activation,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Activations of the last hidden layer, (..., B, N); `dense` is of the layers up to it."""
    x = activation(rows(table, a) + rows(table, table.shape[-2] // 2 + b) + bias.unsqueeze(-2))
    for weight, bias_O in dense:
        x = activation(linear(x, weight, bias_O, dtype))
    return x


def rows(table: Tensor, index: Tensor) -> Tensor:
    """A row of the table for each example: (..., T, N), (..., B) -> (..., B, N)."""
    return table.gather(-2, index.unsqueeze(-1).expand(*index.shape, table.shape[-1]))


# The gradient before an activation, from that after it, which may be overwritten, and from pre-activations;
# that of ReLU is in the kernels.
BACKWARD: dict[Activation, Callable[[Tensor, Tensor], Tensor] | None] = {
    torch.relu: None,
    nn.functional.gelu: lambda grad, before: torch.ops.aten.gelu_backward(grad, before),
    torch.square: lambda grad, before: grad.mul_(before).mul_(2),
}


class _MLP(Function):
    """Replica by replica and slice by slice, by `_forward` and `_backward`."""

    @staticmethod
    def forward(
        ctx: Any, activation: Activation, dtype: torch.dtype | None, a: Tensor, b: Tensor, *parameters: Tensor
    ) -> Tensor:
        ctx.activation, ctx.dtype, ctx.hidden, logits = activation, dtype, [], []
        ctx.save_for_backward(a, b, *parameters)
        for a_B, b_B, network in zip(each(a, 1), each(b, 1), _networks(parameters), strict=True):
            logits.append(network.table.new_empty(len(a_B), len(network.biases[-1])))
            slices = zip(*(x.split(network.slice) for x in (a_B, b_B, logits[-1])), strict=True)
            ctx.hidden.append([_forward(network, a_S, b_S, activation, dtype, out) for a_S, b_S, out in slices])
        return together(logits, stacked=a.dim() > 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *parameters = ctx.saved_tensors
        examples = zip(each(a, 1), each(b, 1), each(grads[0], 2), ctx.hidden, strict=True)
        sums = []
        for network, (a_B, b_B, grad_BV, hidden) in zip(_networks(parameters), examples, strict=True):
            sums.append([torch.zeros_like(parameter) for parameter in network.parameters()])
            (of_network,) = _networks(sums[-1])
            slices = zip(*(x.split(network.slice) for x in (a_B, b_B, grad_BV)), hidden, strict=True)
            for a_S, b_S, grad_SV, of_slice in slices:
                _backward(network, a_S, b_S, ctx.activation, ctx.dtype, of_slice, grad_SV, of_network)
            rows_b = of_network.table.chunk(2)[1]  # each example has one row of operand b, which has the bias
            torch.sum(rows_b, 0, out=of_network.bias)
        return None, None, None, None, *(together(of_one, a.dim() > 1) for of_one in zip(*sums, strict=True))


class _Network(NamedTuple):
    """The parameters of one replica, or the sums of their gradients."""

    table: Tensor  # (2T, N)
    bias: Tensor  # (N,)
    weights: Sequence[Tensor]  # (O, I) of each layer
    biases: Sequence[Tensor]  # (O,)

    @property
    def slice(self) -> int:
        """Examples at a time."""
        return max(1, SLICE // max(len(bias) for bias in (self.bias, *self.biases[:-1])))

    def parameters(self) -> list[Tensor]:
        """In the order in which they are given."""
        dense = zip(self.weights, self.biases, strict=True)
        return [self.table, self.bias, *(tensor for layer in dense for tensor in layer)]


def _networks(parameters: Sequence[Tensor]) -> Iterator[_Network]:
    """Those of each replica: table, bias, then weight and bias of each layer."""
    of_each = (each(parameter, 2 - number % 2) for number, parameter in enumerate(parameters))
    for table, bias, *dense in zip(*of_each, strict=True):
        yield _Network(table, bias, dense[::2], dense[1::2])


def _forward(
    network: _Network,
    a_S: Tensor,
    b_S: Tensor,
    activation: Activation,
    dtype: torch.dtype | None,
    out_SV: Tensor,
) -> list[tuple[Tensor, Tensor]]:
    """Write the logits; return what each hidden layer's activation was given and gave. ReLU is in place."""
    relu, x = activation is torch.relu, network.table.new_empty(len(a_S), len(network.bias))
    kernels.sum_pairs(*map(array, (network.table, network.bias, a_S, b_S)), relu, array(x))
    hidden = [(x, x if relu else activation(x))]
    for weight_OI, bias_O in zip(network.weights[:-1], network.biases[:-1], strict=True):
        x = x.new_empty(len(x), len(bias_O))
        multiply(hidden[-1][1], weight_OI.mT, out=x, dtype=dtype)
        kernels.add_bias(array(x), array(bias_O), relu)
        hidden.append((x, x if relu else activation(x)))
    multiply(hidden[-1][1], network.weights[-1].mT, start=network.biases[-1], out=out_SV, dtype=dtype)
    return hidden


def _backward(
    network: _Network,
    a_S: Tensor,
    b_S: Tensor,
    activation: Activation,
    dtype: torch.dtype | None,
    hidden: list[tuple[Tensor, Tensor]],
    grad: Tensor,
    sums: _Network,
) -> None:
    """Add the gradients of the table, the weights and the biases, but for the table's bias, to their sums."""
    of_activation = BACKWARD[activation]
    for number in reversed(range(len(hidden))):
        before, after = hidden[number]
        grad_OI = sums.weights[number]
        sums.biases[number].add_(grad.sum(0))
        multiply(grad.mT, after, start=grad_OI, out=grad_OI, dtype=dtype)
        grad = multiply(grad, network.weights[number], out=torch.empty_like(after), dtype=dtype)
        if of_activation is not None:
            grad = of_activation(grad, before)
        elif number > 0:
            kernels.relu_backward(array(grad), array(after))
    first, relu = hidden[0][1], of_activation is None
    kernels.add_pairs(array(grad), array(first), relu, *map(array, (a_S, b_S, sums.table)))
