"""What a trained experiment leaves on disk: history, replicas, snapshots."""

import json
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from grokking.data.batches import batch_size
from grokking.data.tasks import Task
from grokking.engine.events import first_crossing, sustained_crossing
from grokking.experiment import Replica
from grokking.models import MULTIPLY_ADDS
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import Evaluation

FORWARD_AND_BACKWARD = 3  # a backward pass costs two forward passes
FLOP_PER_MULTIPLY_ADD = 2


def history_table(evaluations: Iterable[Evaluation]) -> pd.DataFrame:
    """One row per replica and evaluation: replica, step, then every metric."""
    return pd.DataFrame([{"replica": e.replica, "step": e.step} | e.metrics for e in evaluations])


def replica_table(replicas: list[Replica], evaluations: list[Evaluation], task: Task) -> pd.DataFrame:
    """One row per replica: hyperparameters, seeds, events and what it cost to get there."""
    by_replica: dict[int, list[Evaluation]] = {replica.index: [] for replica in replicas}
    for evaluation in evaluations:
        by_replica[evaluation.replica].append(evaluation)
    return pd.DataFrame([r.row() | _outcome(r, by_replica[r.index], task) for r in replicas])


def _outcome(replica: Replica, evaluations: list[Evaluation], task: Task) -> dict[str, Any]:
    """Events of one replica; costs count to generalisation, or to the end where it was not reached."""
    table = history_table(evaluations)
    steps, validation = table["step"].to_numpy(), table["validation_accuracy"].to_numpy()
    generalization = sustained_crossing(steps, validation)
    steps_run = int(steps[-1])
    until = steps_run if generalization is None else generalization
    examples = until * batch_size(replica.config.batch, int(task.train_mask(replica.split_seed).sum()))
    return {
        "memorization_step": sustained_crossing(steps, table["train_accuracy"].to_numpy()),
        "first_crossing_step": first_crossing(steps, validation),
        "generalization_step": generalization,
        "observed": generalization is not None,
        "steps_run": steps_run,
        "diverged": not np.isfinite(table["train_loss"].iloc[-1]),
        **{f"final_{name}": table[name].iloc[-1] for name in map(str, table) if "_accuracy" in name},
        "examples": examples,
        "flops": examples * flops_per_example(replica, task),
        "seconds": next(e.seconds for e in evaluations if e.step == until),
    }


def flops_per_example(replica: Replica, task: Task) -> int:
    """FLOP of one example's forward and backward pass in the dense layers."""
    model = replica.config.model
    multiply_adds = MULTIPLY_ADDS[model.family](model, task.sizes)
    return FORWARD_AND_BACKWARD * FLOP_PER_MULTIPLY_ADD * multiply_adds


def save(folder: Path, replicas: list[Replica], evaluations: list[Evaluation], task: Task) -> pd.DataFrame:
    """Write history.parquet, replicas.parquet, run.json and the snapshots of each replica.

    Everything but the column `seconds` and run.json's `machine` is a function of params, data and code.
    """
    table = replica_table(replicas, evaluations, task)
    shutil.rmtree(folder, ignore_errors=True)  # an earlier run's snapshots are at other steps
    (folder / "snapshots").mkdir(parents=True)
    history_table(evaluations).to_parquet(folder / "history.parquet", index=False)
    table.to_parquet(folder / "replicas.parquet", index=False)
    for evaluation in evaluations:
        if evaluation.parameters is not None:
            name = f"replica_{evaluation.replica}_step_{evaluation.step}.safetensors"
            save_file(evaluation.parameters, folder / "snapshots" / name)
    run = {"fingerprint": fingerprint(replicas, task), "machine": machine()}
    (folder / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    return table


def headline(name: str, table: pd.DataFrame) -> str:
    """One line on a trained experiment for the terminal."""
    steps = table["generalization_step"].dropna().astype(int)
    when = f" at steps {', '.join(f'{step:,}' for step in steps)}" if 0 < len(steps) <= 10 else ""
    return f"{name}: {len(steps)} of {len(table)} replicas generalised{when}"


def machine() -> dict[str, Any]:
    """What seconds are measured on."""
    return {
        "processor": _processor(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
