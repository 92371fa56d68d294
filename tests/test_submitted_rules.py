"""The rules that come with the laboratory, beside well-kept libraries or their papers' own formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_optimizer import SOAP, Lion
from schedulefree import AdamWScheduleFree

from grokking.leaderboard.submission import read_submission

SUBMISSIONS = Path(__file__).parents[1] / "leaderboard/submissions"
STEPS, SIZE = 12, 6
RATE, DECAY, BETA1, BETA2, EPSILON = 0.05, 0.4, 0.8, 0.9, 1e-8


def start() -> torch.Tensor:
    return torch.tensor(np.random.default_rng(0).normal(size=(1, SIZE)))


def grads() -> list[torch.Tensor]:
    return list(torch.tensor(np.random.default_rng(1).normal(size=(STEPS, 1, SIZE))))


def by_rule(name: str, warmup: int = 0) -> list[torch.Tensor]:
    """The parameters after each update by a submission."""
    submission = read_submission(SUBMISSIONS / f"{name}.py")
    values = {"weight_decay": DECAY, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}
    param, found = start(), []
    state = {slot: torch.zeros_like(param) for slot in submission.rule.state_names}
    for step, grad in enumerate(grads(), start=1):
        rate = RATE * min(1, step / warmup) if warmup else RATE
        now = values | {"learning_rate": rate, "step": step}
        hparams = {key: torch.tensor([[float(value)]], dtype=torch.float64) for key, value in now.items()}
        submission.rule.update(param, grad.clone(), state, hparams)
        found.append(param.clone())
    return found


def by_library(make) -> list[torch.Tensor]:
    param, found = torch.nn.Parameter(start()), []
    optimizer = make([param])
    getattr(optimizer, "train", lambda: None)()
    for grad in grads():
        param.grad = grad.clone()
        optimizer.step()
        found.append(param.detach().clone())
    return found


def by_formula(step_of) -> list[torch.Tensor]:
    """AdamW's moments by hand; `step_of(param, grad, mean, root)` is the new parameter."""
    param, mean, square = start().numpy(), np.zeros((1, SIZE)), np.zeros((1, SIZE))
    found = []
    for number, grad in enumerate(grads(), start=1):
        mean = BETA1 * mean + (1 - BETA1) * grad.numpy()
        square = BETA2 * square + (1 - BETA2) * grad.numpy() ** 2
        root = np.sqrt(square / (1 - BETA2**number)) + EPSILON
        param = step_of(param, grad.numpy(), mean / (1 - BETA1**number), root)
        found.append(torch.tensor(param))
    return found


def cautious(param, grad, mean, root):
    """Liang et al. 2024, algorithm 1."""
    mask = mean * grad > 0
    scale = mask / max(mask.mean(), 1e-3)
    return param * (1 - RATE * DECAY) - RATE * scale * mean / root


def cautious_decay(param, grad, mean, root):
    """Chen et al. 2025: entry by entry, the weight decays where the step has its sign."""
    new = param.copy()
    for i, step in np.ndenumerate(mean / root):
        new[i] -= RATE * step + (RATE * DECAY * param[i] if step * param[i] >= 0 else 0)
    return new


@pytest.mark.parametrize("warmup", [0, 5])
def test_schedule_free_adamw_is_as_in_its_authors_library(warmup):
    theirs = by_library(
        lambda params: AdamWScheduleFree(
            params, RATE, (BETA1, BETA2), EPSILON, weight_decay=DECAY, warmup_steps=warmup
        )
    )
    torch.testing.assert_close(by_rule("schedule_free_adamw", warmup), theirs)


def test_lion_is_as_in_a_library():
    theirs = by_library(
        lambda params: Lion(params, RATE, (BETA1, BETA2), weight_decay=DECAY, weight_decouple=True)
    )
    torch.testing.assert_close(by_rule("lion"), theirs)


@pytest.mark.parametrize(
    ("name", "formula"), [("cautious_adamw", cautious), ("cautious_decay_adamw", cautious_decay)]
)
def test_a_rule_is_as_in_its_paper(name, formula):
    torch.testing.assert_close(by_rule(name), by_formula(formula))


@pytest.mark.parametrize("name", ["lion_row_norm", "lion_hyperball"])
def test_lion_that_is_clamped_is_lion_without_decay(name):
    theirs = by_library(lambda params: Lion(params, RATE, (BETA1, BETA2), weight_decay=0.0))
    torch.testing.assert_close(by_rule(name), theirs)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (8, 2)])
def test_soap_is_as_in_a_library(shape):
    """Two matrices side by side, over three turns of the bases.

    After one gradient most eigenvalues of the longer side are 0, and any basis of their space will do. Ours
    must be one, and then takes the library's.
    """
    draws = torch.tensor(np.random.default_rng(0).normal(size=(36, 2, *shape)), dtype=torch.float32)
    ours, grads = draws[0].clone(), draws[1:]
    singles = [torch.nn.Parameter(matrix.clone()) for matrix in ours]
    theirs = SOAP(singles, RATE, (BETA1, BETA2), weight_decay=DECAY, eps=EPSILON)
    rule, state = read_submission(SUBMISSIONS / "soap.py").rule, {}
    for name, axes in rule.matrix_state.items():
        state[name] = torch.zeros(2, *(shape["OI".index(axis)] for axis in axes))
    for step, grad in enumerate(grads, start=1):
        rule.update_matrices([ours], [grad.clone()], [state], two_replicas(step))
        for single, own in zip(singles, grad, strict=True):
            single.grad = own.clone()
        theirs.step()
        if step == 1:
            take_bases(state, [theirs.state[single]["Q"] for single in singles])
        torch.testing.assert_close(ours, torch.stack([s.detach() for s in singles]), rtol=1e-3, atol=1e-4)


def two_replicas(step: int) -> dict[str, torch.Tensor]:
    values = {"learning_rate": RATE, "weight_decay": DECAY, "beta1": BETA1, "beta2": BETA2}
    values |= {"epsilon": EPSILON, "step": step}
    return {name: torch.full((2, 1), value, dtype=torch.float64) for name, value in values.items()}


def take_bases(state, theirs) -> None:
    """Theirs in place of ours, which must give the diagonal of the eigenvalues, the largest first."""
    for number, side in enumerate(("left", "right")):
        basis, product = state[f"{side}_basis"], state[side]
        eigenvalues = torch.linalg.eigvalsh(product).flip(-1)
        torch.testing.assert_close(
            basis.mT @ product @ basis, torch.diag_embed(eigenvalues), rtol=0, atol=1e-4
        )
        basis.copy_(torch.stack([bases[number] for bases in theirs]))
