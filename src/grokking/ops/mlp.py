"""The dense stack of an MLP on pairs of tokens: rows looked up and summed, activations, layers, logits.

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend on
the example. So it stands in a table, a row for each token as operand a and below them one for each as b.
"""

# ... leading dimensions (none, or R replicas), B examples, T tokens, N hidden width, V classes
# In what is for one replica: I inputs and O outputs of a layer

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels
from grokking.ops.gelu import gelu
from grokking.ops.matmul import linear, multiply
from grokking.ops.switch import is_fast

Activation = Callable[[Tensor], Tensor]
Dense = Sequence[tuple[Tensor, Tensor]]  # weight (..., O, I) and bias (..., O) of each layer


def mlp(
    table: Tensor,
    a: Tensor,
    b: Tensor,
    dense: Dense,
    activation: Activation,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Logits (..., B, V) from a table (..., 2T, N) and pairs (..., B); `dtype` as in `matmul`."""
    if is_fast(table) and activation in BACKWARD:
        flat = [tensor for layer in dense for tensor in layer]
        return cast(Tensor, _MLP.apply(activation, dtype, table, a, b, *flat))
    *hidden, (weight, bias) = dense
    return linear(mlp_hidden(table, a, b, hidden, activation, dtype), weight, bias, dtype)


def mlp_hidden(
    table: Tensor,
    a: Tensor,
    b: Tensor,
    dense: Dense,
    activation: Activation,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Activations of the last hidden layer, (..., B, N); `dense` is of the layers up to it."""
    x = activation(rows(table, a) + rows(table, table.shape[-2] // 2 + b))
    for weight, bias in dense:
        x = activation(linear(x, weight, bias, dtype))
    return x


def rows(table: Tensor, index: Tensor) -> Tensor:
    """A row of the table for each example: (..., T, N), (..., B) -> (..., B, N)."""
    return table.gather(-2, index.unsqueeze(-1).expand(*index.shape, table.shape[-1]))


def _gelu_backward(grad: Tensor, before: Tensor) -> Tensor:
    return torch.ops.aten.gelu_backward(grad, before)


def _square_backward(grad: Tensor, before: Tensor) -> Tensor:
    return grad.mul_(before).mul_(2)


def _relu_backward(grad: Tensor, before: Tensor) -> Tensor:
    return grad.mul_(before > 0)


# The gradient before an activation from that after it, which may be overwritten, and from pre-activations
BACKWARD: dict[Activation, Callable[[Tensor, Tensor], Tensor]] = {
    torch.relu: _relu_backward,
    gelu: _gelu_backward,
    torch.square: _square_backward,
}


class _MLP(Function):
    """Replicas one after the other, each by the two functions below."""

    @staticmethod
    def forward(
        ctx: Any,
        activation: Activation,
        dtype: torch.dtype | None,
        table: Tensor,
        a: Tensor,
        b: Tensor,
        *dense: Tensor,
    ) -> Tensor:
        ctx.activation, ctx.dtype = activation, dtype
        ctx.save_for_backward(table, a, b, *dense)
        passed = [_forward(*replica, activation, dtype) for replica in _replicas(table, a, b, *dense)]
        ctx.hidden = [hidden for hidden, _ in passed]
        return _stacked([logits for _, logits in passed], like=a)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        table, a, b, *dense = ctx.saved_tensors
        each = zip(_replicas(table, a, b, *dense), _each(grads[0], 2), ctx.hidden, strict=True)
        of_each = [
            _backward(*replica, ctx.activation, ctx.dtype, hidden, grad) for replica, grad, hidden in each
        ]
        grad_table, *grad_dense = (_stacked(of_one, like=a) for of_one in zip(*of_each, strict=True))
        return None, None, grad_table, None, None, *grad_dense


def _forward(
    table_TN: Tensor,
    a_B: Tensor,
    b_B: Tensor,
    dense: Sequence[Tensor],
    activation: Activation,
    dtype: torch.dtype | None,
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """What each hidden layer's activation was given and gave, and the logits. ReLU is done in place."""
    relu, weights, biases = activation is torch.relu, dense[::2], dense[1::2]
    x = table_TN.new_empty(len(a_B), table_TN.shape[1])
    kernels.sum_pairs(*map(kernels.array, (table_TN, a_B, b_B)), relu, kernels.array(x))
    hidden = [(x, x if relu else activation(x))]
    for weight_OI, bias_O in zip(weights[:-1], biases[:-1], strict=True):
        x = multiply(hidden[-1][1], weight_OI.mT, dtype)
        if relu:
            kernels.add_bias_relu(kernels.array(x), kernels.array(bias_O))
        else:
            x += bias_O
        hidden.append((x, x if relu else activation(x)))
    return hidden, multiply(hidden[-1][1], weights[-1].mT, dtype).add_(biases[-1])


def _backward(
    table_TN: Tensor,
    a_B: Tensor,
    b_B: Tensor,
    dense: Sequence[Tensor],
    activation: Activation,
    dtype: torch.dtype | None,
    hidden: list[tuple[Tensor, Tensor]],
    grad: Tensor,
) -> list[Tensor]:
    """Gradients of the table and of each layer's weight and bias."""
    relu, grad_dense = activation is torch.relu, [torch.zeros_like(tensor) for tensor in dense]
    grad_dense[-1] = grad.sum(0)
    for number in reversed(range(len(hidden))):
        before, after = hidden[number]
        grad_dense[2 * number] = multiply(grad.mT, after, dtype)
        grad = multiply(grad, dense[2 * number], dtype)
        if not relu:
            grad = BACKWARD[activation](grad, before)
        if number > 0 and relu:
            kernels.relu_backward(*map(kernels.array, (grad, after, grad_dense[2 * number - 1])))
        elif number > 0:
            grad_dense[2 * number - 1] = grad.sum(0)
    grad_table_TN = torch.zeros_like(table_TN)
    first = kernels.array(hidden[0][1])
    kernels.add_pairs(kernels.array(grad), first, relu, *map(kernels.array, (a_B, b_B, grad_table_TN)))
    return [grad_table_TN, *grad_dense]


def _replicas(
    table: Tensor, a: Tensor, b: Tensor, *dense: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]]:
    """The tensors of one replica after the other."""
    of_dense = zip(*(_each(tensor, 2 - number % 2) for number, tensor in enumerate(dense)), strict=True)
    return zip(_each(table, 2), _each(a, 1), _each(b, 1), of_dense, strict=True)


def _each(tensor: Tensor, dimensions: int) -> Sequence[Tensor]:
    """A tensor with these dimensions of each replica, or of the only one."""
    whole = tensor.contiguous()
    return whole.unbind(0) if whole.dim() > dimensions else [whole]


def _stacked(tensors: Sequence[Tensor], like: Tensor) -> Tensor:
    """The replicas' tensors, with a dimension for them where `like` (..., B) has one."""
    if like.dim() == 1:
        return tensors[0]
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(list(tensors))
