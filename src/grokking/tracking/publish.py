"""Publish a trained experiment: a parent run, a child per replica, their curves, results and files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from ruamel.yaml import YAML, YAMLError

from grokking.analysis.results import hyperparameters, varying
from grokking.config import ConfigError
from grokking.storage.runs import Run, read_table
from grokking.tracking import descriptions, identity, metrics, store
from grokking.tracking.descriptions import NOTE, About

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

FILES = ("history.parquet", "replicas.parquet", "run.json")
SEEDS = ("seed", "split_seed")
FORM = "5"  # of what is written to MLflow: another one publishes everything again


@dataclass(frozen=True)
class Trained:
    """A trained experiment as it lies on disk, the split it was trained on, and what it is."""

    name: str
    group: str  # of experiments, or the section of params.yaml
    folder: Path
    run: Run  # as it was read from the folder
    split: store.Split
    figure: Path
    diagnostics: Path  # parquet; long studies have none
    network: Path  # of the replica that is portrayed; only the reproductions have one
    about: About
    data: Mapping[str, Any] = field(default_factory=dict)  # what the task is, flat; the published number
    published: Mapping[str, Any] = field(default_factory=dict)  # numbers that others published, and ours
    tags: Mapping[str, str] = field(default_factory=dict)  # of all its runs
    pictures: Mapping[int, Path] = field(default_factory=dict)  # of one replica, by the step they show

    def files(self) -> list[Path]:
        """Every file that becomes an artifact of the parent."""
        optional = [file for file in (self.diagnostics, self.network) if file.exists()]
        return [*(self.folder / name for name in FILES), *optional]

    def content(self) -> str:
        """Hash of all that is shown, which tells whether just this has been published already."""
        parts = [FORM, self.about, sorted(self.data.items()), sorted(self.published.items())]
        digest = hashlib.sha256(repr(parts).encode())
        for file in [*self.files(), self.figure, *self.pictures.values()]:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @cached_property
    def diagnosed(self) -> pd.DataFrame:
        """The measures of all replicas; empty where there are none."""
        nothing = pd.DataFrame({"replica": [], "step": []})
        return read_table(self.diagnostics) if self.diagnostics.exists() else nothing

    def diagnostics_of(self, replica: int) -> pd.DataFrame:
        """Indexed by step; empty where there are none."""
        table = self.diagnosed
        return table[table["replica"] == replica].drop(columns="replica").set_index("step")


def publish(client: "MlflowClient", trained: Trained, below: str | None = None) -> bool:
    """Publish one experiment, as a child of the run `below` where it is given; False where it is there.

    Its figure, of all replicas, is an artifact of the parent: drawing one for each took a sixth of the time.
    """
    replicas = trained.run.replicas
    name = identity.parent_name(trained.name, trained.group, _row(replicas))
    tags = identity.parent_tags(trained.name, trained.group, trained.run.facts["fingerprint"], _row(replicas))
    tags |= trained.tags
    experiment = store.experiment_id(client, identity.experiment_of(trained.group))
    parent = store.ensure_run(client, experiment, name, tags, below)
    children = _children(client, experiment, parent.info.run_id, tags, replicas)
    content = trained.content()
    if all(run.data.tags.get("published") == content for run in (parent, *children)):
        return False

    history, axes = trained.run.history, varying(replicas)
    for child, (index, own) in zip(children, replicas.groupby("replica", sort=False), strict=True):
        curves = history[history["replica"] == index]
        store.rename(client, child, identity.child_name(_row(own), axes))
        _publish_replica(client, child, trained, own, curves, {"published": content})
    store.rename(client, parent, name)
    nested = {"mlflow.parentRunId": below} if below else {}
    _publish_parent(client, parent, trained, replicas, history, {**trained.tags, **nested})
    client.set_tag(parent.info.run_id, "published", content)
    return True


def _children(
    client: "MlflowClient", experiment: str, parent: str, tags: Mapping[str, str], replicas: pd.DataFrame
) -> list["MlflowRun"]:
    """The run of each replica."""
    axes = varying(replicas)
    wanted = [
        (identity.child_name(_row(own), axes), identity.child_tags(tags, _row(own)["replica"]))
        for _, own in replicas.groupby("replica", sort=False)
    ]
    return store.ensure_children(client, experiment, parent, wanted)


def _publish_replica(
    client: "MlflowClient",
    run: "MlflowRun",
    trained: Trained,
    replica: pd.DataFrame,
    history: pd.DataFrame,
    tags: Mapping[str, str],
) -> None:
    """Parameters, curves, measures and results of one replica."""
    row = _row(replica)
    points = [
        (0, metrics.replica_results(row)),  # the run's page lists metrics in this order
        *metrics.curve_points(history.drop(columns="replica").set_index("step"), row),
        *metrics.measure_points(trained.diagnostics_of(row["replica"])),
    ]
    found = {"outcome": descriptions.outcome_tag(row), NOTE: descriptions.of_replica(trained.about, row)}
    store.log(client, run, _shared_params(replica) | dict(trained.data), points, {**tags, **found})
    store.log_split(client, run.info.run_id, trained.split)
    store.finish(client, run, row["seconds"])


def _row(table: pd.DataFrame) -> dict[str, Any]:
    """The first row as a mapping."""
    return {str(name): value for name, value in table.iloc[0].items()}


def _publish_parent(
    client: "MlflowClient",
    run: "MlflowRun",
    trained: Trained,
    replicas: pd.DataFrame,
    history: pd.DataFrame,
    tags: Mapping[str, str],
) -> None:
    """What all replicas share, their median curves and results, the summary and the files."""
    grid = bool(varying(replicas))
    results = metrics.grid_results(replicas) if grid else metrics.parent_results(replicas)
    points = [(0, results | dict(trained.published)), *([] if grid else metrics.median_points(history))]
    found = _found_tags(trained, replicas)
    store.log(client, run, _shared_params(replicas) | dict(trained.data), points, {**tags, **found})
    store.log_split(client, run.info.run_id, trained.split)
    for file in trained.files():
        client.log_artifact(run.info.run_id, str(file))
    client.log_artifact(run.info.run_id, str(trained.figure), "figures")
    store.log_pictures(client, run, trained.pictures)
    page = descriptions.summary_page(trained.name, trained.about, replicas)
    client.log_text(run.info.run_id, page, "summary.md")
    store.finish(client, run, float(replicas["seconds"].sum()))


def _found_tags(trained: Trained, replicas: pd.DataFrame) -> dict[str, str]:
    """What came out; a grid is of another kind, as it has no result of its own."""
    return {
        "kind": "grid" if varying(replicas) else "experiment",
        "outcome": descriptions.parent_outcome_tag(replicas),
        NOTE: descriptions.of_parent(trained.about, replicas),
        **({"verdict": trained.about.verdict} if trained.about.verdict else {}),
    }


def _shared_params(replicas: pd.DataFrame) -> dict[str, Any]:
    """Seeds and hyperparameters that all of these replicas have in common."""
    names = [*SEEDS, *hyperparameters(replicas)]
    row = _row(replicas)
    differing = [] if len(replicas) == 1 else [n for n in names if replicas[n].nunique(dropna=False) > 1]
    return {name: row[name] for name in names if name not in differing}


def split_digest(task: str, locks: Sequence[Path]) -> str:
    """DVC's hash of a split from its lock files, so that MLflow and DVC name the same data alike."""
    outs = _locked_stages(tuple(locks)).get(f"split@{task}", {}).get("outs", [{"md5": "unknown"}])
    return str(outs[0]["md5"])


@cache
def _locked_stages(locks: tuple[Path, ...]) -> dict[str, Any]:
    """The stages of every lock file there is."""
    there = [lock for lock in locks if lock.exists()]
    return {name: stage for lock in there for name, stage in _stages(lock).items()}


def _stages(lock: Path) -> dict[str, Any]:
    try:
        return dict(YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"])
    except (YAMLError, ValueError, TypeError, KeyError):
        raise ConfigError(f"{lock} is damaged; restore it (`git checkout -- {lock}`)") from None
