"""The training loop: evaluate, record, retire, update."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from grokking.data.tasks import Task
from grokking.training.events import Watch, evaluation_steps
from grokking.training.experiment import Replica
from grokking.training.numpy_replicas import NumpyReplicas
from grokking.training.replicas import TorchReplicas


class Learner(Protocol):
    """Replicas that can be updated, evaluated, thinned out and copied."""

    def update(self, step: int) -> None: ...
    def evaluate(self) -> dict[str, Tensor]: ...
    def keep(self, positions: list[int]) -> None: ...
    def snapshot(self, position: int) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Evaluation:
    """One replica at one step; `parameters` only at its last evaluation."""

    replica: int
    step: int
    seconds: float  # since training began
    metrics: dict[str, float]
    parameters: dict[str, np.ndarray] | None


def learner(replicas: list[Replica], task: Task, device: str) -> Learner:
    """The engine for the replicas' family."""
    by_hand = replicas[0].config.model.family == "numpy_mlp"
    return (NumpyReplicas if by_hand else TorchReplicas)(replicas, task, device)


def train(replicas: list[Replica], task: Task, device: str) -> Iterator[Evaluation]:
    """Train replicas of one stack; each leaves when its generalisation is sustained or it diverged.

    Yields every evaluation as it is made.
    """
    started = time.perf_counter()
    budget = replicas[0].config.budget
    stack = learner(replicas, task, device)
    active = [(replica.index, Watch()) for replica in replicas]
    previous = 0
    for step in evaluation_steps(budget):
        for update in range(previous + 1, step + 1):
            stack.update(update)
        previous = step

        seconds = time.perf_counter() - started
        table = {name: values_R.tolist() for name, values_R in stack.evaluate().items()}
        staying = []
        for position, (index, watch) in enumerate(active):
            metrics = {name: values[position] for name, values in table.items()}
            finished = step == budget or _diverged(metrics)
            finished |= watch.sustained(step, metrics["validation_accuracy"])
            parameters = stack.snapshot(position) if finished else None
            yield Evaluation(index, step, seconds, metrics, parameters)
            if not finished:
                staying.append(position)

        if not staying:
            return
        if len(staying) < len(active):
            stack.keep(staying)
            active = [active[position] for position in staying]


def _diverged(metrics: dict[str, float]) -> bool:
    loss = metrics["train_loss"]
    return loss != loss or loss in (float("inf"), float("-inf"))
