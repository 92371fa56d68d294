"""MLP on pairs of tokens whose first layer is a table per operand (systems 0, 1, 2 and 4).

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend
on the example. So the first layer's product runs over the tokens, and examples look rows up.
"""

# ... leading dimensions (replicas), B examples, T tokens, N hidden width, V classes

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Protocol, cast

import torch
from pydantic import AfterValidator
from torch import Tensor, nn

from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, dense_stack
from grokking.ops.lookup import add_pairs, sum_pairs
from grokking.ops.matmul import add_product, affine, product


def _at_least_one(widths: tuple[int, ...]) -> tuple[int, ...]:
    if not widths or min(widths) < 1:
        raise ValueError(f"must list at least one positive width, but got {list(widths)}")
    return widths


Widths = Annotated[tuple[int, ...], AfterValidator(_at_least_one)]


class TableMLPConfig(Protocol):
    """What the families' configurations have in common."""

    @property
    def hidden_widths(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def initialisation(self) -> str: ...
    @property
    def bias(self) -> bool: ...
    @property
    def output_scale(self) -> float: ...


class TableMLP(nn.Module, ABC):
    """Hidden layers and readout; families say what a token contributes in `tables`."""

    by_autograd = False
    output_scale: Tensor

    def __init__(self, config: TableMLPConfig, classes: int) -> None:
        super().__init__()
        initialise, widths = INITIALISATIONS[config.initialisation], [*config.hidden_widths, classes]
        self.activation = ACTIVATIONS[config.activation]
        self.layers = dense_stack(widths, initialise, config.bias)
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))

    @property
    def readout(self) -> str:
        """The name of the last layer."""
        return f"layers.{len(self.layers) - 1}"

    @abstractmethod
    def tables(self) -> tuple[Tensor]:
        """First pre-activations added by each token as operand a, then as operand b: (..., 2T, N)."""

    def logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor:
        """Logits (..., B, V) of the pairs (a, b), each (..., B), from tables computed once."""
        (table,) = tables
        _, after = self._hidden(table, a, b)
        return self._unembedded(after[-1])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.logits(self.tables(), a, b)

    @torch.no_grad()
    def backpropagate(
        self,
        tables: tuple[Tensor, ...],
        a: Tensor,
        b: Tensor,
        of_logits: Callable[[Tensor], Tensor],
        of_tables: tuple[Tensor, ...],
        of_parameters: Mapping[str, Tensor],
    ) -> None:
        """As `Model` has it, by hand and for stacked replicas.

        Activations of a batch fall out of the fastest cache, so what counts is how often memory is read and
        written: each is made in place of its pre-activation and each gradient in place of the one before it,
        and products add to the sums themselves.
        """
        (table,), (of_table,) = tables, of_tables
        before, after = self._hidden(table, a, b)
        gradient = of_logits(self._unembedded(after[-1])).mul_(self.output_scale.unsqueeze(-1))
        for number in reversed(range(len(self.layers))):
            layer, name = self._dense()[number], f"layers.{number}"
            add_product(of_parameters[f"{name}.weight"], gradient.mT, after[number], layer.factors)
            if f"{name}.bias" in of_parameters:
                of_parameters[f"{name}.bias"].add_(gradient.sum(-2))
            gradient = product(gradient, layer.weight, layer.factors)
            if number > 0 or not self.activation.rectifies:
                gradient = self.activation.gradient(gradient, before[number], after[number])
        add_pairs(gradient, after[0], a, b, self.activation.rectifies, of_table)

    @abstractmethod
    def backpropagate_tables(
        self, tables: tuple[Tensor, ...], of_tables: tuple[Tensor, ...], of_parameters: Mapping[str, Tensor]
    ) -> None:
        """As `Model` has it, for stacked replicas."""

    def _hidden(self, table: Tensor, a: Tensor, b: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of each hidden layer what its activation was given and gave, (..., B, N); one may be the other."""
        rectified = self.activation.rectifies
        before = [sum_pairs(table, a, b, rectified)]
        after = [before[0] if rectified else self.activation.apply(before[0])]
        for layer in self._dense()[:-1]:
            before.append(layer(after[-1]))
            after.append(self.activation.apply(before[-1]))
        return before, after

    def _unembedded(self, x: Tensor) -> Tensor:
        """Logits (..., B, V) of rows (..., B, N); the scale is cheaper on the weights than on the logits."""
        last = self._dense()[-1]
        weight = self.output_scale.unsqueeze(-1) * last.weight
        return affine(x, weight, self.output_scale * last.bias, last.factors)

    def _dense(self) -> list[Dense]:
        return [cast(Dense, layer) for layer in self.layers]
