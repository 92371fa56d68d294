"""The training loop: update, evaluate, record, drop finished replicas."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from grokking.data.tasks import Task
from grokking.engine.evaluation import evaluate
from grokking.engine.evaluation_steps import evaluation_steps, snapshot_steps
from grokking.executors.processor import computes_on
from grokking.experiment import Replica
from grokking.training.checkpoint import Checkpoint
from grokking.training.records import Evaluation, Observation
from grokking.training.state import TrainingState


def train(
    replicas: list[Replica],
    task: Task,
    device: str,
    checkpoint: Checkpoint | None = None,
    stop: Callable[[Observation], bool] = lambda observation: False,
    evaluated_at: Callable[[int], Iterator[int]] = evaluation_steps,  # budget -> steps, the budget among them
    snapshots: bool = True,
) -> Iterator[Evaluation]:
    """Train replicas that fit one stack; yields those evaluations that a checkpoint holds, then each new one.

    A replica ends when its generalization is sustained, or at the end of its budget; but not while a
    crossing of either part is pending. It ends at once when it diverges or the stop rule says so. With a
    checkpoint, training goes on where it was interrupted. With `snapshots`, parameters come with the last
    evaluation and with some of those before.
    """
    _require_one_stack(replicas, task)
    state = TrainingState(replicas, task, device)
    if checkpoint and (saved := checkpoint.load()):
        state.restore(saved)
    yield from state.evaluations

    budget, processor = replicas[0].config.budget, computes_on(device)
    snapshots_at = snapshot_steps(budget)
    resumed_at = state.stack.step if state.evaluations else -1  # evaluations up to it are in the checkpoint
    for step in evaluated_at(budget):  # without an end: training ends with its last replica
        if not state.replicas:
            return
        if step <= resumed_at:
            continue

        # update
        started = time.perf_counter()
        state.stack.update(step - state.stack.step)
        if device == "cuda":
            torch.cuda.synchronize()
        state.seconds += time.perf_counter() - started

        # evaluate
        metrics = evaluate(state.stack, state.evaluators, step)

        # record
        going_on = []
        for i, replica in enumerate(state.replicas):
            snapshot = partial(state.stack.snapshot, i)
            observation = Observation(replica, step, state.seconds, metrics[i], snapshot)
            stopped, diverged = stop(observation), not math.isfinite(metrics[i]["train_loss"])
            finished = stopped or diverged or state.evaluators[i].is_finished(step)
            parameters = snapshot() if snapshots and (finished or step in snapshots_at) else None
            evaluation = Evaluation(
                replica.index, step, state.seconds, processor, metrics[i], parameters, finished
            )
            state.evaluations.append(evaluation)
            yield evaluation
            if not finished:
                going_on.append(i)

        # drop finished replicas
        state.select(going_on)
        if checkpoint and (checkpoint.due() or not going_on):
            checkpoint.save(state.to_checkpoint())


def _require_one_stack(replicas: list[Replica], task: Task) -> None:
    if len(keys := {replica.stack_key(task) for replica in replicas}) > 1:
        raise ValueError(
            "replicas of one stack may differ only in seeds and in floats that set no shape, but got "
            f"{' beside '.join(sorted(keys))}; train them in stacks of their own"
        )
