"""The dense stack of an MLP on pairs of tokens: rows looked up and summed, activations, layers, logits.

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend on
the example. So it stands in a table, a row for each token as operand a and below them one for each as b.
"""

# ... leading dimensions (none, or R replicas), B examples, T tokens, N first hidden width, V classes
# Of one replica: S examples of a slice, I inputs and O outputs of a layer

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels
from grokking.ops.lookup import rows
from grokking.ops.matmul import linear, multiply
from grokking.ops.numba_kernels import array
from grokking.ops.replicas import each, together
from grokking.ops.switch import is_fast

Activation = Callable[[Tensor], Tensor]
Dense = Sequence[tuple[Tensor, Tensor]]  # weight (..., O, I) and bias (..., O) of each layer

SLICE = 2**18  # activations at a time (1 MiB in float32): they stay in cache from one pass to the next


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


def _relu_backward(grad: Tensor, after: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.grad_input(grad, after, 0, grad_input=grad)


# The gradient before an activation, from that after it, which may be overwritten, and from pre-activations;
# ReLU is done in place of these and has the same sign.
BACKWARD: dict[Activation, Callable[[Tensor, Tensor], Tensor]] = {
    torch.relu: _relu_backward,
    torch.nn.functional.gelu: lambda grad, before: torch.ops.aten.gelu_backward(grad, before),
    torch.square: lambda grad, before: grad.mul_(before).mul_(2),
}


class _MLP(Function):
    """Replica by replica and slice by slice, without a graph inside."""

    @staticmethod
    def forward(
        ctx: Any, activation: Activation, dtype: torch.dtype | None, a: Tensor, b: Tensor, *parameters: Tensor
    ) -> Tensor:
        ctx.rule, ctx.hidden, logits = (activation, dtype), [], []
        ctx.save_for_backward(a, b, *parameters)
        for network, a_B, b_B in zip(_networks(ctx.rule, parameters), each(a, 1), each(b, 1), strict=True):
            logits.append(a_B.new_empty(len(a_B), parameters[-1].shape[-1], dtype=network.table.dtype))
            slices = zip(*(x.split(network.slice) for x in (a_B, b_B, logits[-1])), strict=True)
            ctx.hidden.append([network.forward(*of_slice) for of_slice in slices])
        return together(logits, stacked=a.dim() > 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *parameters = ctx.saved_tensors
        sums = [[torch.zeros_like(x) for x in one] for one in zip(*_each_of(parameters), strict=True)]
        replicas = zip(
            _networks(ctx.rule, parameters), each(a, 1), each(b, 1), each(grads[0], 2), strict=True
        )
        for (network, *examples), hidden, of_one in zip(replicas, ctx.hidden, sums, strict=True):
            slices = zip(*(x.split(network.slice) for x in examples), strict=True)
            for (a_S, b_S, grad_SV), of_slice in zip(slices, hidden, strict=True):
                network.backward(a_S, b_S, grad_SV, of_slice, of_one)
            torch.sum(of_one[0].chunk(2)[1], 0, out=of_one[1])  # an example has one row of b, and the bias
        return None, None, None, None, *(together(x, a.dim() > 1) for x in zip(*sums, strict=True))


def _each_of(parameters: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """Matrices and biases in turns, of each replica."""
    return [each(parameter, 2 - number % 2) for number, parameter in enumerate(parameters)]


def _networks(rule: tuple[Any, Any], parameters: Sequence[Tensor]) -> Iterator["_Network"]:
    for table, bias, *dense in zip(*_each_of(parameters), strict=True):
        yield _Network(*rule, table, bias, dense[::2], dense[1::2])


class _Network(NamedTuple):
    """One replica; its passes are for a slice of its examples."""

    activation: Activation
    dtype: torch.dtype | None
    table: Tensor  # (2T, N)
    bias: Tensor  # (N,)
    weights: Sequence[Tensor]  # (O, I) of each layer
    biases: Sequence[Tensor]  # (O,)

    @property
    def slice(self) -> int:
        """Examples at a time."""
        return max(1, SLICE // max(len(bias) for bias in (self.bias, *self.biases[:-1])))

    def forward(self, a_S: Tensor, b_S: Tensor, logits_SV: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Write the logits; return input and output of each activation. ReLU is done in place."""
        relu, x = self.activation is torch.relu, self.table.new_empty(len(a_S), len(self.bias))
        kernels.sum_pairs(*map(array, (self.table, self.bias, a_S, b_S)), relu, array(x))
        hidden = [(x, x if relu else self.activation(x))]
        for weight_OI, bias_O in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x.new_empty(len(x), len(bias_O))
            multiply(hidden[-1][1], weight_OI.mT, start=bias_O, out=x, dtype=self.dtype)
            hidden.append((x, torch.relu_(x) if relu else self.activation(x)))
        last = self.weights[-1].mT
        multiply(hidden[-1][1], last, start=self.biases[-1], out=logits_SV, dtype=self.dtype)
        return hidden

    def backward(
        self, a_S: Tensor, b_S: Tensor, grad: Tensor, hidden: list[tuple[Tensor, Tensor]], sums: list[Tensor]
    ) -> None:
        """Add the gradients of all parameters, in their order, but for the table's bias."""
        relu, (_, first) = self.activation is torch.relu, hidden[0]
        for number in reversed(range(len(hidden))):
            before, after = hidden[number]
            sum_OI, sum_O = sums[2 * number + 2 : 2 * number + 4]
            sum_O.add_(grad.sum(0))
            multiply(grad.mT, after, start=sum_OI, out=sum_OI, dtype=self.dtype)
            grad = multiply(grad, self.weights[number], out=torch.empty_like(after), dtype=self.dtype)
            if number > 0 or not relu:  # that of the first ReLU is in the kernel
                grad = BACKWARD[self.activation](grad, before)
        kernels.add_pairs(array(grad), array(first), relu, *map(array, (a_S, b_S, sums[0])))
