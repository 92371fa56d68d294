"""One-hot MLP (system 2): [one-hot a; one-hot b] -> hidden layers -> logits.

System 2 multiplies the first pre-activations by N^-alpha, N the first hidden width.
"""

# ... leading dimensions (replicas), T tokens, N first hidden width

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, Positive, one_of, satisfying
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, OneHotDense
from grokking.models.table_mlp import TorchMLP, Widths


@dataclass(frozen=True, config=STRICT)
class OneHotMLPConfig:
    family: Literal["one_hot_mlp"]
    hidden_widths: Widths
    activation: Annotated[str, one_of(ACTIVATIONS)]
    # first pre-activations are multiplied by N^-alpha
    alpha: Annotated[float, satisfying(lambda x: -10 <= x <= 10, "lie in [-10, 10]")]
    bias: bool
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter
    output_scale: Positive  # multiplies the logits


class OneHotMLP(TorchMLP):
    first_layer = ("first",)
    first_scale: Tensor

    def __init__(self, config: OneHotMLPConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        initialise, width = INITIALISATIONS[config.initialisation], config.hidden_widths[0]
        self.first = OneHotDense(2 * sizes.tokens, width, initialise, config.bias)
        self.register_buffer("first_scale", self.first.weight.new_tensor([width**-config.alpha]))
        layers.rescale(self, config.init_scale)

    @classmethod
    def has_hidden_matrices(cls, config: OneHotMLPConfig) -> bool:
        return len(config.hidden_widths) > 1

    def table(self) -> tuple[Tensor, Tensor]:
        """The first weight matrix, a row per input, and its bias, both scaled."""
        scale = self.first_scale  # (1,), or (R, 1)
        return scale.unsqueeze(-1) * self.first.weight, scale * self.first.bias
