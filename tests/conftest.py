"""Shared fixtures: one thread as in the workers, small tasks, experiments by name of family."""

import pytest
import torch

from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.training.workers import use_threads


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Workers compute on one thread; so do the tests that compare with them bit by bit."""
    use_threads(1)


@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request) -> str:
    """Every device there is."""
    return request.param


@pytest.fixture(scope="session")
def tiny_task() -> Task:
    """a + b mod 11 with splits 0, 1, 2."""
    return make_task()


def make_task(
    operation: str = "add", modulus: int = 11, labels: str = "exact", train_fraction: float = 0.6
) -> Task:
    config = TaskConfig(operation, modulus, labels, 0, "random", train_fraction, (0, 1, 2))
    return tasks.build(config, "tasks.test")
