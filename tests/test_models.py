"""Families against their slow forms in float64, alone and stacked; initial values; causality; lookups."""

import pytest
import torch
from draws import integers, normal
from examples import experiment
from reference import LOGITS
from torch.nn.functional import one_hot
from torch.testing import assert_close

from grokking import ops
from grokking.data.tasks import Sizes
from grokking.experiment import expand
from grokking.models import FAMILIES
from grokking.models.layers import INITIALISATIONS, Dense
from grokking.ops.lookup import rows

TOKENS, CLASSES = 11, 7
A, B = integers(11, 60), integers(11, 60, seed=1)

VARIANTS = [
    ("one_hot_mlp", {}),
    ("one_hot_mlp", {"activation": "square", "initialisation": "he_normal", "hidden_widths": [24]}),
    ("one_hot_mlp", {"bias": False, "initialisation": "standard_normal", "output_scale": 3.0}),
    ("embedding_mlp", {"bias": False, "output_scale": 0.5}),
    ("embedding_mlp", {}),
    ("embedding_mlp", {"tables": "separate", "combine": "sum", "hidden_widths": [16]}),
    ("embedding_mlp", {"tables": "separate"}),
    ("embedding_mlp", {"combine": "sum"}),
    ("numpy_mlp", {}),
    ("numpy_mlp", {"hidden_widths": [16]}),
]


def build(family, change, seed=0):
    mapping = experiment(family, "sgd")
    mapping["model"] |= change
    torch.manual_seed(seed)
    config = expand(mapping, "e")[0].config.model
    classes = TOKENS if getattr(config, "tied_unembedding", False) else CLASSES
    return FAMILIES[family](config, Sizes(TOKENS, classes)).double()


def stack(models):
    """One module with the parameters and buffers of all; the first model becomes it."""
    tensors = [[*model.parameters(), *model.buffers()] for model in models]
    for tensor, *others in zip(*tensors, strict=True):
        tensor.data = torch.stack([tensor.data, *(other.data for other in others)])
    return models[0]


@pytest.mark.parametrize("mode", ["fast", "plain"])
@pytest.mark.parametrize("replicas", [None, 1, 3])
@pytest.mark.parametrize(("family", "change"), VARIANTS)
def test_logits_and_gradients_equal_the_slow_form(family, change, replicas, mode):
    """Of one network, and of a stack whose networks differ in their parameters."""
    models = [build(family, change, seed) for seed in range(replicas or 1)]
    expected = [slow_gradients(family, model) for model in models]
    model, leading = (models[0], ()) if replicas is None else (stack(models), (replicas,))
    with ops.use(mode):
        logits = model(A.expand(*leading, -1), B.expand(*leading, -1))
        (logits * weights_of(logits)).sum().backward()
    found = [logits, *(parameter.grad for parameter in model.parameters())]
    for ours, theirs in zip(found, zip(*expected, strict=True), strict=True):
        reference = theirs[0] if replicas is None else torch.stack(theirs)
        assert_close(ours, reference, rtol=1e-10, atol=1e-12)


def slow_gradients(family, model):
    """Logits, and gradients of their weighted sum, of one network."""
    logits = LOGITS[family](model, A, B)
    parameters = list(model.parameters())
    # the plain transformer projects queries at positions whose output the answer never uses
    grads = torch.autograd.grad((logits * weights_of(logits)).sum(), parameters, allow_unused=True)
    zeros = (torch.zeros_like(p) if g is None else g for g, p in zip(grads, parameters, strict=True))
    return [logits.detach(), *zeros]


def weights_of(logits):
    """Gradients at the logits, the same for every network of a stack."""
    weights = normal(*logits.shape[-2:], seed=2)
    return weights.expand_as(logits)


@pytest.mark.parametrize(("family", "change"), [of for of in VARIANTS if hasattr(FAMILIES[of[0]], "unembed")])
def test_logits_are_read_out_of_the_last_hidden_layer(family, change):
    model = build(family, change)
    assert_close(model.unembed(model.hidden(A, B)), model(A, B), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_first_layer_and_readout_are_names_of_parameters_or_layers(family):
    model = build(family, {})
    known = dict(model.named_parameters()).keys() | dict(model.named_modules()).keys()
    assert model.readout in known
    assert known.intersection(model.first_layer)


@pytest.mark.parametrize("family", FAMILIES)
def test_short_factors_reach_every_dense_layer(family):
    """bfloat16 keeps 8 bits of each factor."""
    model = build(family, {}).float()
    full = model(A, B)
    model.set_matmul_dtype(torch.bfloat16)
    if family == "numpy_mlp":  # has none
        assert torch.equal(model(A, B), full)
    else:
        assert_close(model(A, B), full, rtol=0.05, atol=0.05)
        assert not torch.equal(model(A, B), full)


SPREAD = {  # standard deviation of weights (outputs, inputs), largest weight, whether biases are drawn
    "fan_in_uniform": (lambda o, i: (3 * i) ** -0.5, lambda o, i: i**-0.5, True),
    "he_normal": (lambda o, i: (2 / i) ** 0.5, None, False),
    "standard_normal": (lambda o, i: 1, None, False),
    "lecun_normal": (lambda o, i: i**-0.5, None, False),
    "glorot_uniform": (lambda o, i: (2 / (o + i)) ** 0.5, lambda o, i: (6 / (o + i)) ** 0.5, False),
}


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_initial_weights_have_the_spread_of_their_source(name):
    std, largest, drawn = SPREAD[name]
    torch.manual_seed(0)
    layer = Dense(400, 100, INITIALISATIONS[name])
    assert layer.weight.std().item() == pytest.approx(std(100, 400), rel=0.02)
    assert abs(layer.weight.mean().item()) < 0.02 * std(100, 400)
    if largest is not None:
        assert layer.weight.abs().max().item() == pytest.approx(largest(100, 400), rel=1e-3)
        assert layer.weight.abs().max().item() <= largest(100, 400)
    assert (layer.bias.abs().max().item() > 0) == drawn


@pytest.mark.parametrize("family", FAMILIES)
def test_init_scale_multiplies_every_parameter(family):
    plain, scaled = build(family, {}), build(family, {"init_scale": 0.5})
    for first, second in zip(plain.parameters(), scaled.parameters(), strict=True):
        assert_close(0.5 * first, second)


def test_alpha_scales_the_first_pre_activations():
    """For ReLU, which is positively homogeneous, N^-alpha inside equals N^-alpha on the hidden layer."""
    plain = {"hidden_widths": [16], "output_scale": 1.0}
    one, scaled = (build("one_hot_mlp", plain | {"alpha": alpha}) for alpha in (0.0, 0.5))
    bias = one.layers[-1].bias
    assert_close(scaled(A, B) - bias, (one(A, B) - bias) / 16**0.5)


def test_rows_equal_one_hot_products():
    tables = torch.randn(3, 11, 4, dtype=torch.float64, requires_grad=True)
    index = torch.stack([A, B, A + 0])
    looked_up = rows(tables, index)
    product = one_hot(index, 11).double() @ tables
    assert_close(looked_up, product)
    assert_close(rows(tables[1], B), product[1])
    weights = torch.randn_like(product)
    ours = torch.autograd.grad((looked_up * weights).sum(), tables)[0]
    assert_close(ours, torch.autograd.grad((product * weights).sum(), tables)[0])
