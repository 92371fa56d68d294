"""Submissions to a tiny benchmark, and a checkout that holds it; fixtures."""

import shutil
from pathlib import Path

import pytest
from clones import tiny_params

from grokking.executors.executor import executor
from grokking.leaderboard import assignment, running, table
from grokking.leaderboard.trials import trials
from grokking.leaderboard.workloads import read_benchmark
from grokking.updates.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[1]
SUBMISSIONS = sorted((ROOT / "leaderboard/submissions").glob("*.py"))
ADAMW = """'''AdamW of the laboratory.'''
RULESET = "tuned"
SETTINGS = {"optimizer.name": "adamw", "epsilon": 1e-8, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.98}
SPACE = {"learning_rate": {"kind": "log", "low": 0.02, "high": 0.1}}
"""
OWN_ADAMW = """'''AdamW written out.'''
import torch

RULESET = "tuned"
SETTINGS = {"epsilon": 1e-8, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.98}
SPACE = {"learning_rate": {"kind": "log", "low": 0.02, "high": 0.1}}
STATE = ("mean", "square")


def update(param, grad, state, hparams):
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    param.mul_(1 - h["learning_rate"] * h["weight_decay"])
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    mean = state["mean"] / (1 - h["beta1"] ** h["step"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    param.sub_(h["learning_rate"] * mean / (square.sqrt() + h["epsilon"]))
"""
MUON = """'Muon of the laboratory.'
RULESET = "tuned"
SETTINGS = {
    "optimizer.name": "muon", "epsilon": 1e-8, "weight_decay": 1.0, "momentum": 0.9, "beta1": 0.9,
    "beta2": 0.98, "adamw_learning_rate": 0.02, "adamw_weight_decay": 0.5,
}
SPACE = {"learning_rate": {"kind": "log", "low": 0.02, "high": 0.1}}
"""
OWN_MUON = """'Muon written out.'
import torch

RULESET = "tuned"
SETTINGS = {
    "epsilon": 1e-8, "weight_decay": 1.0, "momentum": 0.9, "beta1": 0.9,
    "beta2": 0.98, "adamw_learning_rate": 0.02, "adamw_weight_decay": 0.5,
}
SPACE = {"learning_rate": {"kind": "log", "low": 0.02, "high": 0.1}}
STATE = ("mean", "square")
MATRIX_STATE = {"momentum": "OI"}


def update(param, grad, state, hparams):
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    param.mul_(1 - h["adamw_learning_rate"] * h["adamw_weight_decay"])
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    mean = state["mean"] / (1 - h["beta1"] ** h["step"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    param.sub_(h["adamw_learning_rate"] * mean / (square.sqrt() + h["epsilon"]))


def update_matrix(matrix, grad, state, hparams):
    h = {name: value.to(matrix.dtype) for name, value in hparams.items()}
    average = state["momentum"].lerp_(grad, 1 - h["momentum"])
    ahead = grad.lerp(average, h["momentum"])
    x = ahead / (torch.linalg.matrix_norm(ahead)[:, None, None] + 1e-7)
    for _ in range(5):
        inner = x @ x.mT
        x = 3.4445 * x + (2.0315 * inner @ inner - 4.7750 * inner) @ x
    longer = max(1, matrix.shape[1] / matrix.shape[2]) ** 0.5
    matrix.mul_(1 - h["learning_rate"] * h["weight_decay"])
    matrix.sub_(h["learning_rate"] * longer * x)
"""


@pytest.fixture(autouse=True)
def no_rule_stays_known():
    """A submission's rule is known while it is used: the laboratory's own choices are what they were."""
    known = list(OPTIMIZERS)
    yield
    assert list(OPTIMIZERS) == known


def tiny_benchmark(folder):
    """In this folder."""
    (folder / "leaderboard/submissions").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("tiny_leaderboard.yaml"), folder / "leaderboard/v1.yaml")
    return read_benchmark(folder, 1)


def add_baselines(benchmark):
    folder = benchmark.root / "leaderboard/submissions"
    (folder / "adamw.py").write_text(ADAMW)
    (folder / "own.py").write_text(OWN_ADAMW)


@pytest.fixture
def benchmark(tmp_path):
    """A tiny one, in a folder of its own."""
    return tiny_benchmark(tmp_path)


def train(benchmark, submission, names=()):
    folder = table.result_folder(benchmark, submission.name)
    asked = assignment.trials_by_workload(benchmark, submission, names)
    return running.train_missing(submission, asked, assignment.every_trial(benchmark, submission), folder)


def trained_alone(job):
    with executor(1) as workers:
        return list(running.trained([job], workers))


def only(benchmark, submission):
    """The trials of its one workload."""
    return trials(submission, benchmark.workloads["tiny_mlp"], benchmark.rules)


@pytest.fixture
def checkout(benchmark, monkeypatch):
    """A checkout with the tiny benchmark, in which the command works."""
    from grokking.api import checkout

    monkeypatch.setattr(checkout, "here", lambda: checkout.Checkout(benchmark.root))
    (benchmark.root / "params.yaml").write_text(tiny_params())
    add_baselines(benchmark)
    return benchmark.root
