"""A study of trials that nobody trained: points at random, outcomes those of a committed study."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, create_trial

from grokking.catalogue import read_catalogue
from grokking.search.config import StudyPlan, read_study
from grokking.search.objective import failed_value, log_cost
from grokking.search.seed_job import SeedOutcome
from grokking.search.space import suggest
from grokking.search.study import REASON, SharedStudy
from grokking.search.trial_outcomes import OUTCOME

STUDY = "quick"
RESULTS = Path("results/search") / STUDY


def plan_of(sampler: str) -> StudyPlan:
    """The study with one seed for each trial, so that a trial is one job."""
    entry = read_catalogue().entry("studies", STUDY)
    entry["sampler"]["name"], entry["initial_points"] = sampler, []
    entry["search"] = {"seeds": [0], "split_seeds": [0]}
    return read_study(entry, STUDY, f"studies.{STUDY}")


def recorded(plan: StudyPlan) -> list[SeedOutcome]:
    """What each replica of the committed study came to."""
    replicas, curves = (_table(name) for name in ("replicas", "curves"))
    by_replica = dict(iter(curves.groupby(["trial", "seed_number"])))
    rows = replicas.astype(object).where(replicas.notna(), None).to_dict("records")
    return [_outcome(row, by_replica[row["trial"], row["seed_number"]], plan) for row in rows]


def _table(name: str) -> pd.DataFrame:
    table = pd.read_parquet(RESULTS / f"{name}.parquet")
    return table[table["arm"] == "search"].drop(columns="arm")


def _outcome(row: Any, curve: pd.DataFrame, plan: StudyPlan) -> SeedOutcome:
    cost = row["cost"]
    value = failed_value(plan.config.experiment["budget"]) if cost is None else log_cost(cost)
    known: dict[str, Any] = {"value": value, "gap": 0.0, "generalization_norm": None}
    known["curves"] = curve.drop(columns=["trial", "seed_number"]).to_dict("list")
    return SeedOutcome(**row, **known)


def fill(study: SharedStudy, plan: StudyPlan, trials: int) -> None:
    """Add trials that have ended."""
    with study.alone():
        for trial in drawn(plan, trials):
            study.optuna.add_trial(trial)


def drawn(plan: StudyPlan, trials: int) -> Iterator[FrozenTrial]:
    outcomes, points = recorded(plan), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(trials):
        trial, outcome = points.ask(), outcomes[number % len(outcomes)]
        suggest(trial, plan.config.space)
        yield create_trial(
            value=outcome.value,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={f"{OUTCOME}/0": asdict(outcome), REASON: outcome.reason},
        )
