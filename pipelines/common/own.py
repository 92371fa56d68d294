"""Runs of `grokking run` and `grokking.train`, for MLflow beside those of the stages."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.analysis.nested import flat
from grokking.api.checkout import here
from grokking.api.loading import of_folder, read_config
from grokking.api.recipe import prepared
from grokking.api.training import draw
from grokking.catalogue import OWN_GROUP
from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.storage import runs
from grokking.tracking import store
from grokking.tracking.descriptions import About
from grokking.tracking.publish import Trained
from pipelines.common import describing
from pipelines.common.reports import DIAGNOSTICS_TABLE, NETWORK


def own_runs() -> Iterator[Trained]:
    """Every own run of which a replica has finished, oldest first.

    One that cannot be read, such as one of an earlier version with other keys, is named and left out.
    """
    checkout = here()
    for name in checkout.own_runs():
        try:
            if runs.exists(of_folder(checkout.own / name).folder):
                yield _trained(checkout.own / name)
        except ConfigError as error:
            print(f"warning: {name} is not published: {error}", file=sys.stderr)


def _trained(folder: Path) -> Trained:
    run, asked = of_folder(folder), read_config(folder)
    _, task = prepared(run.config, run.name)
    section = flat(run.config["task"])
    split = store.Split(section["name"], folder, _digest(section), len(task.equations))
    data = {f"data.{key}": value for key, value in section.items() if key != "name"}
    trained = runs.read(run.folder)
    if not run.figure.exists():  # it was interrupted
        draw(run)
    if asked["changes"]:  # it repeats no published system
        trained.replicas["role"] = "variant"
    if any(key.startswith("task.") for key in asked["changes"]):  # each of which has a task of its own
        trained.replicas["system"] = "none"
    about = _about(trained.replicas, task, section, asked)
    lacking = run.folder / DIAGNOSTICS_TABLE, run.folder / NETWORK  # own runs have neither
    return Trained(run.name, OWN_GROUP, run.folder, trained, split, run.figure, *lacking, about, data)


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
