"""Time to ask a study for its next trial, by sampler and by how many trials it has; no network is trained.

    python -m benchmarks.asks [--trials 10 1000 10000] [--storage URL]

The study `quick`, its trials drawn at random with random values, in a journal on this disk, or new studies in
the storage of the URL, where they stay. What is timed is all that a search does from one trial to the next:
lock, point, values written.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import optuna
import pandas as pd
from optuna.trial import create_trial

from grokking.catalogue import read_catalogue
from grokking.search.config import StudyPlan, read_study
from grokking.search.space import suggest
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, max_trials, open_study
from grokking.storage.machine import processor

ASKS = 11
STUDY = "quick"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--storage", help="any Optuna storage URL, or that of a study server")
    arguments = parser.parse_args()
    rows = [
        {
            "sampler": sampler,
            "trials": trials,
            "ms for an ask, median": milliseconds(sampler, trials, arguments.storage),
        }
        for sampler in ("random", "tpe")
        for trials in arguments.trials
    ]
    print(processor())
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


def milliseconds(sampler: str, trials: int, url: str | None) -> float:
    """Median of some asks of a new study that has this many trials."""
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(sampler)
        study = open_study(plan, uuid4().hex, Storage(Path(folder), url), max_trials(trials + ASKS))
        fill(study, plan, trials)
        return statistics.median(ask(study, plan) for _ in range(ASKS))


def plan_of(sampler: str) -> StudyPlan:
    entry = read_catalogue().entry("studies", STUDY)
    entry["sampler"]["name"], entry["initial_points"] = sampler, []
    return read_study(entry, STUDY, f"studies.{STUDY}")


def fill(study: SharedStudy, plan: StudyPlan, trials: int) -> None:
    """Trials that have ended, at random points."""
    values = np.random.default_rng(0).normal(3, 1, trials)
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for value in values:
        trial = drawn.ask()
        suggest(trial, plan.config.space)
        drawn.tell(trial, value)
    study.optuna.add_trials(
        create_trial(
            value=trial.value,
            params=trial.params,
            distributions=trial.distributions,
        )
        for trial in drawn.get_trials(deepcopy=False)
    )


def ask(study: SharedStudy, plan: StudyPlan) -> float:
    """Milliseconds from one trial to the next."""
    begun = time.perf_counter()
    with study.lock:
        trial = study.ask()
        assert trial is not None, "the limit of trials lies above"
        suggest(trial, plan.config.space)
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
