"""Compiled kernels against their twins in torch's operations, which run where something is differentiated."""

import pytest
import torch
from torch.testing import assert_close

from grokking.ops.lookup import add_pairs, sum_pairs
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import adam_operations, adam_step

TOKENS, EXAMPLES, WIDTH = 7, 40, 19
TOLERANCE = {torch.float32: {"rtol": 2e-6, "atol": 2e-6}, torch.float64: {"rtol": 1e-13, "atol": 1e-13}}
TYPES = [torch.float32, torch.float64]


def normal(*shape: int, dtype=torch.float64, seed=0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def integers(end: int, *shape: int, seed=0) -> torch.Tensor:
    return torch.randint(end, shape, generator=torch.Generator().manual_seed(seed))


def both_ways(function):
    """What it returns by kernels and by torch's operations."""
    with torch.no_grad():
        by_kernels = function()
    with torch.enable_grad():
        by_operations = function()
    return by_kernels, by_operations


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("leading", [(), (1,), (3,)])
@pytest.mark.parametrize("rectified", [True, False])
def test_pairs_are_looked_up_and_added_as_by_operations(rectified, leading, dtype):
    table, of_sum = (
        normal(*leading, 2 * TOKENS, WIDTH, dtype=dtype),
        normal(*leading, EXAMPLES, WIDTH, dtype=dtype),
    )
    a, b = integers(TOKENS, *leading, EXAMPLES), integers(TOKENS, *leading, EXAMPLES, seed=1)

    def forth_and_back():
        summed, of_table = sum_pairs(table, a, b, rectified), torch.ones_like(table)
        add_pairs(of_sum.clone(), summed, a, b, rectified, of_table)
        return summed, of_table

    for by_kernels, by_operations in zip(*both_ways(forth_and_back), strict=True):
        assert_close(by_kernels, by_operations, **TOLERANCE[dtype])


@pytest.mark.parametrize("loss_dtype", TYPES)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", ["cross_entropy", "stablemax_cross_entropy"])  # the third has no kernel
@pytest.mark.parametrize("classes", [1, 2, 5, 97])
def test_gradients_at_logits_are_those_of_operations(classes, loss, dtype, loss_dtype):
    logits, answer = 20 * normal(3, EXAMPLES, classes, dtype=dtype), integers(classes, 3, EXAMPLES)
    by_kernels, by_operations = both_ways(lambda: LOSSES[loss].gradient(logits.clone(), answer, loss_dtype))
    tolerance = TOLERANCE[torch.float64 if dtype == loss_dtype == torch.float64 else torch.float32]
    assert_close(by_kernels, by_operations, **tolerance)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("margin", [80.0, 95.0, 300.0, 2000.0])
def test_confident_networks_have_the_loss_and_gradient_of_the_formula(margin, dtype):
    """Also where single shares of the sum are less than the type can hold."""
    logits, answer = torch.zeros(2, 5, dtype=dtype), torch.tensor([1, 2])
    logits[:, 1] = margin  # right in the first row, wrong in the second
    shares = torch.softmax(logits.double(), -1) - torch.nn.functional.one_hot(answer, 5)
    loss = LOSSES["cross_entropy"]
    assert_close(loss.value(logits, answer, torch.float64), torch.tensor([0.0, margin]).double())
    for gradient in both_ways(lambda: loss.gradient(logits.clone(), answer, torch.float64)):
        assert_close(gradient, shares.to(dtype), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("place", [0, 3, 4, 96])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_not_hidden(value, place):
    """A network that has diverged must go on to look like one."""
    logits, answer = normal(2, 97, dtype=torch.float32), torch.tensor([0, 1])
    logits[0, place] = value
    with torch.no_grad():
        gradient = LOSSES["cross_entropy"].gradient(logits, answer, torch.float64)
        table = torch.full((2 * TOKENS, WIDTH), float("nan"))
        index = integers(TOKENS, EXAMPLES)
        assert sum_pairs(table, index, index, True).isnan().all()
    assert gradient[0].isnan().any()
    assert gradient[1].isfinite().all()


@pytest.mark.parametrize("dtype", TYPES)
def test_adam_steps_are_those_of_operations(dtype):
    """Ten steps of three replicas that differ in every hyperparameter."""
    columns = {
        "learning_rate": [1e-2, 3e-2, 1e-3],
        "beta1": [0.9, 0.5, 0.0],
        "beta2": [0.98, 0.9, 0.999],
        "epsilon": [1e-8, 1e-4, 1e-8],
    }
    values = {name: torch.tensor(column, dtype=torch.float64)[:, None] for name, column in columns.items()}
    kept = torch.tensor([[1.0], [0.99], [0.9]], dtype=torch.float64)

    def ten_steps():
        parameter, state = (
            normal(3, 133, dtype=dtype),
            {k: torch.zeros(3, 133, dtype=dtype) for k in ("mean", "square")},
        )
        for step in range(1, 11):
            clock = {"step": torch.full((3, 1), step, dtype=torch.float64)}
            adam_step(parameter, normal(3, 133, dtype=dtype, seed=step), state, values | clock, kept)
        return parameter, *state.values()

    for by_kernels, by_operations in zip(*both_ways(ten_steps), strict=True):
        assert_close(by_kernels, by_operations, **TOLERANCE[dtype])


def test_adam_operations_are_torchs_own_adamw():
    parameter = normal(1, 50)
    theirs = torch.nn.Parameter(parameter.clone())
    optimizer = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.5)
    mean, square = torch.zeros_like(parameter), torch.zeros_like(parameter)
    for step in range(1, 6):
        gradient = normal(1, 50, seed=step)
        factors = [1 - 1e-2 * 0.5, 1 - 0.9, 1 - 0.98, 1 / (1 - 0.98**step), 1e-2 / (1 - 0.9**step), 1e-8]
        adam_operations(parameter, gradient, mean, square, torch.tensor([factors], dtype=torch.float64))
        theirs.grad = gradient
        optimizer.step()
    assert_close(parameter, theirs.detach(), rtol=1e-12, atol=1e-12)
