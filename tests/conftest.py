"""Shared fixtures: one thread as in the workers, small tasks, experiments by name of family."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.executors.process_settings import use_threads
from grokking.training.records import Evaluation

pytest_plugins = [
    "cabled_host",
    "clones",
    "laboratory",
    "postgres_server",
    "ray_nodes",
    "stores",
    "study_server",
    "submissions",
    "team_server",
]  # fixtures

# files that one worker runs, one after the other
SHARE_A_CLONE = ("test_pipeline", "test_recipes", "test_side_by_side")
START_RAY = ("test_ray_search", "test_executors")  # the first looks for what Ray has left
TOGETHER = dict.fromkeys(SHARE_A_CLONE, "clone") | dict.fromkeys(START_RAY, "ray")


class FilesToWorkers(LoadScopeScheduling):
    """With several workers, one worker runs all tests of a file: it makes the file's fixtures once."""

    def _split_scope(self, nodeid: str) -> str:
        """The tests of equal scope go to one worker.

        Not `--dist loadgroup`: it does nothing with pytest 9.2, which keeps the name of a test elsewhere.
        """
        file = Path(nodeid.partition("::")[0]).stem
        return TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return FilesToWorkers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first."""
    items.sort(key=lambda item: item.path.stem not in TOGETHER)  # stable


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
    mapping = {
        "operation": operation_mapping(operation, modulus),
        "labels": {"name": labels} | ({"seed": 0} if labels == "shuffled" else {}),
        "split": {"name": "random", "train_fraction": train_fraction},
        "split_seeds": [0, 1, 2],
    }
    return tasks.build(load(TaskConfig, mapping, "tasks.test"), "tasks.test")


def every_evaluation(stacks: Iterable[list[Evaluation]]) -> list[Evaluation]:
    """What `train_all` yields, by replica and step."""
    return sorted(chain.from_iterable(stacks), key=lambda e: (e.replica, e.step))


def operation_mapping(name: str, size: int) -> dict[str, Any]:
    """An operation as it would stand in params.yaml; permutations are of 3 points, whatever the size."""
    if name.startswith("permutation"):
        return {"name": name, "degree": 3}
    if name == "latin_square":
        return {"name": name, "size": size, "seed": 0}
    return {"name": name, "modulus": size}
