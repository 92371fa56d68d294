"""The folder of a trained experiment: its tables, its snapshots, and checksums of all files."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import save_file

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.training.fingerprint import fingerprint
from grokking.training.history import history_table, replica_table
from grokking.training.machine import machine
from grokking.training.records import Evaluation


def save(folder: Path, replicas: list[Replica], evaluations: list[Evaluation], task: Task) -> pd.DataFrame:
    """Write history.parquet, replicas.parquet, snapshots and run.json; returns the table of replicas.

    Everything but the column `seconds` and run.json's `machine` is a function of params, data and code. An
    earlier run's files stay until the new ones are whole.
    """
    table = replica_table(replicas, evaluations, task)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "snapshots").mkdir(parents=True)
    history_table(evaluations).to_parquet(unfinished / "history.parquet", index=False)
    table.to_parquet(unfinished / "replicas.parquet", index=False)
    for evaluation in evaluations:
        if evaluation.parameters is not None:
            name = f"replica_{evaluation.replica}_step_{evaluation.step}.safetensors"
            save_file(evaluation.parameters, unfinished / "snapshots" / name)
    run = {"fingerprint": fingerprint(replicas, task), "machine": machine(), "sha256": checksums(unfinished)}
    (unfinished / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return table


def read(folder: Path) -> dict[str, Any]:
    """run.json of a trained experiment; ConfigError where there is none or a file is damaged."""
    if not (folder / "run.json").exists():
        raise ConfigError(f"{folder} holds no run; run `dvc repro train@{folder.name}` first")
    run = json.loads((folder / "run.json").read_text())
    found = checksums(folder)
    for name, checksum in run["sha256"].items():
        if found.get(name) != checksum:
            raise ConfigError(
                f"{folder / name} is missing or damaged; run `dvc repro --force train@{folder.name}` again"
            )
    return run


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in the folder but run.json, by its path within."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "run.json")
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
