"""Optimizers in lockstep with torch.optim, and schedules."""

import math

import pytest
import torch
from draws import normal
from examples import experiment
from torch.testing import assert_close

from grokking.experiment import expand
from grokking.updates.optimizers import OPTIMIZERS, orthogonalize
from grokking.updates.schedules import PlainScheduleConfig, StepScheduleConfig, factor

ADAM = {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8}
PAIRS = [
    ("sgd", {"momentum": 0.0}, lambda p, c: torch.optim.SGD(p, **c)),
    ("sgd", {"momentum": 0.9}, lambda p, c: torch.optim.SGD(p, momentum=0.9, **c)),
    ("nesterov", {"momentum": 0.9}, lambda p, c: torch.optim.SGD(p, momentum=0.9, nesterov=True, **c)),
    ("adam", ADAM, lambda p, c: torch.optim.Adam(p, betas=(0.9, 0.98), **c)),
    ("adamw", ADAM, lambda p, c: torch.optim.AdamW(p, betas=(0.9, 0.98), **c)),
]


def columns(hparams):
    """Each as a column (R, 1) in float64."""
    return {name: torch.tensor(value, dtype=torch.float64).view(-1, 1) for name, value in hparams.items()}


@pytest.mark.parametrize(("name", "own", "torch_optimizer"), PAIRS)
def test_optimizer_in_lockstep_with_torch(name, own, torch_optimizer):
    """Three replicas with their own rates and decays on random gradients, parameters after every step."""
    random = torch.Generator().manual_seed(0)
    rates, decays = [0.1, 0.01, 0.003], [0.0, 0.1, 1.0]
    stacked = torch.randn(3, 20, dtype=torch.float64, generator=random)
    singles = [stacked[r].clone().requires_grad_() for r in range(3)]
    theirs = [
        torch_optimizer([p], {"lr": lr, "weight_decay": wd})
        for p, lr, wd in zip(singles, rates, decays, strict=True)
    ]
    hparams = columns({"learning_rate": rates, "weight_decay": decays} | {k: [v] * 3 for k, v in own.items()})
    state = {slot: torch.zeros_like(stacked) for slot in OPTIMIZERS[name].state_names}
    for step in range(1, 21):
        grad = torch.randn(3, 20, dtype=torch.float64, generator=random)
        hparams |= columns({"step": [step] * 3})
        OPTIMIZERS[name].update(stacked, grad.clone(), state, hparams)
        for replica, optimizer in enumerate(theirs):
            singles[replica].grad = grad[replica].clone()
            optimizer.step()
            assert_close(stacked[replica], singles[replica].detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_is_decoupled_where_it_is_said_to_be(name):
    """Without a gradient a decoupled decay shrinks weights by the same share, a coupled one does not."""
    example = expand(experiment(optimizer=name), "e")[0].config.update_hparams()
    chosen = {"learning_rate": 0.1, "weight_decay": 0.5, "momentum": 0.0}
    hparams = columns({k: [chosen.get(k.removeprefix("adamw_"), v)] for k, v in example.items()})
    param = torch.tensor([[1.0, 2.0, -3.0]], dtype=torch.float64)
    before = param.clone()
    state = {slot: torch.zeros_like(param) for slot in OPTIMIZERS[name].state_names}
    OPTIMIZERS[name].update(param, torch.zeros_like(param), state, hparams | columns({"step": [1]}))
    # without momentum SGD's coupled decay shrinks as a decoupled one does; with momentum it does not
    hparams["momentum"] = columns({"m": [0.5]})["m"]
    OPTIMIZERS[name].update(param, torch.zeros_like(param), state, hparams | columns({"step": [2]}))
    assert torch.allclose(param, before * 0.95**2) == OPTIMIZERS[name].decoupled


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_muon_brings_singular_values_near_one_and_keeps_singular_vectors(shape):
    matrix = normal(2, *shape)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    others = [torch.ones(2, 9, 4, dtype=torch.float64), matrix.mT.flip(0)]
    together = orthogonalize([others[0], matrix, others[1]])
    assert [x.shape for x in together] == [others[0].shape, matrix.shape, others[1].shape]
    inner = left.mT @ together[1] @ right.mT
    on_diagonal = inner.diagonal(dim1=1, dim2=2)
    assert (on_diagonal[values > 0.05 * values.amax()] > 0.6).all()
    assert (on_diagonal < 1.25).all()
    assert_close(inner, torch.diag_embed(on_diagonal), rtol=0, atol=1e-12)


def test_muon_follows_torchs_own():
    """torch.optim.Muon iterates in bfloat16, ours in the parameters' type: updates agree to 2 %."""
    random = torch.Generator().manual_seed(0)
    ours = torch.randn(1, 24, 16, generator=random)
    theirs, start = ours[0].clone().requires_grad_(), ours.clone()
    optimizer = torch.optim.Muon([theirs], lr=0.1, momentum=0.95, weight_decay=0.1)
    hparams = columns({"learning_rate": [0.1], "momentum": [0.95], "weight_decay": [0.1]})
    state = {"momentum": torch.zeros_like(ours)}
    for _ in range(5):
        grad = torch.randn(1, 24, 16, generator=random)
        OPTIMIZERS["muon"].update_matrices([ours], [grad], [state], hparams)
        theirs.grad = grad[0].clone()
        optimizer.step()
    moved = (ours[0] - start[0]).norm()
    assert (ours[0] - theirs.detach()).norm() < 0.02 * moved


def test_schedules_at_known_steps():
    warm, cosine = PlainScheduleConfig("constant", 10), PlainScheduleConfig("cosine", 10)
    assert [factor(warm, step, 100) for step in (1, 5, 10, 11, 100)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    assert factor(cosine, 10, 110) == 1.0
    assert factor(cosine, 60, 110) == pytest.approx(0.5)
    assert factor(cosine, 110, 110) == pytest.approx(0, abs=1e-15)
    assert factor(cosine, 600, 110) == factor(cosine, 110, 110)
    quarter = factor(PlainScheduleConfig("cosine", 0), 25, 100)
    assert quarter == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_the_rate_falls_in_steps_as_in_torch():
    """Also without and after warm-up; the budget is nothing to it."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
    theirs = []
    for _ in range(35):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert [factor(StepScheduleConfig("step", 0, 10, 0.5), n, 20) for n in range(1, 36)] == theirs
    warm = [factor(StepScheduleConfig("step", 4, 10, 0.5), n, 20) for n in range(1, 40)]
    assert warm == [0.25, 0.5, 0.75, 1.0, *theirs]
