"""All curves of short trainings as one table: submissions, searches for targets, and studies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokking.catalogue import Catalogue, read_catalogue
from grokking.config import ConfigError
from grokking.leaderboard.running import CURVE, CURVES, KEY, RUNS
from grokking.leaderboard.workloads import SPLITS, Benchmark
from grokking.storage.runs import read_table

NETWORK = ["origin", "rule", *KEY, "seed"]  # one curve
OF_RUN = ["split", "point", "budget", "generalization_step", "memorization_step", "ended"]
REPLICA = ["arm", "trial", "seed_number"]  # of a study
VALUE = "params/"  # before the names of a study's hyperparameters


def all_curves(benchmark: Benchmark) -> pd.DataFrame:
    """A row per evaluation: where it is from, the run that it belongs to, and what was measured.

    ConfigError where there are no results.
    """
    root = benchmark.root / "results/leaderboard" / f"v{benchmark.version}"
    parts = [*_parts(root, "*", "submission"), *_parts(root, "targets/*/*", "target")]
    parts += _of_studies(benchmark.root / "results/search", read_catalogue(benchmark.root))
    if not parts:
        raise ConfigError("no results are here; run `grokking bench run leaderboard/submissions/adamw.py`")
    return pd.concat(parts, ignore_index=True)


def _parts(root: Path, folders: str, origin: str) -> Iterator[pd.DataFrame]:
    for file in sorted(root.glob(f"{folders}/{CURVES}")):
        runs = read_table(file.with_name(RUNS))
        ended = np.where(runs["observed"], "generalized", np.where(runs["diverged"], "diverged", "budget"))
        runs = runs.assign(split=runs["seed"] % SPLITS, ended=ended)[[*KEY, "seed", *OF_RUN]]
        curves = read_table(file).merge(runs, on=KEY, how="left", validate="many_to_one")
        yield curves.assign(origin=origin, rule=file.parent.name)[[*NETWORK, *OF_RUN, *CURVE]]


def _of_studies(results: Path, catalogue: Catalogue) -> Iterator[pd.DataFrame]:
    for name in catalogue.names("studies"):
        if (results / name / CURVES).exists():
            yield _of_study(results / name, catalogue.entry("studies", name))


def _of_study(folder: Path, study: dict[str, Any]) -> pd.DataFrame:
    """The curves of a study's trials, under the names that those of the benchmark have."""
    curves, replicas, trials = (
        read_table(folder / f"{name}.parquet") for name in ("curves", "replicas", "trials")
    )
    points = trials.assign(point=_points(trials))[["arm", "trial", "point"]]
    runs = replicas.merge(points, on=["arm", "trial"], validate="many_to_one")
    number, seeds = runs["seed_number"], study["search"]
    runs = runs.assign(
        seed=np.array(seeds["seeds"])[number],
        split=np.array(seeds["split_seeds"])[number],
        budget=study["experiment"]["budget"],
        generalization_step=runs["step"],
        ended=runs["reason"],
    )[[*REPLICA, "seed", *OF_RUN]]
    found = curves.merge(runs, on=REPLICA, validate="many_to_one")
    found = found.assign(origin="study", rule=found["arm"], workload=folder.name, study=0, weight_norm=np.nan)
    return found[[*NETWORK, *OF_RUN, *CURVE]]


def _points(trials: pd.DataFrame) -> list[str]:
    """The hyperparameters of each trial, as JSON."""
    values = trials.filter(like=VALUE).rename(columns=lambda name: name.removeprefix(VALUE))
    rows = values.to_dict("records")  # NaN: this trial did not draw it
    return [json.dumps({key: value for key, value in row.items() if pd.notna(value)}) for row in rows]
