"""The training loop: update, evaluate, let replicas go, let others in."""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from grokking.data.tasks import Task
from grokking.engine.evaluation import EquationMetrics, EvaluationSampler, evaluate
from grokking.engine.events import evaluation_steps, snapshot_steps
from grokking.engine.numpy_replicas import NumpyReplicas
from grokking.engine.stack import ReplicaStack
from grokking.experiment import VALUES, Replica
from grokking.training.checkpoint import Checkpoint, State, pack, unpack


class Learner(Protocol):
    """Replicas that can be updated, measured, thinned out, replaced and copied."""

    steps: list[int]

    def update(self, count: int) -> None: ...
    def measure(self, positions: list[int], index_RE: np.ndarray) -> EquationMetrics: ...
    def norms(self, positions: list[int]) -> dict[str, Tensor]: ...
    def keep(self, positions: list[int]) -> None: ...
    def put(self, position: int, replica: Replica) -> None: ...
    def snapshot(self, position: int) -> dict[str, np.ndarray]: ...
    def tensors(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Evaluation:
    """One replica at one step; `parameters` where a snapshot was taken."""

    replica: int
    step: int
    seconds: float  # of updates so far, those of all replicas of the stack; evaluations do not count
    metrics: dict[str, float]
    parameters: dict[str, np.ndarray] | None
    finished: bool  # the replica's last evaluation


@dataclass(frozen=True)
class Observation:
    """What a judge is told of a replica at an evaluation."""

    replica: Replica
    step: int
    seconds: float
    metrics: dict[str, float]
    parameters: Callable[[], dict[str, np.ndarray]]  # copies them, so only where they are needed


StopRule = Callable[[Observation], bool]  # whether the replica should stop here
Grid = Callable[[int], list[int]]  # the steps at which to evaluate within a budget, from 0 to it


def never(reading: Observation) -> bool:
    """Let every replica train to the end."""
    return False


def learner(replicas: list[Replica], task: Task, device: str) -> Learner:
    """The engine for the replicas' family."""
    by_hand = replicas[0].config.model.family == "numpy_mlp"
    return (NumpyReplicas if by_hand else ReplicaStack)(replicas, task, device)


def train(
    replicas: Iterable[Replica],
    task: Task,
    device: str,
    slots: int | None = None,
    checkpoint: Checkpoint | None = None,
    judge: StopRule = never,
    grid: Grid = evaluation_steps,
    snapshots: bool = True,
) -> Iterator[Evaluation]:
    """Train replicas that fit one stack; yields every evaluation as it is made, or was made before.

    A replica leaves when its generalisation is sustained, when it diverged, when the judge says so, and at
    the end of its budget. At most `slots` train at once; the next of `replicas` takes a free place, so they
    may be chosen while others are on their way. With a checkpoint, training goes on where it was interrupted.
    Parameters come with some evaluations of the default grid where `snapshots` are wanted.
    """
    past = checkpoint.load() if checkpoint else None
    session = Session(replicas, task, device, slots, past, judge, grid, snapshots)
    yield from session.evaluations
    while session.runs:
        yield from session.advance()
        session.fill_places()
        if checkpoint and (checkpoint.due() or not session.runs):
            checkpoint.save(session.state())


class Run:
    """A replica in training: when it is evaluated, and what its watches have seen."""

    def __init__(self, replica: Replica, task: Task, grid: Grid, step: int = -1) -> None:
        """Evaluations at steps after `step` are still to be made."""
        self.replica = replica
        self.sampler = EvaluationSampler(replica, task)
        self.snapshots = snapshot_steps(replica.config.budget)
        steps = grid(replica.config.budget)
        self.to_evaluate = steps[bisect_right(steps, step) :]

    def evaluation(self, step: int, seconds: float, metrics: dict[str, float], stop: bool) -> Evaluation:
        """Take the evaluation that was due; parameters are added by who has them."""
        self.to_evaluate = self.to_evaluate[1:]
        settled = self.sampler.watches["validation"].settled
        finished = stop or settled or not self.to_evaluate or not math.isfinite(metrics["train_loss"])
        return Evaluation(self.replica.index, step, seconds, metrics, None, finished)


class Session:
    """The replicas in training, those that wait, and all evaluations so far."""

    def __init__(
        self,
        replicas: Iterable[Replica],
        task: Task,
        device: str,
        slots: int | None,
        past: State | None,
        judge: StopRule = never,
        grid: Grid = evaluation_steps,
        snapshots: bool = True,
    ) -> None:
        self.task, self.device, self.judge, self.snapshots = task, device, judge, snapshots
        self.grid = grid
        self.waiting = iter(replicas)
        self.evaluations: list[Evaluation] = []
        self.runs: list[Run] = []
        self.finished: list[int] = []  # places whose replica made its last evaluation
        self.seconds = 0.0
        if past is None:
            self._begin([Run(replica, task, grid) for replica in islice(self.waiting, slots)])
        else:
            self._go_on(past)

    def _begin(self, runs: list[Run]) -> None:
        self.runs = runs
        if runs:
            for run in runs[1:]:
                _require_same_stack(run.replica, runs[0].replica, self.task)
            self.stack = learner([run.replica for run in runs], self.task, self.device)

    def advance(self) -> list[Evaluation]:
        """Train to the next evaluation that is due, and make it."""
        runs, stack = self.runs, self.stack
        to_go = [run.to_evaluate[0] - step for run, step in zip(runs, stack.steps, strict=True)]
        self.seconds += _timed(stack, min(to_go), self.device)
        due = [position for position, updates in enumerate(to_go) if updates == min(to_go)]
        made = self._evaluate(due)
        self.evaluations += made
        self.finished = [position for position, new in zip(due, made, strict=True) if new.finished]
        return made

    def _evaluate(self, due: list[int]) -> list[Evaluation]:
        runs, steps = [self.runs[position] for position in due], [self.stack.steps[p] for p in due]
        budget = runs[0].replica.config.budget
        metrics = evaluate(self.stack, due, [run.sampler for run in runs], steps, budget)
        made = []
        for position, run, step, found in zip(due, runs, steps, metrics, strict=True):
            parameters = partial(self.stack.snapshot, position)
            stop = self.judge(Observation(run.replica, step, self.seconds, found, parameters))
            new = run.evaluation(step, self.seconds, found, stop)
            kept = self.snapshots and (new.finished or step in run.snapshots)
            made.append(replace(new, parameters=self.stack.snapshot(position) if kept else None))
        return made

    def fill_places(self) -> None:
        """Give each place of a finished replica to the next that waits, or close it."""
        closed = set()
        for position in self.finished:
            replica = next(self.waiting, None)
            if replica is None:
                closed.add(position)
            else:
                _require_same_stack(replica, self.runs[position].replica, self.task)
                self.stack.put(position, replica)
                self.runs[position] = Run(replica, self.task, self.grid)
        if closed:
            open_places = [position for position in range(len(self.runs)) if position not in closed]
            self.runs = [self.runs[position] for position in open_places]
            if self.runs:
                self.stack.keep(open_places)

    def state(self) -> State:
        """Everything that decides how training goes on."""
        tensors, steps = (self.stack.tensors(), self.stack.steps) if self.runs else ({}, [])
        for number, evaluation in enumerate(self.evaluations):
            tensors |= pack(f"snapshot/{number}", evaluation.parameters or {})
        rest = {
            "evaluations": [asdict(replace(e, parameters=None)) for e in self.evaluations],
            "runs": [
                {"replica": run.replica.index, "step": step, "watches": run.sampler.state()}
                for run, step in zip(self.runs, steps, strict=True)
            ],
        }
        return State(tensors, rest)

    def _go_on(self, past: State) -> None:
        """Take up training where `state` was called; replicas it knows do not begin again."""
        for number, entry in enumerate(past.rest["evaluations"]):
            snapshot = unpack(f"snapshot/{number}", past.tensors) or None
            self.evaluations.append(Evaluation(**entry | {"parameters": snapshot}))
        by_index = {replica.index: replica for replica in self.waiting}
        runs = []
        for saved in past.rest["runs"]:
            run = Run(by_index[saved["replica"]], self.task, self.grid, saved["step"])
            run.sampler.restore(saved["watches"])
            runs.append(run)
        begun = {run.replica.index for run in runs} | {e.replica for e in self.evaluations}
        self.waiting = iter([replica for index, replica in by_index.items() if index not in begun])
        self._begin(runs)
        if runs:
            self.stack.steps = [saved["step"] for saved in past.rest["runs"]]
            for name, tensor in self.stack.tensors().items():
                tensor.copy_(past.tensors[name])
        self.seconds = self.evaluations[-1].seconds if self.evaluations else 0.0


def _timed(stack: Learner, updates: int, device: str) -> float:
    """Make so many updates; their seconds, on a GPU until it has made them."""
    started = time.perf_counter()
    stack.update(updates)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _require_same_stack(newcomer: Replica, other: Replica, task: Task) -> None:
    keys = [replica.stack_key(task) for replica in (newcomer, other)]
    if keys[0] != keys[1]:
        raise ValueError(
            f"replicas of one stack may differ in {', '.join(sorted(VALUES))} only, but got "
            f"{keys[0]} beside {keys[1]}; train it in a stack of its own"
        )
