"""Names and tags of runs: `stream` and `publish` must agree on them."""

import socket
import subprocess
from collections.abc import Mapping
from typing import Any

KIND = "reproduce"  # the MLflow experiment that holds trained experiments


def parent_tags(name: str, group: str, fingerprint: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Tags of an experiment's run; `row` is a row of its replicas.parquet."""
    return {
        "experiment": name,
        "group": group,
        "system": str(row["system"]),
        "family": str(row["model.family"]),
        "role": str(row["role"]),
        "stage": "train",
        "host": socket.gethostname(),
        "fingerprint": fingerprint,
        **git_tags(),
    }


def child_tags(parent: Mapping[str, str], replica: int) -> dict[str, str]:
    """Tags of one replica's run."""
    return {**parent, "replica": str(replica), "fingerprint": f"{parent['fingerprint']}-{replica}"}


def child_name(name: str, row: Mapping[str, Any]) -> str:
    return f"{name} / replica {row['replica']} seed {row['seed']}"


def git_tags() -> dict[str, str]:
    """Commit of the checkout and whether it had uncommitted changes; empty outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(_git("status", "--porcelain")))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
