"""Publish a hyperparameter study: a parent run, a child per trial of the search, its curves and files.

A study has hundreds of trials, so each costs only a handful of calls.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from grokking.analysis.pages import flat
from grokking.analysis.studies import Study, confirmed_median
from grokking.config import PARAMS_PREFIX
from grokking.tracking import identity, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KIND = "search"  # the MLflow experiment that holds studies
FILES = ("trials.parquet", "replicas.parquet", "best.yaml")
CURVES = ("validation_accuracy", "validation_loss")
METRICS = ("value", "cost", "seeds", "generalized", "flops", "seconds")
POINTS = 100  # of each curve; MLflow takes 0.1 s for a thousand
# not shown as parameters: too long, or not fixed for good
MAY_CHANGE = ("space", "initial_points", "trials", "confirm")


@dataclass(frozen=True)
class Searched:
    """A study as it lies on disk, and what it is known by."""

    study: Study
    key: str  # hash of all that decides the outcome of a trial, but not of how many there are
    folder: Path
    figures: Path

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in FILES]

    @property
    def drawn(self) -> list[Path]:
        """Figures of the study's page, where it was made."""
        return sorted(self.figures.glob("*.png"))

    def content(self) -> str:
        """Hash of the files and of the confirmed replicas, which tells whether just this is published."""
        digest = hashlib.sha256()
        for file in [*self.files, *self.drawn]:
            digest.update(file.read_bytes())
        for replicas in self.study.confirmed.values():
            digest.update(pd.util.hash_pandas_object(replicas, index=False).to_numpy().tobytes())
        return digest.hexdigest()


def publish(client: "MlflowClient", searched: Searched) -> bool:
    """Publish one study; False where the store holds just this already."""
    study, experiment = searched.study, store.experiment_id(client, KIND)
    tags = _tags(searched)
    parent = client.get_run(store.ensure_run(client, experiment, study.name, tags))
    content = searched.content()
    if parent.data.tags.get("published") == content:
        return False
    children = store.children(client, experiment, parent.info.run_id)
    curves = pd.read_parquet(searched.folder / "curves.parquet")
    of_first = curves[(curves["arm"] == "search") & (curves["seed_number"] == 0)]
    by_trial = dict(iter(of_first.groupby("trial")))
    for row in study.trials[study.trials["arm"] == "search"].to_dict("records"):
        own = by_trial.get(row["trial"], of_first.iloc[:0])
        _publish_trial(client, experiment, parent, children, tags, {str(k): v for k, v in row.items()}, own)
    _publish_parent(client, parent, searched)
    client.set_tag(parent.info.run_id, "published", content)
    return True


def _tags(searched: Searched) -> dict[str, str]:
    study = searched.study
    return {
        "study": study.name,
        "storage_study": f"{study.name}-{searched.key[:12]}",
        "system": str(study.config["experiment"]["system"]),
        "family": str(study.config["experiment"]["model"]["family"]),
        "objective": study.objective,
        "stage": "search",
        "fingerprint": searched.key,
        **identity.git_tags(),
    }


def _publish_trial(
    client: "MlflowClient",
    experiment: str,
    parent: "Run",
    children: Mapping[str, "Run"],
    tags: Mapping[str, str],
    row: Mapping[str, Any],
    curves: pd.DataFrame,
) -> None:
    """One trial, unless all of it is there: that it has ended is the last thing written."""
    own = {key: str(row[key]) for key in ("trial", "state", "reason")}
    own_tags = {**tags, **own, "fingerprint": f"{tags['fingerprint']}-{row['trial']}"}
    run = children.get(own_tags["fingerprint"])
    if run is None:
        name = f"{tags['study']} / trial {row['trial']}"
        run = store.create_run(client, experiment, name, own_tags, parent.info.run_id)
    if run.info.status != "RUNNING":
        return
    params = {k.removeprefix(PARAMS_PREFIX): v for k, v in row.items() if k.startswith(PARAMS_PREFIX)}
    points = [(0, {name: row[name] for name in METRICS}), *_points(curves)]
    store.log_params(client, run.info.run_id, params)
    store.log_points(client, run.info.run_id, points)
    status = "FAILED" if row["state"] == "FAIL" else "FINISHED"
    client.set_terminated(run.info.run_id, status, run.info.start_time + round(1000 * row["seconds"]))


def _points(curves: pd.DataFrame) -> store.Points:
    """A curve thinned out to POINTS evaluations, first and last among them."""
    every = max(-(-len(curves) // POINTS), 1)
    kept = curves[(curves.reset_index().index % every == 0) | (curves["step"] == curves["step"].max())]
    rows = kept[["step", *CURVES]].to_dict("records")
    return [(int(row["step"]), {name: row[name] for name in CURVES}) for row in rows]


def _publish_parent(client: "MlflowClient", parent: "Run", searched: Searched) -> None:
    """The study's configuration, what it found, its files and figures."""
    study = searched.study
    config = {key: value for key, value in study.config.items() if key not in MAY_CHANGE}
    trials = study.trials[study.trials["arm"] == "search"]
    found = {"trials": len(trials), "value": trials.loc[trials["confirmable"], "value"].min()}
    medians = {f"confirmed/{arm}": confirmed_median(study, arm) for arm in study.confirmed}
    store.log_params(client, parent.info.run_id, flat(config))
    store.log_points(client, parent.info.run_id, [(0, found | medians)])
    for file in searched.files:
        client.log_artifact(parent.info.run_id, str(file))
    for file in searched.drawn:
        client.log_artifact(parent.info.run_id, str(file), "figures")
    store.finish(client, parent.info.run_id, float(trials["seconds"].sum()))
