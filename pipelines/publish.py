"""Stage `publish`: every trained experiment to MLflow; what is there already is left as it is."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from grokking import figures
from grokking.config import read_params
from grokking.tracking import store, stream
from grokking.tracking.publish import Trained, publish
from pipelines.diagnosed import DIAGNOSTICS, TABLE
from pipelines.stage import FIGURES, PARAMS, RUNS, SPLITS, TUNED, run

MANIFEST = Path("mlruns/manifest.json")
LOCKS = (Path("extended/dvc.lock"), Path("dvc.lock"))


def main() -> None:
    client = store.connect()
    published = {}
    for trained in trained_experiments():
        fresh = publish(client, trained, figures.curves)
        print(f"{trained.name}: {'published' if fresh else 'already published'}", flush=True)
        published[trained.name] = trained.run()["fingerprint"]
    stream.reap(client)  # what is streamed no longer and was not published either
    MANIFEST.parent.mkdir(exist_ok=True)
    MANIFEST.write_text(json.dumps(published, indent=2) + "\n")


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


def _trained(name: str, section: str, folder: Path) -> Trained:
    replicas = pd.read_parquet(folder / "replicas.parquet")
    task = str(replicas["task"].iloc[0])
    figure = FIGURES / f"{name}.png" if section == "experiments" else folder / "curves.png"
    if not figure.exists():
        figures.curves(pd.read_parquet(folder / "history.parquet"), replicas, name, figure)
    split = store.Split(task, SPLITS / task, split_digest(task))
    diagnostics = DIAGNOSTICS / name if section == "experiments" else folder
    return Trained(name, section, folder, split, figure, diagnostics / TABLE)


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
