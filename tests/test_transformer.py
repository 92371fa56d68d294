"""The transformer and its shared prefix against the literal form, its options, and attention's kernels."""

import re

import pytest
import torch
from draws import integers, normal
from examples import experiment
from reference import transformer_hidden, transformer_logits
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close

from grokking import ops
from grokking.config import ConfigError
from grokking.data.tasks import Sizes
from grokking.experiment import expand
from grokking.models import shared_prefix
from grokking.models.norms import NORMS
from grokking.models.positions import rotate
from grokking.models.transformer import Transformer
from grokking.ops.attention import PADDING, attention, row_attention

TOKENS, CLASSES = 11, 7
TOLERANCE = {torch.float32: {"rtol": 3e-6, "atol": 3e-6}, torch.float64: {"rtol": 1e-12, "atol": 1e-12}}

OPTIONS = [
    {},
    {"layers": 1},
    {"layers": 3, "norm": "post", "activation": "gelu"},
    {"norm": "none", "heads": 2, "bias": False},
    {"tied_unembedding": True, "output_scale": 0.5},
    {"sequence": "a_b_eq", "positions": "none"},
    {"sequence": "a_b", "attention": "bidirectional", "pooling": "mean", "activation": "gelu"},
    {"sequence": "a_b", "layers": 3},
    {"sequence": "bos_a_b_sep", "positions": "none", "layers": 3},
    {"attention": "bidirectional", "positions": "sinusoidal"},
    {"pooling": "mean"},
    {"norm_type": "rms", "activation": "swiglu", "positions": "rotary", "mlp_ratio": 0.5},
    {"norm": "post", "norm_type": "rms", "positions": "sinusoidal", "activation": "square"},
]
SHARED = [option for option in OPTIONS if not {"pooling", "attention"} & set(option)][:-2] + OPTIONS[-1:]


A, B = integers(TOKENS, 60), integers(TOKENS, 60, seed=1)


def configuration(**options):
    mapping = experiment("transformer")
    mapping["model"] |= options
    return expand(mapping, "e")[0].config.model


def build(seed=0, **options) -> Transformer:
    """With norms and biases that are not those it begins with."""
    config = configuration(**options)
    torch.manual_seed(seed)
    model = Transformer(config, Sizes(TOKENS, TOKENS if config.tied_unembedding else CLASSES)).double()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(normal(*parameter.shape, seed=number).mul_(0.1))
    return model


def stack(*models: Transformer) -> Transformer:
    """One module with the parameters and buffers of all."""
    stacked, *_ = models
    tensors = [[*model.parameters(), *model.buffers()] for model in models]
    for tensor, *others in zip(*tensors, strict=True):
        tensor.data = torch.stack([tensor.data, *(other.data for other in others)])
    return stacked


