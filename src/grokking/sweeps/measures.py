"""What a sweep keeps of a network: events, costs, and some quantities at its events. Curves are not kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from grokking.sweeps.networks import Network
from grokking.training.history import history_table, replica_row
from grokking.training.records import Evaluation

AT_EVENTS = ("weight_norm", "train_loss", "validation_loss", "logit_rms")
SPIKE = 10  # times the loss of the evaluation before


def row_of(network: Network, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The row of one network."""
    row = network.row() | replica_row(network.replica, list(evaluations), network.task)
    del row["seconds"]  # of the whole stack
    return row | measures(history_table(evaluations), row) | {"processor": evaluations[-1].processor}


def measures(history: pd.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    """Quantities at the start, at memorization, at generalization and at the end; None without the event.

    `generalization_after_step` is the last evaluation before the step of generalization, so the time lies
    between the two. `best_*` are maxima over training, `loss_spikes` counts evaluations after memorization
    whose training loss is more than ten times that of the one before.
    """
    steps = history["step"].to_numpy()
    ends = {
        "initial": steps[0],
        "memorization": row["memorization_step"],
        "generalization": row["generalization_step"],
        "final": steps[-1],
    }
    found = {
        f"{name}_{quantity}": _at(history, step, quantity)
        for name, step in ends.items()
        for quantity in AT_EVENTS
    }
    return found | {
        "generalization_after_step": _before(steps, row["generalization_step"]),
        "best_train_accuracy": float(history["train_accuracy"].max()),
        "best_validation_accuracy": float(history["validation_accuracy"].max()),
        "loss_spikes": _spikes(history, row["memorization_step"]),
    }


def _at(history: pd.DataFrame, step: int | None, quantity: str) -> float | None:
    if step is None:
        return None
    return float(history.loc[history["step"] == step, quantity].iloc[0])


def _before(steps: np.ndarray, step: int | None) -> int | None:
    if step is None or step == 0:
        return step
    return int(steps[steps < step][-1])


def _spikes(history: pd.DataFrame, memorization: int | None) -> int:
    if memorization is None:
        return 0
    loss = history.loc[history["step"] >= memorization, "train_loss"].to_numpy()
    with np.errstate(invalid="ignore"):
        return int((loss[1:] > SPIKE * loss[:-1]).sum())
