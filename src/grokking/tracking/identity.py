"""Names, keys and tags of runs: `stream` and `publish` must agree on them."""

import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

CHECKOUT = Path(__file__).parents[3]  # of the code that runs, wherever it was started
# MLflow experiments: all that was trained, what was searched with its confirmation, sweeps, the benchmark
TRAINED, SEARCHED, SWEPT, RANKED = "reproduce", "search", "sweep", "benchmark"
EXPERIMENTS = (TRAINED, SEARCHED, SWEPT, RANKED)
GROUPS = {  # as a run's name says them
    "systems": "our recipe",
    "published": "as published",
    "fractions": "training fractions",
    "tuning": "tuned optimizer",
    "studies": "confirmation",
    "own": "own run",
}
SCRIPTS = {"tuning": "tune", "studies": "confirm"}  # that train a group; `train` does the others
SHORT = {
    "optimizer.learning_rate": "lr",
    "optimizer.weight_decay": "wd",
    "optimizer.decay_rate": "decay rate",
    "model.alpha": "α",
    "label_noise": "noise",
}


def experiment_of(group: str) -> str:
    """The MLflow experiment that a group belongs to; confirmations are beside their search."""
    return SEARCHED if group == "studies" else TRAINED


def parent_name(name: str, group: str, row: Mapping[str, Any]) -> str:
    """System, entry and group: `system 2 · wide_mlp · our recipe`."""
    system = [] if row["system"] in ("none", None) else [f"system {row['system']}"]
    return " · ".join([*system, name, GROUPS.get(group, group)])


def child_name(row: Mapping[str, Any], axes: list[str]) -> str:
    """The values that set a replica apart from its siblings, and its seed: `α=0.25 wd=1.0 · seed 0`."""
    point = point_name({axis: row[axis] for axis in axes})
    return " · ".join([*([point] if point else []), f"seed {row['seed']}"])


def point_name(values: Mapping[str, Any]) -> str:
    """A point of a grid; a key that its section does not have is left out."""
    return " ".join(f"{short(axis)}={number(value)}" for axis, value in values.items() if pd.notna(value))


def short(axis: str) -> str:
    """The last part of a key; the section itself where that is no more than its name."""
    section, _, key = axis.rpartition(".")
    return SHORT.get(axis, section if key == "name" else key)


def number(value: Any) -> str:
    """A float in four digits, a whole one with its point; anything else as it is."""
    return (f"{value:.4g}" if value % 1 else f"{value:.1f}") if isinstance(value, float) else str(value)


def parent_key(group: str, name: str, fingerprint: str) -> str:
    """By which an experiment's run is found; two entries of equal configuration are two runs."""
    return f"{group}/{name}/{fingerprint}"


def replica_key(parent: str, replica: int) -> str:
    return f"{parent}-{replica}"


def parent_tags(name: str, group: str, fingerprint: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Tags of an experiment's run; `row` is a row of its replicas.parquet."""
    return {
        "key": parent_key(group, name, fingerprint),
        "kind": "experiment",
        "experiment": name,
        "group": group,
        "system": str(row["system"]),
        "family": str(row["model.family"]),
        "role": str(row["role"]),
        "stage": "train",
        "host": socket.gethostname(),
        "fingerprint": fingerprint,
        **source_tags(SCRIPTS.get(group, "train")),
    }


def child_tags(parent: Mapping[str, str], replica: int) -> dict[str, str]:
    """Tags of one replica's run."""
    own = {name: replica_key(parent[name], replica) for name in ("key", "fingerprint")}
    return {**parent, **own, "kind": "replica", "replica": str(replica)}


def source_tags(script: str) -> dict[str, str]:
    """What MLflow shows as a run's source and version."""
    return {"mlflow.source.name": f"pipelines/{script}.py", "mlflow.source.type": "LOCAL", **git_tags()}


@cache
def git_tags() -> dict[str, str]:
    """Commit of the checkout and whether it had uncommitted changes; empty outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(_git("status", "--porcelain")))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()
