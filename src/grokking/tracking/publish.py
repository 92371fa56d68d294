"""Publish a trained experiment: a parent run, a child per replica, their curves, events and files."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from grokking.analysis.results import hyperparameters, summary
from grokking.engine.grids import steps_within
from grokking.experiment import ExperimentConfig
from grokking.tracking import identity, store

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = ("history.parquet", "replicas.parquet", "run.json")
CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
EVENTS = (
    "memorization_step", "first_crossing_step", "generalization_step", "observed", "steps_run", "diverged",
    "final_train_accuracy", "final_validation_accuracy", "examples", "flops", "seconds",
)  # fmt: skip
IDENTITY = ("seed", "split_seed", *(field.name for field in fields(ExperimentConfig)))

Draw = Callable[[pd.DataFrame, pd.DataFrame, str, Path], None]  # history, replicas, title, file to write


@dataclass(frozen=True)
class Trained:
    """A trained experiment as it lies on disk, and the split it was trained on."""

    name: str
    group: str  # of experiments, or the section of params.yaml
    folder: Path
    split: store.Split
    figure: Path
    diagnostics: Path  # parquet; long studies have none

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")

    def run(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    def content(self) -> str:
        """Hash of the files, which tells whether just this has been published already."""
        digest = hashlib.sha256()
        for file in [*(self.folder / name for name in FILES), self.figure, *self.diagnosed()]:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def diagnostics_of(self, replica: int) -> pd.DataFrame:
        """Indexed by step, a column per metric as MLflow shows it; empty where there are none."""
        for file in self.diagnosed():
            table = pd.read_parquet(file)
            own = table[table["replica"] == replica].drop(columns="replica").set_index("step")
            return own.add_prefix("diagnostics/")
        return pd.DataFrame()

    def diagnosed(self) -> list[Path]:
        """The file of diagnostics, where there is one."""
        return [self.diagnostics] if self.diagnostics.exists() else []


def publish(client: "MlflowClient", trained: Trained, draw: Draw | None) -> bool:
    """Publish one experiment; False where the store holds just this already.

    `draw` makes each replica's figure, where they are wanted.
    """
    replicas, history = trained.table("replicas"), trained.table("history")
    tags = identity.parent_tags(trained.name, trained.group, trained.run()["fingerprint"], _row(replicas))
    experiment = store.experiment_id(client, identity.KIND)
    parent = store.ensure_run(client, experiment, trained.name, tags)
    content = trained.content()
    if client.get_run(parent).data.tags.get("published") == content:
        return False

    for index in replicas["replica"]:
        own, curves = replicas[replicas["replica"] == index], history[history["replica"] == index]
        name, child_tags = identity.child_name(trained.name, _row(own)), identity.child_tags(tags, index)
        child = store.ensure_run(client, experiment, name, child_tags, parent)
        _publish_replica(client, child, own, curves, trained.split)
        store.log_points(client, child, _points(trained.diagnostics_of(index)))
        if draw is not None:
            _log_figure(client, child, draw, curves, own, name)
    _publish_parent(client, parent, trained, replicas)
    client.set_tag(parent, "published", content)
    return True


def _publish_replica(
    client: "MlflowClient", run_id: str, replica: pd.DataFrame, history: pd.DataFrame, split: store.Split
) -> None:
    """Parameters, curves and events of one replica."""
    row = _row(replica)
    store.log_params(client, run_id, _shared_params(replica))
    curves = thinned(history.drop(columns="replica").set_index("step"), row)
    store.log_points(client, run_id, _points(curves))
    store.log_points(client, run_id, [(0, {name: row[name] for name in EVENTS})])
    store.log_split(client, run_id, split)
    store.finish(client, run_id, row["seconds"])


def _log_figure(
    client: "MlflowClient", run_id: str, draw: Draw, history: pd.DataFrame, replica: pd.DataFrame, title: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "curves.png"
        draw(history, replica, title, file)
        client.log_artifact(run_id, str(file), "figures")


def _row(table: pd.DataFrame) -> dict[str, Any]:
    """The first row as a mapping."""
    return {str(name): value for name, value in table.iloc[0].items()}


def _publish_parent(client: "MlflowClient", run_id: str, trained: Trained, replicas: pd.DataFrame) -> None:
    """What all replicas share, their median curves, the summary and the files."""
    store.log_params(client, run_id, _shared_params(replicas))
    store.log_points(client, run_id, _points(_median_curves(trained.table("history"))))
    store.log_points(client, run_id, [(0, summary(replicas))])
    store.log_split(client, run_id, trained.split)
    for file in [*(trained.folder / name for name in FILES), *trained.diagnosed()]:
        client.log_artifact(run_id, str(file))
    client.log_artifact(run_id, str(trained.figure), "figures")
    store.finish(client, run_id, float(replicas["seconds"].sum()))


def _median_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Median over replicas at each step; one that has finished keeps its last value."""
    wide = history.pivot(index="step", columns="replica", values=list(CURVES)).ffill()
    return wide.T.groupby(level=0).median().T


def thinned(history: pd.DataFrame, row: Mapping[str, Any]) -> pd.DataFrame:
    """Every step at first, then steps 10 % apart, the replica's events and its last: fifty to a hundred.

    A chart shows no more, MLflow takes 0.2 ms for a point, and the whole history is an artifact.
    """
    steps = history.index.to_numpy()
    events = [row[name] for name in EVENTS if name.endswith("_step") and store.present(row[name])]
    wanted = [*steps_within(int(steps[-1]), share=10), *events]
    return history.iloc[np.unique(np.searchsorted(steps, wanted))]


def _points(table: pd.DataFrame) -> store.Points:
    """Rows of a table indexed by step."""
    rows = table.to_dict("records")
    return [
        (int(step), {str(key): value for key, value in row.items()})
        for step, row in zip(table.index, rows, strict=True)
    ]


def _shared_params(replicas: pd.DataFrame) -> Mapping[str, Any]:
    """Seeds and hyperparameters that all of these replicas have in common."""
    names = [*(name for name in IDENTITY if name in replicas), *hyperparameters(replicas)]
    return {name: replicas[name].iloc[0] for name in names if replicas[name].nunique(dropna=False) == 1}


def split_digest(task: str, locks: Sequence[Path]) -> str:
    """DVC's hash of a split from its lock files, so that MLflow and DVC name the same data alike."""
    outs = _locked_stages(tuple(locks)).get(f"split@{task}", {}).get("outs", [{"md5": "unknown"}])
    return str(outs[0]["md5"])


@cache
def _locked_stages(locks: tuple[Path, ...]) -> dict[str, Any]:
    """The stages of every lock file there is."""
    texts = [lock.read_text() for lock in locks if lock.exists()]
    return {name: stage for text in texts for name, stage in YAML(typ="safe").load(text)["stages"].items()}
