"""Publish a hyperparameter study: a parent run, a child per trial of the search, its curves and files.

A study has hundreds of trials, so each costs only a handful of calls.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from grokking.analysis.nested import flat
from grokking.analysis.studies import Study, confirmed_median, describe, number, with_interval
from grokking.config import PARAMS_PREFIX
from grokking.storage.runs import read_table
from grokking.tracking import identity, metrics, store
from grokking.tracking.descriptions import NOTE, paragraphs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FILES = ("trials.parquet", "replicas.parquet", "best.yaml")
METRICS = ("value", "cost", "seeds", "generalized", "flops", "seconds")
FORM = "2"  # of what is written to MLflow: another one publishes everything again
# not shown as parameters: too long, or not fixed for good
MAY_CHANGE = ("space", "initial_points", "trials", "sustain_seeds", "confirm", "round")


@dataclass(frozen=True)
class Searched:
    """A study as it lies on disk, and what it is known by."""

    study: Study
    key: str  # hash of all that decides the outcome of a trial, but not of how many there are
    folder: Path
    figures: Path
    page: Path  # of reports/

    @property
    def files(self) -> list[Path]:
        return [*(self.folder / name for name in FILES), *([self.page] if self.page.exists() else [])]

    @property
    def drawn(self) -> list[Path]:
        """Figures of the study's page, where it was made."""
        return sorted(self.figures.glob("*.png"))

    def content(self) -> str:
        """Hash of the files and of the confirmed replicas, which tells whether just this is published."""
        digest = hashlib.sha256(FORM.encode())
        for file in [*self.files, *self.drawn]:
            digest.update(file.read_bytes())
        for replicas in self.study.confirmed.values():
            digest.update(pd.util.hash_pandas_object(replicas, index=False).to_numpy().tobytes())
        return digest.hexdigest()


def publish(client: "MlflowClient", searched: Searched) -> bool:
    """Publish one study; False where the store holds just this already."""
    study, content = searched.study, searched.content()
    parent = ensure_parent(client, searched)
    children = _children(client, parent, searched)
    if all(run.data.tags.get("published") == content for run in (parent, *children.values())):
        return False
    curves = read_table(searched.folder / "curves.parquet")
    of_first = curves[(curves["arm"] == "search") & (curves["seed_number"] == 0)]
    by_trial = dict(iter(of_first.groupby("trial")))
    for row in _rows(study):
        own = by_trial.get(row["trial"], of_first.iloc[:0])
        _publish_trial(client, children[row["trial"]], study, row, own, {"published": content})
    _publish_parent(client, parent, searched)
    client.set_tag(parent.info.run_id, "published", content)
    return True


def ensure_parent(client: "MlflowClient", searched: Searched) -> "Run":
    """The study's run, below which its confirmed arms are, too."""
    experiment = store.experiment_id(client, identity.SEARCHED)
    return store.ensure_run(client, experiment, f"study {searched.study.name}", _tags(searched))


def _tags(searched: Searched) -> dict[str, str]:
    study = searched.study
    return {
        "key": f"study/{study.name}/{searched.key}",
        "kind": "study",
        "study": study.name,
        "storage_study": f"{study.name}-{searched.key[:12]}",
        "system": str(study.config["experiment"]["system"]),
        "family": str(study.config["experiment"]["model"]["family"]),
        "objective": study.objective,
        "stage": "search",
        "fingerprint": searched.key,
        **identity.source_tags("search"),
    }


def _rows(study: Study) -> list[dict[str, Any]]:
    """The trials of the search itself, without those of its random baseline."""
    trials = study.trials[study.trials["arm"] == "search"].to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in trials]


def _children(client: "MlflowClient", parent: "Run", searched: Searched) -> dict[int, "Run"]:
    """The run of each trial, by its number."""
    tags, numbers = _tags(searched), [row["trial"] for row in _rows(searched.study)]
    wanted = [(f"{searched.study.name} trial {number}", _trial_tags(tags, number)) for number in numbers]
    runs = store.ensure_children(client, parent.info.experiment_id, parent.info.run_id, wanted)
    return dict(zip(numbers, runs, strict=True))


def _trial_tags(tags: Mapping[str, str], number: int) -> dict[str, str]:
    own = {name: f"{tags[name]}-{number}" for name in ("key", "fingerprint")}
    return {**tags, **own, "kind": "trial", "trial": str(number)}


def _publish_trial(
    client: "MlflowClient",
    run: "Run",
    study: Study,
    row: Mapping[str, Any],
    curves: pd.DataFrame,
    tags: Mapping[str, str],
) -> None:
    """One trial: what it tried, the curves of its first seed and what came out."""
    params = {k.removeprefix(PARAMS_PREFIX): v for k, v in row.items() if k.startswith(PARAMS_PREFIX)}
    results = metrics.prefixed({name: row[name] for name in METRICS})
    points = [(0, results), *metrics.trial_points(curves)]
    ending = {key: str(row[key]) for key in ("state", "reason")}
    store.log(client, run, params, points, {**tags, **ending, NOTE: _outcome(study, row)})
    status = "FAILED" if row["state"] == "FAIL" else "FINISHED"
    client.set_terminated(run.info.run_id, status, run.info.start_time + round(1000 * row["seconds"]))


def _outcome(study: Study, row: Mapping[str, Any]) -> str:
    """A trial in a sentence."""
    found = f"{row['generalized']} of {row['seeds']} seeds generalized"
    cost = (
        f", the median at {number(row['cost'], study.objective)} {study.unit}" if row["confirmable"] else ""
    )
    return f"Trial {row['trial']} of the study `{study.name}`: {found}{cost} ({row['reason']})."


def _description(searched: Searched) -> str:
    """What the study searched, what it found, and where to read on."""
    study = searched.study
    space = ", ".join(f"`{axis.name}` ({axis.text})" for axis in study.axes)
    arms = [
        f"- {arm.replace('_', ' ')} ({describe(study, arm)}): {with_interval(replicas, study.objective)}"
        for arm, replicas in study.confirmed.items()
    ]
    return paragraphs(
        f"A search for the least {study.unit} to generalization over {space}; {len(_rows(study))} trials.",
        f"**Confirmed on fresh seeds and splits, the median {study.unit} (95 % interval):**",
        "\n".join(arms),
        f"The whole of it: `{searched.page}`.",
    )


def _publish_parent(client: "MlflowClient", parent: "Run", searched: Searched) -> None:
    """The study's configuration, what it found, its files and figures."""
    study = searched.study
    config = {key: value for key, value in study.config.items() if key not in MAY_CHANGE}
    trials = study.trials[study.trials["arm"] == "search"]
    found = {"trials": len(trials), "value": trials.loc[trials["confirmable"], "value"].min()}
    medians = {f"confirmed_{arm}": confirmed_median(study, arm) for arm in study.confirmed}
    results = metrics.prefixed(found | medians)
    store.log(client, parent, flat(config), [(0, results)], {NOTE: _description(searched)})
    for file in searched.files:
        client.log_artifact(parent.info.run_id, str(file))
    for file in searched.drawn:
        client.log_artifact(parent.info.run_id, str(file), "figures")
    store.finish(client, parent, float(trials["seconds"].sum()))
