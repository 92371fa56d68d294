"""MLP on pairs of tokens whose first layer is a table per operand (systems 0, 1, 2 and 4).

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend
on the example. So the first layer's product runs over the tokens, and examples look rows up.
"""

# ... leading dimensions (replicas), B examples, T tokens, N hidden width, V classes

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator
from torch import Tensor, nn

from grokking.models.layers import ACTIVATIONS, Initialisation, dense_stack
from grokking.models.lookup import rows


def _at_least_one(widths: tuple[int, ...]) -> tuple[int, ...]:
    if not widths or min(widths) < 1:
        raise ValueError(f"must list at least one positive width, but got {list(widths)}")
    return widths


Widths = Annotated[tuple[int, ...], AfterValidator(_at_least_one)]


class TableMLP(nn.Module):
    """Hidden layers and readout; families say what a token contributes in `tables`."""

    def __init__(
        self, hidden_widths: Sequence[int], classes: int, activation: str, init: Initialisation
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.layers = dense_stack([*hidden_widths, classes], init)

    def tables(self) -> tuple[Tensor, Tensor]:
        """First pre-activations added by each token as operand a and as operand b, (..., T, N) each."""
        raise NotImplementedError

    def logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor:
        """Logits (..., B, V) of the pairs (a, b), each (..., B), from tables computed once."""
        table_a, table_b = tables
        x = self.activation(rows(table_a, a) + rows(table_b, b))
        *hidden, readout = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return readout(x)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.logits(self.tables(), a, b)
