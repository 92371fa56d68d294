"""Runs of `grokking run` and `grokking.train`, for MLflow beside those of the stages."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from grokking.analysis.nested import flat
from grokking.api.checkout import here
from grokking.api.loading import of_folder, read_config
from grokking.api.recipe import prepared
from grokking.data.tasks import Task
from grokking.storage import runs
from grokking.tracking import store
from grokking.tracking.descriptions import About
from grokking.tracking.publish import Trained
from pipelines.common import describing

GROUP = "own"
DIAGNOSTICS, NETWORK = "diagnostics.parquet", "network.safetensors"  # which they do not have


def own_runs() -> Iterator[Trained]:
    """Every own run of which a replica has finished, oldest first."""
    checkout = here()
    for name in checkout.own_runs():
        run = of_folder(checkout.own / name)
        if not runs.exists(run.folder):
            continue
        _, task = prepared(run.config, name)
        section = flat(run.config["task"])
        split = store.Split(section["name"], checkout.own / name, _digest(section), len(task.equations))
        data = {f"data.{key}": value for key, value in section.items() if key != "name"}
        asked = read_config(checkout.own / name)
        yield Trained(
            name, GROUP, run.folder, split, run.figure, run.folder / DIAGNOSTICS, run.folder / NETWORK,
            _about(run.replicas(), task, section, asked), data,
        )  # fmt: skip


def _digest(section: Mapping[str, Any]) -> str:
    """Of what the split is made of; DVC does not know it."""
    return hashlib.sha256(repr(sorted(section.items())).encode()).hexdigest()[:12]


def _about(replicas: pd.DataFrame, task: Task, section: Mapping[str, Any], asked: Mapping[str, Any]) -> About:
    """What it is, and how it differs from the experiment that it began from."""
    data = describing.data(task.table.formula, section.get("split.train_fraction"))
    origin, changes = asked["experiment"], asked["changes"]
    values = ", ".join(f"{key} {value}" for key, value in changes.items())
    apart = f"Like `{origin}`, but {values}." if changes else f"The same as `{origin}`." if origin else ""
    row = {str(key): value for key, value in replicas.iloc[0].items()}
    return About(f"{describing.network(row)} on {data}. A run of your own, by `grokking run`.", apart, "")
