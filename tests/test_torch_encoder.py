"""The transformer of system 3 against torch's nn.TransformerEncoder: initial values and logits."""

import pytest
import torch
from examples import experiment
from torch import nn
from torch.testing import assert_close

from grokking import ops
from grokking.data.tasks import Sizes
from grokking.experiment import expand
from grokking.models.transformer import Transformer

TOKENS, WIDTH, HEADS, LAYERS = 97, 128, 4, 2
SYSTEM_3 = {
    "layers": LAYERS, "width": WIDTH, "heads": HEADS, "mlp_ratio": 4, "norm": "post", "activation": "relu",
    "bias": "blocks", "embedding_std": 1.0, "initialisation": "torch_encoder", "output_scale": 1.0,
}  # fmt: skip


def ours(seed=0, **options) -> Transformer:
    mapping = experiment("transformer")
    mapping["model"] |= SYSTEM_3 | options
    torch.manual_seed(seed)
    return Transformer(expand(mapping, "e")[0].config.model, Sizes(TOKENS, TOKENS))


class Original(nn.Module):
    """Embeddings, two layers of torch's encoder, and a readout without bias, as torch makes them."""

    def __init__(self, seed=0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.token, self.position = nn.Embedding(TOKENS + 2, WIDTH), nn.Embedding(5, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS)
        self.readout = nn.Linear(WIDTH, TOKENS + 2, bias=False)

    def forward(self, tokens):
        """Logits at "=", the fourth of the five tokens of an equation."""
        mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
        return self.readout(self.encoder(self.token(tokens) + self.position.weight, mask=mask))[:, 3]


def by_our_names(original: Original) -> dict[str, torch.Tensor]:
    """The original's tensors; of its five positions and 99 readable tokens, those that ours has."""
    tensors = {
        "token": original.token.weight,
        "position": original.position.weight[:4],
        "unembedding.weight": original.readout.weight[:TOKENS],
    }
    for number, layer in enumerate(original.encoder.layers):
        attention, block = layer.self_attn, f"blocks.{number}."
        for kind in ("weight", "bias"):
            stacked = getattr(attention, f"in_proj_{kind}")
            tensors[f"{block}query.{kind}"] = stacked[:WIDTH]
            tensors[f"{block}key_value.{kind}"] = stacked[WIDTH:]
            tensors[f"{block}output.{kind}"] = getattr(attention.out_proj, kind)
            tensors[f"{block}up.{kind}"] = getattr(layer.linear1, kind)
            tensors[f"{block}down.{kind}"] = getattr(layer.linear2, kind)
            own = "gain" if kind == "weight" else "bias"
            tensors[f"{block}attention_norm.{own}"] = getattr(layer.norm1, kind)
            tensors[f"{block}mlp_norm.{own}"] = getattr(layer.norm2, kind)
    return {name: tensor.detach() for name, tensor in tensors.items()}


def test_every_tensor_begins_with_the_spread_of_torchs():
    theirs, found = by_our_names(Original()), dict(ours(seed=1).named_parameters())
    assert found.keys() == theirs.keys()
    for name, expected in theirs.items():
        tensor = found[name].detach()
        assert tensor.shape == expected.shape, name
        if expected.unique().numel() == 1:  # zero biases, gains of one
            assert torch.equal(tensor, expected), name
            continue
        # the standard error of a standard deviation is at most 1 / sqrt(2 n); six of both together
        ratio = (tensor.std() / expected.std()).item()
        assert ratio == pytest.approx(1, abs=6 / tensor.numel() ** 0.5), name
        assert abs(tensor.mean() - expected.mean()) < 6 * expected.std() / tensor.numel() ** 0.5, name
        if name not in ("token", "position"):  # uniform ones end at the same bound
            assert (tensor.abs().max() / expected.abs().max()).item() == pytest.approx(1, rel=0.03), name


def test_all_layers_begin_equal_as_torchs_copies_do():
    for model in (ours(), Original()):
        layers = model.blocks if isinstance(model, Transformer) else model.encoder.layers
        first, second = (dict(layer.named_parameters()) for layer in layers)
        assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    first, second = ours(initialisation="fan_in_uniform").blocks
    assert not torch.equal(first.query.weight, second.query.weight)


@pytest.mark.parametrize("mode", ["fast", "plain"])
def test_logits_and_gradients_are_torchs_from_the_same_tensors(mode):
    """Of all examples, whatever answer stands after "=": the mask hides it."""
    original, model = Original().double(), ours(seed=1).double()
    with torch.no_grad():
        for parameter in original.parameters():  # biases, norms and layers that have left their beginning
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, tensor in by_our_names(original).items():
            dict(model.named_parameters())[name].copy_(tensor)
    a, b, answer = torch.randint(TOKENS, (3, 200))
    tokens = torch.stack([a, torch.full_like(a, TOKENS), b, torch.full_like(a, TOKENS + 1), answer], dim=1)
    expected = original(tokens)[:, :TOKENS]
    with ops.use(mode):
        found = model(a, b)
    assert_close(found, expected, rtol=1e-6, atol=1e-6)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert_close(model.token.grad, original.token.weight.grad, rtol=1e-6, atol=1e-6)
    stacked = original.encoder.layers[0].self_attn.in_proj_weight.grad
    assert_close(model.blocks[0].query.weight.grad, stacked[:WIDTH], rtol=1e-6, atol=1e-6)
    assert_close(model.blocks[0].key_value.weight.grad, stacked[WIDTH:], rtol=1e-6, atol=1e-6)
