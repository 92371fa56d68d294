"""Families against their plain forms in float64, lookups, causality, and the network by hand."""

import numpy as np
import pytest
import torch
from examples import MODELS, experiment
from reference import LOGITS
from torch.nn.functional import cross_entropy, one_hot
from torch.testing import assert_close

from grokking.data.tasks import Sizes
from grokking.engine.stack import ReplicaStack
from grokking.experiment import expand
from grokking.models import FAMILIES, numpy_mlp
from grokking.ops.autograd import add_gradients
from grokking.ops.lookup import rows
from grokking.training.loop import learner

TOKENS, CLASSES = 11, 7
A, B = (torch.randint(11, (60,), generator=torch.Generator().manual_seed(s)) for s in (0, 1))

VARIANTS = [
    ("one_hot_mlp", {}),
    ("one_hot_mlp", {"activation": "square", "initialisation": "he_normal", "hidden_widths": [24]}),
    ("one_hot_mlp", {"bias": False, "initialisation": "standard_normal", "output_scale": 3.0}),
    ("embedding_mlp", {"bias": False, "output_scale": 0.5}),
    ("embedding_mlp", {}),
    ("embedding_mlp", {"tables": "separate", "combine": "sum", "hidden_widths": [16]}),
    ("embedding_mlp", {"tables": "separate"}),
    ("embedding_mlp", {"combine": "sum"}),
]


def build(family, change):
    mapping = experiment(family)
    mapping["model"] |= change
    torch.manual_seed(0)
    config = expand(mapping, "e")[0].config.model
    classes = TOKENS if getattr(config, "tied_unembedding", False) else CLASSES
    return FAMILIES[family](config, Sizes(TOKENS, classes)).double()


@pytest.mark.parametrize(("family", "change"), VARIANTS)
def test_logits_and_gradients_equal_the_plain_form(family, change):
    model = build(family, change)
    fast, plain = model(A, B), LOGITS[family](model, A, B)
    assert fast.shape == plain.shape
    assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    parameters = list(model.parameters())
    weights = torch.randn(fast.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    # the plain transformer projects queries at positions whose output the answer never uses
    expected = torch.autograd.grad((plain * weights).sum(), parameters, allow_unused=True)
    by_autograd = torch.autograd.grad((fast * weights).sum(), parameters, allow_unused=True)
    for theirs, ours, backward in zip(expected, by_autograd, backpropagated(model, weights), strict=True):
        assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        assert_close(backward, theirs, rtol=1e-10, atol=1e-12)


def backpropagated(model, weights):
    """Gradients as the engine takes them, of one replica stacked, where those of the logits are `weights`."""
    for tensor in [*model.parameters(), *model.buffers()]:
        tensor.data = tensor.data[None]
    sums = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    tables = model.tables()
    of_tables = tuple(torch.zeros_like(table) for table in tables)
    model.backpropagate(tables, A[None], B[None], lambda logits: weights[None].clone(), of_tables, sums)
    products = [(table * gradient).sum() for table, gradient in zip(tables, of_tables, strict=True)]
    add_gradients(products, list(model.parameters()), list(sums.values()))
    return [total[0] for total in sums.values()]


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


@pytest.mark.parametrize("family", FAMILIES)
def test_stacked_models_give_each_models_logits(family):
    models = [build(family, {"init_scale": scale}) for scale in (1.0, 0.3)]
    alone = [model(A, B) for model in models]
    stacked, *_ = models
    tensors = [[*model.parameters(), *model.buffers()] for model in models]
    for tensor, of_each in zip(tensors[0], list(zip(*tensors, strict=True)), strict=True):
        tensor.data = torch.stack([one.data for one in of_each])
    logits = stacked(A.expand(2, -1), B.expand(2, -1))
    for position, expected in enumerate(alone):
        assert_close(logits[position], expected, rtol=1e-12, atol=1e-12)


def torch_name(name):
    """layer_0.weight -> first.weight, layer_1.weight -> layers.0.weight"""
    layer, _, kind = name.removeprefix("layer_").partition(".")
    return f"first.{kind}" if layer == "0" else f"layers.{int(layer) - 1}.{kind}"


def torch_layout(name, value):
    """Dense layers of torch have a row per output, the by-hand ones and the first table a row per input."""
    table = name.startswith("layer_0") or value.ndim == 1
    return torch.tensor(value if table else value.T.copy())


def twin_of(parameters):
    """The torch model with the NumPy network's parameters."""
    model = build("one_hot_mlp", {"alpha": 0.0, "output_scale": 1.0})
    state = {torch_name(name): torch_layout(name, value) for name, value in parameters.items()}
    model.load_state_dict(state, strict=False)
    return model


def test_backpropagation_by_hand_equals_autograd():
    """In float64 to 1e-10."""
    config = expand(experiment("numpy_mlp", "sgd"), "e")[0].config.model
    parameters = numpy_mlp.initialise(config, Sizes(TOKENS, CLASSES), seed=0, dtype="float64")
    answer = (A + B) % 7
    passed = numpy_mlp.forward(parameters, A.numpy(), B.numpy())
    delta = numpy_mlp.cross_entropy_gradient(passed.logits_BV, answer.numpy(), "float64")
    by_hand = numpy_mlp.backward(parameters, passed, delta, A.numpy(), B.numpy())

    model = twin_of(parameters)
    cross_entropy(LOGITS["one_hot_mlp"](model, A, B), answer).backward()
    autograd = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert len(by_hand) == len(autograd)
    for name, gradient in by_hand.items():
        assert_close(torch_layout(name, gradient), autograd[torch_name(name)], rtol=1e-10, atol=1e-12)


def test_loss_curve_of_the_network_by_hand_equals_its_torch_twin(tiny_task):
    """The same batches, momentum and L2 over 200 steps, in float64."""
    by_hand = expand(experiment("numpy_mlp", "sgd", "with_replacement", seeds=(2,)), "e")
    mapping = experiment("one_hot_mlp", "sgd", "with_replacement", seeds=(2,))
    mapping["model"] |= {"alpha": 0.0, "output_scale": 1.0}
    ours, twin = learner(by_hand, tiny_task, "cpu"), ReplicaStack(expand(mapping, "e"), tiny_task, "cpu")
    views = twin.parameters.views()
    for name, value in ours.snapshot(0).items():
        views[torch_name(name)].copy_(torch_layout(name, value)[None])
    everything = np.arange(len(tiny_task.equations))[None]
    for _ in range(20):
        ours.update(10)
        twin.update(10)
        first, second = (learner.measure([0], everything) for learner in (ours, twin))
        assert_close(first.loss_RE, second.loss_RE, rtol=1e-9, atol=0)
        assert_close(ours.norms([0])["weight_norm"], twin.norms([0])["weight_norm"], rtol=1e-9, atol=0)


def test_examples_hold_every_family():
    assert set(MODELS) == {*FAMILIES, "numpy_mlp"}
