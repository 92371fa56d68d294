"""One-hot MLP (systems 0 and 2): [one-hot a; one-hot b] -> hidden layers -> logits.

System 2 multiplies the first pre-activations by N^-alpha, N the first hidden width.
"""

# B examples, N hidden width, V classes

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, Positive, one_of
from grokking.data.tasks import Sizes
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, dense_stack, rescale
from grokking.models.lookup import rows


def at_least_one(widths: tuple[int, ...]) -> tuple[int, ...]:
    if not widths or min(widths) < 1:
        raise ValueError(f"must list at least one positive width, but got {list(widths)}")
    return widths


Widths = Annotated[tuple[int, ...], AfterValidator(at_least_one)]


@dataclass(frozen=True, config=STRICT)
class OneHotMLPConfig:
    family: Literal["one_hot_mlp"]
    hidden_widths: Widths
    activation: Annotated[str, one_of(ACTIVATIONS)]
    alpha: float  # first pre-activations are multiplied by N^-alpha
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter


class OneHotMLP(nn.Module):
    first_scale: Tensor

    def __init__(self, config: OneHotMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        initialise = INITIALISATIONS[config.initialisation]
        first, *others = config.hidden_widths
        self.activation = ACTIVATIONS[config.activation]
        self.tokens = sizes.tokens
        self.first = Dense(2 * sizes.tokens, first, initialise)
        self.layers = dense_stack([first, *others, sizes.classes], initialise)
        self.register_buffer("first_scale", self.first.weight.new_tensor(first**-config.alpha))
        rescale(self, config.init_scale)

    def forward(self, a_B: Tensor, b_B: Tensor) -> Tensor:
        # scaling and bias act on the 2T rows of the table, not on the B examples that read them
        first = self.first_scale * self.first.weight
        bias = self.first_scale * self.first.bias
        x_BN = self.activation(rows(first[: self.tokens], a_B) + rows(first[self.tokens :] + bias, b_B))
        for layer in self.layers[:-1]:
            x_BN = self.activation(layer(x_BN))
        return self.layers[-1](x_BN)


def multiply_adds(config: OneHotMLPConfig, sizes: Sizes) -> int:
    """Multiply-adds of one example's forward pass; the first layer is a lookup and counts nothing."""
    widths = [*config.hidden_widths, sizes.classes]
    return sum(inputs * outputs for inputs, outputs in pairwise(widths))
