"""Recurrent network: layers of LSTM or GRU cells read the tokens in turn; the answer is read at the end."""

# ... leading dimensions (replicas), B examples, S positions of a sequence, I inputs, H width, V classes

from typing import Annotated, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, Depth, LayerWidth, Positive, one_of
from grokking.data.tasks import Sizes
from grokking.models import layers, sequences
from grokking.models.layers import Dense, fan_in_uniform
from grokking.models.model import Model
from grokking.models.sequences import SequenceLayout
from grokking.ops.lookup import rows


class Cell(nn.Module):
    """One layer, whose gates are dense layers of its input and of its last output, as in torch."""

    gates: int

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()

        def uniform(weight: Tensor, bias: Tensor, inputs: int, outputs: int) -> None:
            """torch's default for recurrent layers: all of it uniform in ±1/sqrt(width)."""
            fan_in_uniform(weight, bias, width, outputs)

        self.width = width
        self.input = Dense(inputs, self.gates * width, uniform, matrices=self.gates)
        self.recurrent = Dense(width, self.gates * width, uniform, matrices=self.gates)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """An output (..., B, H) for each input (..., B, I), in the order of the sequence."""
        output = state = inputs[0].new_zeros(*inputs[0].shape[:-1], self.width)
        outputs = []
        for x in inputs:
            output, state = self.step(x, output, state)
            outputs.append(output)
        return outputs

    def step(self, x: Tensor, output: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next output and state, from an input and the last ones."""
        raise NotImplementedError


class LSTM(Cell):
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""

    gates = 4

    def step(self, x: Tensor, output: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.input(x) + self.recurrent(output)
        input_gate, forget_gate, new, output_gate = gates.chunk(4, dim=-1)
        state = forget_gate.sigmoid() * state + input_gate.sigmoid() * new.tanh()
        return output_gate.sigmoid() * state.tanh(), state


class GRU(Cell):
    """Cho et al. 2014, as in torch: the reset gate acts after the product with the output, its only state."""

    gates = 3

    def step(self, x: Tensor, output: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        reset, update, new = self.input(x).chunk(3, dim=-1)
        last_reset, last_update, last_new = self.recurrent(output).chunk(3, dim=-1)
        new = (new + (reset + last_reset).sigmoid() * last_new).tanh()
        output = new + (update + last_update).sigmoid() * (output - new)
        return output, output


CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU}


@dataclass(frozen=True, config=STRICT)
class RecurrentConfig:
    family: Literal["recurrent"]
    cell: Annotated[str, one_of(CELLS)]
    sequence: SequenceLayout
    layers: Depth
    width: LayerWidth  # of a cell's output
    embedding_width: LayerWidth
    embedding_std: Positive  # of the initial token embeddings
    init_scale: Positive  # multiplies every initial parameter
    output_scale: Positive  # multiplies the logits


class Recurrent(Model):
    first_layer = ("token",)
    readout = "unembedding"
    output_scale: Tensor

    def __init__(self, config: RecurrentConfig, sizes: Sizes) -> None:
        super().__init__()
        self.sequence, self.tokens = config.sequence, sizes.tokens
        count = sizes.tokens + len(sequences.specials(config.sequence))
        self.token = nn.Parameter(config.embedding_std * torch.randn(count, config.embedding_width))
        widths = [config.embedding_width] + (config.layers - 1) * [config.width]
        self.cells = nn.ModuleList(CELLS[config.cell](width, config.width) for width in widths)
        self.unembedding = Dense(config.width, sizes.classes, fan_in_uniform)
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))
        layers.rescale(self, config.init_scale)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        token_BS = sequences.tokens(self.sequence, a, b, self.tokens)
        outputs = [rows(self.token, token_B) for token_B in token_BS.unbind(-1)]
        for cell in self.cells:
            outputs = cell(outputs)
        return self.output_scale.unsqueeze(-1) * self.unembedding(outputs[-1])

    @staticmethod
    def multiply_adds(config: RecurrentConfig, sizes: Sizes) -> int:
        """Multiply-adds of one example's forward pass in dense layers; gates are products entry by entry."""
        inputs = config.embedding_width + (config.layers - 1) * config.width  # of all layers together
        gates = CELLS[config.cell].gates * config.width
        per_position = gates * (inputs + config.layers * config.width)
        return len(sequences.symbols(config.sequence)) * per_position + config.width * sizes.classes
