"""Stage `publish`: every trained experiment and study to MLflow; what is there already is left as it is."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from grokking import figures
from grokking.config import read_params
from grokking.data import tasks
from grokking.data.monitor import monitored
from grokking.search import config
from grokking.search.study import study_key
from grokking.tracking import store, stream
from grokking.tracking import studies as study_runs
from grokking.tracking.publish import Trained, publish
from grokking.tracking.studies import Searched
from grokking.training.fingerprint import fingerprint
from pipelines import searched
from pipelines.diagnosed import DIAGNOSTICS, TABLE
from pipelines.searched import SEARCH_REPORTS
from pipelines.stage import (
    CONFIRMED,
    FIGURES,
    PARAMS,
    RUNS,
    SEARCHES,
    SPLITS,
    STUDY_SECTIONS,
    TUNED,
    run,
)  # fmt: skip

MANIFEST = Path("mlruns/manifest.json")
LOCKS = (Path("extended/dvc.lock"), Path("dvc.lock"))


def main() -> None:
    client, published = store.connect(), {}
    for trained in trained_experiments():
        in_study = trained.section in STUDY_SECTIONS  # whose page draws all replicas
        tell(trained.name, publish(client, trained, None if in_study else figures.curves))
        published[trained.name] = trained.run()["fingerprint"]
    for study in searched_studies():
        tell(f"study {study.study.name}", study_runs.publish(client, study))
        published[study.study.name] = study.key
    stream.reap(client)  # what is streamed no longer and was not published either
    MANIFEST.parent.mkdir(exist_ok=True)
    MANIFEST.write_text(json.dumps(published, indent=2) + "\n")


def tell(name: str, fresh: bool) -> None:
    print(f"{name}: {'published' if fresh else 'already published'}", flush=True)


def trained_experiments() -> Iterator[Trained]:
    """Every experiment of params.yaml that has been trained, published presets included."""
    params = read_params(PARAMS)
    for section, name, folder in _folders(params):
        if (folder / "run.json").exists():
            yield _trained(name, section, folder)


def _folders(params: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, Path]]:
    """Section, name and folder of whatever may have been trained."""
    for section, runs in RUNS.items():
        yield from ((section, name, runs / name) for name in params[section])
    for name in params["optimizers"]:
        yield "optimizers", f"{name}_tuning", TUNED / name / "tuning"
        yield "optimizers", name, TUNED / name / "confirmed"
    for section in STUDY_SECTIONS:
        for name in params[section]:
            yield from ((section, f"{name}_{folder.name}", folder) for folder in confirmed(name))


def confirmed(name: str) -> list[Path]:
    """The folders of a study's confirmed arms."""
    return sorted((CONFIRMED / name).glob("*"))


def searched_studies() -> Iterator[Searched]:
    """Every study of params.yaml that was searched and confirmed."""
    params = read_params(PARAMS)
    for section in STUDY_SECTIONS:
        for name, mapping in params[section].items():
            study = searched.read_study(params, section, name)
            if study is not None:
                plan = config.read_study(mapping, name, f"{section}.{name}")
                replicas = plan.replicas({}, plan.config.search)
                core = fingerprint(replicas, monitored(tasks.read(SPLITS / replicas[0].config.task)))
                yield Searched(study, study_key(plan, core), SEARCHES / name, SEARCH_REPORTS / name)


def _trained(name: str, section: str, folder: Path) -> Trained:
    replicas = pd.read_parquet(folder / "replicas.parquet")
    task = str(replicas["task"].iloc[0])
    figure = _figure(name, section, folder)
    if not figure.exists():
        figures.curves(pd.read_parquet(folder / "history.parquet"), replicas, name, figure)
    split = store.Split(task, SPLITS / task, split_digest(task))
    diagnostics = DIAGNOSTICS / name if section == "experiments" else folder
    return Trained(name, section, folder, split, figure, diagnostics / TABLE)


def _figure(name: str, section: str, folder: Path) -> Path:
    """Where the curves of an experiment are drawn."""
    if section == "experiments":
        return FIGURES / f"{name}.png"
    if section in STUDY_SECTIONS:
        return SEARCH_REPORTS / folder.parent.name / f"{folder.name}.png"
    return folder / "curves.png"


def split_digest(task: str) -> str:
    """DVC's hash of a split from a dvc.lock, so that MLflow and DVC name the same data alike."""
    outs = _locked_stages().get(f"split@{task}", {}).get("outs", [{"md5": "unknown"}])
    return str(outs[0]["md5"])


@cache
def _locked_stages() -> dict[str, Any]:
    """The stages of every lock file there is."""
    texts = [lock.read_text() for lock in LOCKS if lock.exists()]
    return {name: stage for text in texts for name, stage in YAML(typ="safe").load(text)["stages"].items()}


if __name__ == "__main__":
    run(main)
