"""The tables of a trained experiment: every evaluation, and one row per replica with its events and costs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from grokking.data.batches import examples_seen
from grokking.data.tasks import Task
from grokking.engine.events import first_crossing, sustained_crossing
from grokking.experiment import Replica
from grokking.models import FAMILIES
from grokking.training.records import Evaluation

TRAINING_FLOP = 3 * 2  # per multiply-add: a backward pass costs two forward passes


def history_table(evaluations: Iterable[Evaluation]) -> pd.DataFrame:
    """One row per replica and evaluation: replica, step, then every metric."""
    return pd.DataFrame([{"replica": e.replica, "step": e.step} | e.metrics for e in evaluations])


def replica_table(replicas: list[Replica], evaluations: list[Evaluation], task: Task) -> pd.DataFrame:
    """One row per replica: hyperparameters, seeds, events and costs."""
    own = {r.index: [e for e in evaluations if e.replica == r.index] for r in replicas}
    return pd.DataFrame([replica_row(r, own[r.index], task) for r in replicas])


def replica_row(replica: Replica, evaluations: list[Evaluation], task: Task) -> dict[str, Any]:
    """Hyperparameters, seeds, events and costs of one replica; costs are until generalization or the end.

    Events are by their definition on the finished history. The detectors only decide when training may stop.
    """
    table, budget = history_table(evaluations), replica.config.budget
    steps = table["step"].to_numpy()
    train, validation = (table[f"{part}_accuracy"].to_numpy() for part in ("train", "validation"))
    generalization, steps_run = sustained_crossing(steps, validation, budget), int(steps[-1])
    until = steps_run if generalization is None else generalization
    examples = examples_seen(replica.config.batch, task.train_size(replica.split_seed), until)
    return replica.row() | {
        "memorization_step": sustained_crossing(steps, train, budget),
        "first_crossing_step": first_crossing(steps, validation, budget),
        "generalization_step": generalization,
        "observed": generalization is not None,  # as survival analysis has it: not censored
        "steps_run": steps_run,
        "diverged": not np.isfinite(table["train_loss"].iloc[-1]),
        **{f"final_{name}": table[name].iloc[-1] for name in map(str, table) if "_accuracy" in name},
        "examples": examples,
        "flops": examples * flops_per_example(replica, task),
        "seconds": next(e.seconds for e in evaluations if e.step == until),
    }


def flops_per_example(replica: Replica, task: Task) -> int:
    """Floating-point operations of an example's forward and backward pass, counted in the dense layers."""
    model = replica.config.model
    return TRAINING_FLOP * FAMILIES[model.family].multiply_adds(model, task.sizes)