def gradients(logits, model) -> dict[str, torch.Tensor]:
    """Of a sum of logits with random weights; zeros where a parameter has no part in them."""
    named = dict(model.named_parameters())
    weighted = (logits * normal(*logits.shape, seed=2).to(logits)).sum()
    found = torch.autograd.grad(weighted, list(named.values()), materialize_grads=True)
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("mode", ["fast", "plain"])
def test_logits_and_gradients_are_those_of_the_literal_form(mode, options):
    model = build(**options)
    expected = transformer_logits(model, A, B)
    with ops.use(mode):
        found = model(A, B)
        assert_close(found, expected, rtol=1e-12, atol=1e-12)
        of_literal = gradients(expected, model)
        for name, gradient in gradients(found, model).items():
            assert_close(
                gradient, of_literal[name], rtol=1e-10, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_shared_prefix_gives_what_the_plain_blocks_give(options, monkeypatch):
    """Both with fast ops; where the prefix cannot be shared, plain blocks are what runs."""
    model = build(**options)
    assert shared_prefix.fits(model.config) == (options in SHARED)
    with_blocks = []
    for block in model.blocks:
        block.register_forward_hook(lambda *_: with_blocks.append(True))
    shared = model(A, B)
    assert bool(with_blocks) == (options not in SHARED)  # the hook is called by whole blocks only
    monkeypatch.setattr(shared_prefix, "fits", lambda config: False)
    plain = model(A, B)
    assert_close(shared, plain, rtol=1e-12, atol=1e-12)
    of_plain = gradients(plain, model)
    for name, gradient in gradients(shared, model).items():
        assert_close(gradient, of_plain[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("mode", ["fast", "plain"])
def test_a_stack_gives_each_models_bits(mode, options):
    """Three replicas on pairs of their own: logits and gradients of one alone are those beside others."""
    pairs = [(integers(TOKENS, 60, seed=s), integers(TOKENS, 60, seed=s + 9)) for s in range(3)]
    with ops.use(mode):
        together = stack(*(build(seed, **options) for seed in range(3)))
        logits = together(*(torch.stack(operand) for operand in zip(*pairs, strict=True)))
        of_together = torch.autograd.grad(logits.sin().sum(), list(together.parameters()), allow_unused=True)
        for seed, (a, b) in enumerate(pairs):
            one = stack(build(seed, **options))
            alone = one(a[None], b[None])
            assert torch.equal(alone[0], logits[seed])
            of_alone = torch.autograd.grad(alone.sin().sum(), list(one.parameters()), allow_unused=True)
            for here, there in zip(of_alone, of_together, strict=True):
                assert (here is None) == (there is None)
                assert here is None or torch.equal(here[0], there[seed])
            assert_close(build(seed, **options)(a, b), logits[seed], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("mode", ["fast", "plain"])
def test_the_future_reaches_the_past_only_where_attention_is_bidirectional(mode, attention):
    """Gradients of a position with respect to the embedding of each other one."""
    model = build(attention=attention)
    with ops.use(mode):
        hidden = model.hidden(A[:1], B[:1])[0]
    assert_close(hidden, transformer_hidden(model, A[:1], B[:1])[0], rtol=1e-12, atol=1e-12)
    for number in range(4):
        (gradient,) = torch.autograd.grad(hidden[number].sum(), model.position, retain_graph=True)
        seen = number + 1 if attention == "causal" else 4
        assert (gradient[seen:] == 0).all()
        assert (gradient[:seen] != 0).any(dim=1).all()


def test_rotated_products_depend_on_how_far_apart_positions_are():
    """A query and a key, each at every position of a sequence of 9."""
    query, key = (rotate(normal(8, seed=s).expand(9, 8), 9, 2).unflatten(-1, (2, 4)) for s in (0, 1))
    product_HSS = torch.einsum("qhd,khd->hqk", query, key)
    for apart in range(-8, 9):
        same = product_HSS.diagonal(apart, 1, 2)
        assert_close(same, same[:, :1].expand_as(same), rtol=1e-6, atol=1e-6)
    assert (product_HSS[:, 0, 0] - product_HSS[:, 0, 1]).abs().min() > 1e-3
    assert_close(query.norm(dim=-1), query[:1].norm(dim=-1).expand(9, 2), rtol=1e-6, atol=0)


def test_without_positions_the_order_of_operands_is_lost_but_for_the_mask():
    swapped = [
        build(positions=positions, attention="bidirectional", sequence="a_b_eq")
        for positions in ("none", "learned")
    ]
    same, different = ((model(A, B) - model(B, A)).abs().max() for model in swapped)
    assert same < 1e-12 < 1e-3 < different


def test_default_options_draw_the_initial_parameters_that_they_always_drew():
    """Committed checkpoints and portraits rely on names, shapes, order and draws."""
    torch.manual_seed(3)
    model = Transformer(configuration(layers=1), Sizes(TOKENS, CLASSES))
    torch.manual_seed(3)
    drawn = {"token": 0.5 * torch.randn(TOKENS + 2, 16), "position": 0.5 * torch.randn(4, 16)}
    shapes = {"query": (16, 16), "key_value": (32, 16), "output": (16, 16), "up": (32, 16), "down": (16, 32)}
    layers = {f"blocks.0.{name}": shape for name, shape in shapes.items()} | {"unembedding": (CLASSES, 16)}
    for name, (outputs, inputs) in layers.items():
        bound = inputs**-0.5
        drawn[f"{name}.weight"] = torch.empty(outputs, inputs).uniform_(-bound, bound)
        drawn[f"{name}.bias"] = torch.empty(outputs).uniform_(-bound, bound)
    norms = ["blocks.0.attention_norm", "blocks.0.mlp_norm", "last_norm"]
    drawn |= {f"{norm}.gain": torch.ones(16) for norm in norms}
    drawn |= {f"{norm}.bias": torch.zeros(16) for norm in norms}
    own = dict(model.named_parameters())
    assert own.keys() == drawn.keys()
    for name, parameter in own.items():
        assert torch.equal(parameter, drawn[name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "`heads` must divide `width`, but got width 16 and heads 3"),
        (
            {"mlp_ratio": 0.3},
            "`mlp_ratio` times `width` must be a whole number, but got 0.3 times 16; write 0.3125",
        ),
        ({"mlp_ratio": 0.01}, "but got 0.01 times 16; write 0.0625"),
        (
            {"positions": "rotary", "heads": 16},
            "rotary `positions` need heads of even width, but got 1; change",
        ),
        ({"activation": "tanh"}, "must be one of relu, gelu, square, swiglu, but got 'tanh'"),
        ({"sequence": "b_a"}, "`e.model.sequence` should be 'a_op_b_eq', 'a_b_eq', 'a_b' or 'bos_a_b_sep'"),
    ],
)
def test_what_does_not_fit_is_an_error_of_one_line(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        configuration(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("ratio", "width"), [(0.3, 16), (2.67, 192), (1.234, 100), (0.001, 96)])
def test_the_ratio_that_a_message_says_to_write_is_accepted(ratio, width):
    with pytest.raises(ConfigError) as error:
        configuration(mlp_ratio=ratio, width=width)
    advised = float(str(error.value).rpartition("write ")[2])
    assert configuration(mlp_ratio=advised, width=width).hidden_width == max(1, round(ratio * width))


def test_a_ratio_counts_as_whole_where_only_its_rounding_is_not():
    assert 1.1 * 100 != 110
    assert configuration(mlp_ratio=1.1, width=100).hidden_width == 110


def test_a_tied_unembedding_needs_answers_that_are_tokens():
    model = configuration(tied_unembedding=True)
    Transformer.require_fit(model, Sizes(11, 11), "e.model")
    with pytest.raises(ConfigError, match="got 11 tokens and 7 answers; write false"):
        Transformer.require_fit(model, Sizes(11, 7), "e.model")


@pytest.mark.parametrize(
    ("options", "rows"), [({}, 2), ({"attention": "bidirectional"}, 4), ({"sequence": "a_b"}, 1)]
)
def test_multiply_adds_are_those_of_the_dense_layers_called(options, rows):
    """Where a prefix is shared, of its own rows; else of all positions."""
    after = 16 * 16 + 2 * 32 * 16
    expected = after if rows < 4 else 4 * (3 * 16 * 16 + after)
    assert Transformer.multiply_adds(configuration(layers=1, **options), Sizes(11, 7)) == expected + 16 * 7
    own = rows * (3 * 16 * 16 + after) if rows == 4 else rows * after + 2 * rows * 16 * 16 + 16 * 16 + after
    blocks = 2 * own if rows == 4 else own
    assert Transformer.multiply_adds(configuration(**options), Sizes(11, 7)) == blocks + 16 * 7


HEADS = 4


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("leading", [(), (1,), (3,)])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_by_kernels_is_that_of_operations(causal, leading, dtype):
    query, key_value = normal(*leading, 20, 12, dtype=dtype), normal(*leading, 20, 24, dtype=dtype, seed=1)

    def forth_and_back():
        inputs = [x.clone().requires_grad_() for x in (query, key_value)]
        attended = attention(*inputs, 5, HEADS, causal)
        weighted = (attended * normal(*attended.shape, dtype=dtype, seed=3)).sum()
        return attended, *torch.autograd.grad(weighted, inputs)

    fast = forth_and_back()
    with ops.use("plain"):
        plain = forth_and_back()
    for found, expected in zip(fast, plain, strict=True):
        assert_close(found, expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("leading", [(), (1,), (3,)])
def test_a_row_attends_to_the_rows_that_it_names(leading):
    """More rows than queries and keys; each is compared with softmax over a list."""
    query, key_value = normal(*leading, 6, 12), normal(*leading, 9, 24, seed=1)
    own, seen = integers(6, *leading, 30), integers(9, *leading, 30, 4, seed=2)
    seen[..., 10:, 3] = PADDING
    seen[..., 20:, 1:] = PADDING
    inputs = [x.requires_grad_() for x in (query, key_value)]
    attended = row_attention(*inputs, own, seen, HEADS)

    def literal(query, key_value, own, seen):
        rows = []
        for number, named in zip(own.tolist(), seen.tolist(), strict=True):
            chosen = key_value[[row for row in named if row != PADDING]]
            keys, values = (x.unflatten(-1, (HEADS, -1)) for x in chosen.chunk(2, dim=-1))
            scores = (query[number].unflatten(-1, (HEADS, -1)) * keys).sum(-1) / 3**0.5
            rows.append((scores.softmax(0).unsqueeze(-1) * values).sum(0).flatten())
        return torch.stack(rows)

    if leading:
        expected = torch.stack([literal(*parts) for parts in zip(*inputs, own, seen, strict=True)])
    else:
        expected = literal(*inputs, own, seen)
    assert_close(attended, expected, rtol=1e-12, atol=1e-12)
    weights = normal(*attended.shape, seed=3)
    found = torch.autograd.grad((attended * weights).sum(), inputs)
    for ours, theirs in zip(found, torch.autograd.grad((expected * weights).sum(), inputs), strict=True):
        assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_plain_mode_differentiates_twice(attention):
    model = build(attention=attention, activation="gelu")
    parameters = [model.token, model.blocks[0].query.weight, model.blocks[1].attention_norm.gain]
    with ops.use("plain"), sdpa_kernel(SDPBackend.MATH):
        first = torch.autograd.grad(model(A[:5], B[:5]).sin().sum(), parameters, create_graph=True)
        along = sum((gradient * gradient.detach().cos()).sum() for gradient in first)
        second = torch.autograd.grad(along, parameters)
        expected = torch.autograd.grad(
            transformer_logits(model, A[:5], B[:5]).sin().sum(), parameters, create_graph=True
        )
        of_literal = torch.autograd.grad(sum((g * g.detach().cos()).sum() for g in expected), parameters)
    for ours, theirs in zip(second, of_literal, strict=True):
        assert ours.abs().max() > 0
        assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("leading", [(), (1,), (3,)])
@pytest.mark.parametrize("name", NORMS)
def test_norms_and_their_gradients_are_those_of_their_definitions(name, leading, dtype):
    norm, count = NORMS[name](19), 3 if name == "layer" else 2
    given = [normal(*leading, 10, 19), normal(*leading, 19, seed=1), normal(*leading, 19, seed=2)][:count]

    def definition(x, gain, bias=None):
        x = x if bias is None else x - x.mean(-1, keepdim=True)
        x = gain.unsqueeze(-2) * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x if bias is None else x + bias.unsqueeze(-2)

    def module(x, gain, bias=None):
        return functional_call(norm, {"gain": gain} | ({} if bias is None else {"bias": bias}), (x,))

    def forth_and_back(function, dtype):
        inputs = [x.to(dtype).requires_grad_() for x in given]
        normalised = function(*inputs)
        return normalised, *torch.autograd.grad((normalised * normalised.detach().cos()).sum(), inputs)

    expected = forth_and_back(definition, torch.float64)
    for mode in ("fast", "plain"):
        with ops.use(mode):
            for found, reference in zip(forth_and_back(module, dtype), expected, strict=True):
                assert_close(found, reference.to(dtype), **TOLERANCE[dtype])
