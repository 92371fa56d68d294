"""The recurrent networks against torch's nn.LSTM and nn.GRU: initial range, logits and gradients."""

import pytest
import torch
from examples import experiment
from torch import nn
from torch.testing import assert_close

from grokking.data.tasks import Sizes
from grokking.experiment import expand
from grokking.models.recurrent import Recurrent

TOKENS, WIDTH, EMBEDDING, LAYERS = 11, 24, 16, 2
ORIGINALS = {"lstm": nn.LSTM, "gru": nn.GRU}


def ours(cell: str, sequence: str = "a_op_b_eq") -> Recurrent:
    mapping = experiment("recurrent")
    mapping["model"] |= {
        "cell": cell, "sequence": sequence, "layers": LAYERS, "width": WIDTH, "embedding_width": EMBEDDING,
        "output_scale": 1.0,
    }  # fmt: skip
    torch.manual_seed(0)
    return Recurrent(expand(mapping, "e")[0].config.model, Sizes(TOKENS, TOKENS)).double()


class Original(nn.Module):
    """Embeddings, torch's recurrent layers and a readout of the last position, with the tensors of ours."""

    def __init__(self, cell: str, model: Recurrent) -> None:
        super().__init__()
        self.token = nn.Embedding.from_pretrained(model.token.detach().clone(), freeze=False)
        self.layers = ORIGINALS[cell](EMBEDDING, WIDTH, LAYERS, batch_first=True).double()
        self.readout = nn.Linear(WIDTH, TOKENS).double()
        self.readout.load_state_dict(model.unembedding.state_dict())
        self.layers.load_state_dict({
            f"{kind}_{theirs}_l{number}": getattr(getattr(layer, part), kind).detach()
            for number, layer in enumerate(model.cells)
            for part, theirs in (("input", "ih"), ("recurrent", "hh"))
            for kind in ("weight", "bias")
        })  # fmt: skip

    def forward(self, tokens):
        return self.readout(self.layers(self.token(tokens))[0][:, -1])


@pytest.mark.parametrize("cell", ORIGINALS)
def test_logits_and_gradients_are_those_of_torch(cell):
    model = ours(cell)
    original = Original(cell, model)
    a, b = torch.cartesian_prod(torch.arange(TOKENS), torch.arange(TOKENS)).unbind(1)
    op, equals = torch.full_like(a, TOKENS), torch.full_like(a, TOKENS + 1)
    logits, wanted = model(a, b), original(torch.stack([a, op, b, equals], 1))
    assert_close(logits, wanted)
    for result in (logits, wanted):
        nn.functional.cross_entropy(result, (a + b) % TOKENS).backward()
    assert_close(model.token.grad, original.token.weight.grad)
    for number, layer in enumerate(model.cells):
        for part, theirs in ((layer.input, "ih"), (layer.recurrent, "hh")):
            for kind in ("weight", "bias"):
                wanted = getattr(original.layers, f"{kind}_{theirs}_l{number}").grad
                assert_close(getattr(part, kind).grad, wanted)


@pytest.mark.parametrize("cell", ORIGINALS)
def test_layers_begin_as_those_of_torch(cell):
    for layer in ours(cell).cells:
        for tensor in layer.parameters():
            assert tensor.abs().max() <= WIDTH**-0.5
            assert tensor.std().item() == pytest.approx((3 * WIDTH) ** -0.5, rel=0.2)


def test_without_an_equals_sign_the_answer_is_read_at_b():
    model = ours("lstm", "a_b")
    assert model.token.shape == (TOKENS, EMBEDDING)
    assert model(torch.tensor([3]), torch.tensor([4])).shape == (1, TOKENS)
