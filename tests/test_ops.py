"""Each fast op against its plain twin, values and gradients; replicas apart; both libraries of products."""

import itertools
from importlib import import_module

import pytest
import torch
from draws import integers, normal
from torch.nn import functional as F
from torch.testing import assert_close

from grokking import ops
from grokking.ops import numba_kernels
from grokking.ops.lookup import rows
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OPTIMIZERS

products = import_module("grokking.ops.matmul")  # `ops.matmul` is the function in it

TOKENS, EXAMPLES, WIDTH = 7, 40, 19
TOLERANCE = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.float64: {"rtol": 1e-12, "atol": 1e-12}}
TYPES = [torch.float32, torch.float64]
LEADING = [(), (1,), (3,)]


def value_and_grads(mode, function, inputs):
    """What a function of these tensors returns in this mode, and the gradients of a weighted sum of it."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    with ops.use(mode):
        value = function(*leaves)
        grads = torch.autograd.grad((value * normal(*value.shape, seed=9).to(value.dtype)).sum(), leaves)
    return [value.detach(), *grads]


def assert_same(function, inputs, **tolerance):
    both = (value_and_grads(mode, function, inputs) for mode in ("fast", "plain"))
    for fast, plain in zip(*both, strict=True):
        assert fast.dtype == plain.dtype
        assert_close(fast, plain, **tolerance)


def pairs(*leading):
    return integers(TOKENS, *leading, EXAMPLES), integers(TOKENS, *leading, EXAMPLES, seed=1)


def mlp_inputs(leading, widths, dtype=torch.float64):
    """A table and its bias, then weight and bias of each layer."""
    layers = zip([WIDTH, *widths], [*widths, 5], strict=True)
    shapes = [(2 * TOKENS, WIDTH), (WIDTH,), *(shape for i, o in layers for shape in ((o, i), (o,)))]
    return [normal(*leading, *shape, dtype=dtype, seed=seed) for seed, shape in enumerate(shapes)]


def mlp_of(a, b, activation, dtype=None):
    def logits(table, bias, *dense):
        return ops.mlp((table, bias), a, b, [*zip(dense[::2], dense[1::2], strict=True)], activation, dtype)

    return logits


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("widths", [[], [6], [6, 4]])
@pytest.mark.parametrize("activation", [torch.relu, torch.nn.functional.gelu, torch.square, torch.tanh])
def test_mlp(activation, widths, leading, dtype):
    """tanh has no fast form."""
    scale = {torch.float32: 30, torch.float64: 1}[dtype]  # squares of squares are large
    tolerance = {key: scale * value for key, value in TOLERANCE[dtype].items()}
    inputs = [x / 3 for x in mlp_inputs(leading, widths, dtype)]
    assert_same(mlp_of(*pairs(*leading), activation), inputs, **tolerance)


def transposed(parameters):
    """Dense weights with a row per input, as the NumPy network has them."""
    return [x.mT if number % 2 == 0 and number > 0 else x for number, x in enumerate(parameters)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("widths", [[], [6], [6, 4]])
def test_numpy_mlp(widths, leading, dtype):
    """Its plain twin is that of the other MLPs, whose weights have a row per output."""
    a, b = pairs(*leading)

    def logits(table, bias, *dense):
        if ops.is_fast(a):
            return ops.numpy_mlp(a, b, *transposed((table, bias, *dense)))
        return mlp_of(a, b, torch.relu)(table, bias, *dense)

    scale = {torch.float32: 10, torch.float64: 1}[dtype]
    tolerance = {key: scale * value for key, value in TOLERANCE[dtype].items()}
    assert_same(logits, [x / 3 for x in mlp_inputs(leading, widths, dtype)], **tolerance)


@pytest.mark.parametrize("activations_at_a_time", [1, 5 * WIDTH, 17 * WIDTH])
@pytest.mark.parametrize("leading", LEADING)
def test_mlp_in_slices(leading, activations_at_a_time, monkeypatch):
    """One example, 5 and 17 of 40 at a time."""
    monkeypatch.setattr(import_module("grokking.ops.mlp"), "SLICE", activations_at_a_time)
    inputs = [x / 3 for x in mlp_inputs(leading, [6, 4])]
    assert_same(mlp_of(*pairs(*leading), torch.relu), inputs, **TOLERANCE[torch.float64])


def test_mlp_with_short_factors():
    inputs = mlp_inputs((2,), [6], torch.float32)
    assert_same(mlp_of(*pairs(2), torch.relu, torch.bfloat16), inputs, rtol=0.02, atol=0.1)
    rounded, full = (mlp_of(*pairs(2), torch.relu, dtype)(*inputs) for dtype in (torch.bfloat16, None))
    assert_close(rounded, full, rtol=0.02, atol=0.02 * full.abs().max().item())
    assert not torch.equal(rounded, full)


def test_mlp_leaves_its_inputs_and_can_go_back_twice():
    inputs = [x.requires_grad_() for x in mlp_inputs((), [6])]
    before = [x.detach().clone() for x in inputs]
    loss = mlp_of(*pairs(), torch.relu)(*inputs).square().sum()
    first, second = (torch.autograd.grad(loss, inputs, retain_graph=True) for _ in range(2))
    for x, y in zip([*inputs, *first], [*before, *second], strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("activation", [torch.relu, torch.nn.functional.gelu])
def test_a_replica_has_the_same_bits_beside_others(activation):
    inputs, (a, b) = mlp_inputs((3,), [6], torch.float32), pairs(3)
    together = value_and_grads("fast", mlp_of(a, b, activation), inputs)
    weights = normal(*together[0].shape, seed=9).float()
    for number in range(3):
        one = slice(number, number + 1)
        leaves = [x[one].clone().requires_grad_() for x in inputs]
        logits = mlp_of(a[one], b[one], activation)(*leaves)
        alone = [logits, *torch.autograd.grad((logits * weights[one]).sum(), leaves)]
        for x, y in zip(alone, together, strict=True):
            assert torch.equal(x[0], y[number])


def test_the_plain_mlp_has_second_derivatives_and_the_fast_one_says_that_it_has_none():
    inputs = [x.requires_grad_() for x in mlp_inputs((), [6])]
    for mode in ("plain", "fast"):
        with ops.use(mode):
            value = mlp_of(*pairs(), torch.square)(*inputs).square().sum()
        (grad,) = torch.autograd.grad(value, inputs[:1], create_graph=True)
        if mode == "plain":
            assert torch.autograd.grad(grad.square().sum(), inputs[1])[0].abs().sum() > 0
        else:
            with pytest.raises(RuntimeError, match="once_differentiable"):
                grad.square().sum().backward()


@pytest.mark.parametrize("loss_dtype", TYPES)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("classes", [1, 2, 5, 97])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss(loss, classes, leading, dtype, loss_dtype):
    logits, answer = (
        8 * normal(*leading, EXAMPLES, classes, dtype=dtype),
        integers(classes, *leading, EXAMPLES),
    )
    tolerance = TOLERANCE[torch.float64 if dtype == loss_dtype == torch.float64 else torch.float32]
    assert_same(lambda z: LOSSES[loss](z, answer, loss_dtype), [logits], **tolerance)
    with torch.no_grad():
        measured = LOSSES[loss](logits, answer, loss_dtype)
    assert measured.dtype == loss_dtype
    assert torch.equal(measured, LOSSES[loss](logits.requires_grad_(), answer, loss_dtype))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_leaves_the_logits_and_can_go_back_twice(loss):
    logits, answer = normal(EXAMPLES, 5).requires_grad_(), integers(5, EXAMPLES)
    before = logits.detach().clone()
    value = LOSSES[loss](logits, answer, torch.float64).sum()
    first, second = (torch.autograd.grad(value, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(logits, before)
    assert torch.equal(first, second)


@pytest.mark.parametrize("mode", ["fast", "plain"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("margin", [80.0, 95.0, 300.0, 2000.0])
def test_confident_networks_have_the_loss_and_gradient_of_the_formula(margin, dtype, mode):
    """Also where single shares of the sum are less than the type can hold."""
    logits, answer = torch.zeros(2, 5, dtype=dtype), torch.tensor([1, 2])
    logits[:, 1] = margin  # right in the first row, wrong in the second
    with ops.use(mode):
        value = LOSSES["cross_entropy"](logits.requires_grad_(), answer, torch.float64)
    assert_close(value.detach(), torch.tensor([0.0, margin]).double())
    shares = torch.softmax(logits.detach().double(), -1) - F.one_hot(answer, 5)
    assert_close(torch.autograd.grad(value.sum(), logits)[0], shares.to(dtype), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("mode", ["fast", "plain"])
def test_float64_loss_keeps_a_gradient_where_float32_has_none(mode):
    """At a margin of 30 the float32 loss is exactly 0; in float64, with two classes, it is about exp(-30)."""
    for dtype, expected in ((torch.float32, 0), (torch.float64, 9.36e-14)):
        logits = torch.tensor([[30.0, 0.0]]).requires_grad_()
        with ops.use(mode):
            loss = LOSSES["cross_entropy"](logits, torch.tensor([0]), dtype)
        assert loss.item() == pytest.approx(expected, rel=0.01)
        if mode == "fast":  # autograd subtracts shares that are rounded already
            assert -torch.autograd.grad(loss.sum(), logits)[0][0, 0].item() == pytest.approx(
                expected, rel=0.01
            )


@pytest.mark.parametrize("place", [0, 3, 4, 96])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_not_hidden(value, place):
    """A network that has diverged must go on to look like one."""
    logits, answer = normal(2, 97, dtype=torch.float32), torch.tensor([0, 1])
    logits[0, place] = value
    loss = LOSSES["cross_entropy"](logits.requires_grad_(), answer, torch.float64)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert grad[0].isnan().any()
    assert grad[1].isfinite().all()
    assert not loss[0].isfinite()
    table, *dense = mlp_inputs((), [6])
    assert mlp_of(*pairs(), torch.relu)(table * torch.nan, *dense).isnan().all()


def adamw_step(step, parameter, grad, state, hparams):
    """An update with these values (R,) of each hyperparameter."""
    named = zip(("learning_rate", "weight_decay", "beta1", "beta2", "epsilon"), hparams, strict=True)
    columns = {name: value_R.double().unsqueeze(1) for name, value_R in named}
    columns["step"] = torch.full_like(columns["beta1"], step)
    OPTIMIZERS["adamw"].update(parameter, grad, state, columns)


def zero_moments(parameter):
    return {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}


@pytest.mark.parametrize("dtype", TYPES)
def test_adam(dtype):
    """Ten steps of three replicas that differ in every hyperparameter."""
    hparams = torch.rand(5, 3, generator=torch.Generator().manual_seed(5)) * 0.9 + 0.05
    found = {}
    for mode in ("fast", "plain"):
        parameter = normal(3, 133, dtype=dtype)
        state = zero_moments(parameter)
        with ops.use(mode):
            for step in range(1, 11):
                adamw_step(step, parameter, normal(3, 133, dtype=dtype, seed=step), state, hparams)
        found[mode] = parameter, *state.values()
    for fast, plain in zip(*found.values(), strict=True):
        assert_close(fast, plain, **TOLERANCE[dtype])


@pytest.mark.parametrize("mode", ["fast", "plain"])
def test_adam_is_torchs_own_adamw(mode):
    parameter = normal(1, 50)
    theirs = torch.nn.Parameter(parameter.clone())
    optimizer = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.5)
    state, hparams = (
        zero_moments(parameter),
        torch.tensor([[1e-2], [0.5], [0.9], [0.98], [1e-8]], dtype=torch.float64),
    )
    for step in range(1, 6):
        grad = normal(1, 50, seed=step)
        with ops.use(mode):
            adamw_step(step, parameter, grad, state, hparams)
        theirs.grad = grad
        optimizer.step()
    assert_close(parameter, theirs.detach(), rtol=1e-12, atol=1e-12)


@pytest.fixture(params=["MKL", "oneDNN"])
def library(request, monkeypatch):
    """Whatever this processor would choose; oneDNN multiplies without AVX-512, too."""
    if request.param == "oneDNN" and not torch.backends.mkldnn.is_available():
        pytest.skip("needs a build of torch with oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param == "oneDNN")


def laid_out(matrix: torch.Tensor, layout: str) -> torch.Tensor:
    """The same entries, elsewhere in memory."""
    rows, columns = matrix.shape[-2:]
    if layout == "transposed":
        return matrix.mT.contiguous().mT
    wider = torch.full((*matrix.shape[:-2], rows + 3, columns + 2), torch.nan)
    gaps = wider[..., 1 : rows + 1, 2:]
    gaps.copy_(matrix)
    return {"dense": matrix, "with gaps": gaps}[layout]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("of_y", ["dense", "transposed", "with gaps"])
@pytest.mark.parametrize("of_x", ["dense", "transposed", "with gaps"])
@pytest.mark.parametrize(("height", "inputs", "outputs"), [(1, 1, 1), (7, 5, 3), (40, 33, 97)])
def test_a_product_is_that_in_float64(height, inputs, outputs, of_x, of_y, leading):
    x, y = normal(*leading, height, inputs).float(), normal(*leading, inputs, outputs, seed=1).float()
    exact, given = (x.double() @ y.double()).float(), (laid_out(x, of_x), laid_out(y, of_y))
    assert ops.matmul(*given).is_contiguous()
    assert_close(ops.matmul(*given), exact, **TOLERANCE[torch.float32])
    bias = normal(*leading, outputs, seed=2).float()
    biased = exact + bias.unsqueeze(-2)
    assert_close(ops.linear(given[0], given[1].mT, bias), biased, **TOLERANCE[torch.float32])
    if not leading:
        products.add_product(total := torch.ones_like(exact), *given)
        assert_close(total, 1 + exact, **TOLERANCE[torch.float32])


@pytest.mark.usefixtures("library")
def test_a_product_has_the_same_bits_beside_others():
    x, y, bias = (normal(8, *shape).float() for shape in ((50, 70), (30, 70), (30,)))
    together = ops.linear(x, y, bias)
    for number in range(8):
        alone = slice(number, number + 1)
        assert torch.equal(ops.linear(x[alone], y[alone], bias[alone])[0], together[number])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("leading", [(), (1,), (2,)])
def test_derivatives_of_products_are_those_in_float64(leading):
    """First and second ones, of a function that is not linear in any of its arguments."""
    shapes = ((6, 5), (4, 5), (4,))
    given = [normal(*leading, *shape, seed=seed).float() / 3 for seed, shape in enumerate(shapes)]

    def derivatives(dtype, function):
        x, weight, bias = (tensor.to(dtype).requires_grad_() for tensor in given)
        value = function(x, weight, bias).pow(3).sum()
        first = torch.autograd.grad(value, (x, weight, bias), create_graph=True)
        along = sum((grad * grad.detach().cos()).sum() for grad in first)
        return [*first, *torch.autograd.grad(along, (x, weight, bias))]

    exact = derivatives(torch.float64, lambda x, weight, bias: x @ weight.mT + bias.unsqueeze(-2))
    for found, expected in zip(derivatives(torch.float32, ops.linear), exact, strict=True):
        assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("library")
def test_what_is_not_needed_has_no_gradient():
    """Frozen weights and inputs from outside."""
    x, weight = normal(6, 5).float(), normal(4, 5, seed=1).float().requires_grad_()
    ops.matmul(x, weight.mT).sum().backward()
    assert_close(weight.grad, x.sum(0).expand(4, 5), **TOLERANCE[torch.float32])
    assert x.grad is None


@pytest.mark.parametrize(
    ("vendor", "family", "full_width"),
    [("AuthenticAMD", 26, True), ("AuthenticAMD", 25, False), ("GenuineIntel", 26, False)],
)
def test_onednn_is_for_full_width_units_of_amd(vendor, family, full_width, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: 2\n")
    assert products.is_full_width_amd(cpuinfo) is full_width
    assert not products.is_full_width_amd(tmp_path / "nothing")


@pytest.mark.parametrize("operator", [None, lambda x, y, *_: x.new_zeros(2, 4)])
def test_a_missing_or_wrong_operator_is_told_and_not_used(operator, monkeypatch, capsys):
    def multiply(x, y):
        if operator is None:
            raise AttributeError("_linear_pointwise")
        return operator(x, y)

    if torch.backends.mkldnn.is_available():
        assert products.onednn_is_right()
        assert capsys.readouterr().err == ""
    monkeypatch.setattr(products, "_onednn", multiply)
    assert not products.onednn_is_right()
    assert capsys.readouterr().err.count("\n") == 1


def test_every_kernel_is_loaded_for_the_types_it_is_called_with():
    """Loaded before, a float32 step compiles nothing."""
    numba_kernels.load()
    before = [len(kernel.signatures) for kernel, _ in numba_kernels.KERNELS]
    inputs = [x.requires_grad_() for x in mlp_inputs((), [6, 4], torch.float32)]
    for loss in LOSSES.values():
        for network in (mlp_of(*pairs(), torch.relu), lambda *x: ops.numpy_mlp(*pairs(), *transposed(x))):
            loss(network(*inputs), integers(5, EXAMPLES), torch.float64).sum().backward()
    adamw_step(1, *torch.rand(2, 3, 5), zero_moments(torch.rand(3, 5)), torch.rand(5, 3))
    after = [len(kernel.signatures) for kernel, _ in numba_kernels.KERNELS]
    assert min(before) > 0
    assert after == before


class SaidToBeOnGPU(torch.Tensor):
    """A tensor of the CPU that takes the GPU's way."""

    is_cuda = True


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("kind", [torch.Tensor, SaidToBeOnGPU])
def test_rows_are_looked_up_and_their_gradients_added(leading, kind):
    """On a GPU a row is a product, as index_add adds there in any order; the twin goes example by example."""
    table, index = normal(*leading, TOKENS, WIDTH), integers(TOKENS, *leading, EXAMPLES)
    looked_up = table.as_subclass(kind).requires_grad_()
    found, weights = rows(looked_up, index), normal(*leading, EXAMPLES, WIDTH, seed=1)
    (grad,) = torch.autograd.grad((found * weights).sum(), looked_up)
    expected, expected_grad = torch.empty_like(weights), torch.zeros_like(table)
    for place in itertools.product(*map(range, index.shape)):
        row = (*place[:-1], int(index[place]))
        expected[place] = table[row]
        expected_grad[row] += weights[place]
    assert torch.equal(found.as_subclass(torch.Tensor).detach(), expected)
    assert_close(grad.as_subclass(torch.Tensor), expected_grad, rtol=1e-12, atol=1e-12)
