"""Time to ask a study for its next trial, by sampler and by how many trials it has; no network is trained.

    python -m benchmarks.asks [--trials 10 1000 10000] [--storage URL]

The study `quick`, its trials at random points, in a journal on this disk, or new studies in the storage of
the URL, where they stay. What is timed is all that a search does from one trial to the next: lock, point,
values written.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import pandas as pd

from benchmarks.recorded_study import fill, plan_of
from grokking.executors.processor import processor
from grokking.search.config import StudyPlan
from grokking.search.space import suggest
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, max_trials, open_study

ASKS = 11


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


def ask(study: SharedStudy, plan: StudyPlan) -> float:
    """Milliseconds from one trial to the next."""
    begun = time.perf_counter()
    with study.alone():
        trial = study.ask()
        assert trial is not None, "the limit of trials lies above"
        suggest(trial, plan.config.space)
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
