"""Which sampler and which rules find the most: many searches of one study at equal FLOP.

    python -m benchmarks.samplers [small_mlp] [--searches 8] [--samplers tpe] [--rules ours none] [--cores 2]
        [--flops 9.16e11] [--write]

Every sampler meets every rule, each pair with as many seeds of the sampler, none with given points. Points
are rounded to a grid, so that searches meet the same networks: each is trained once, without a rule, and
kept under `.checkpoints/samplers/`. A search may spend what the study's own trials cost with TPE and our
rules. Its best trial is trained on the fresh seeds and splits of `confirm`, a crossing held for 50 steps. The
same command goes on where it was interrupted; a row per search is in `benchmarks/results/`. CMA-ES takes part
after `pip install cmaes`. `--samplers` and `--rules` take some of them and leave the rows of the others as
they are; `--flops` says what a search may spend where an earlier run has found that out.

`quick` is the study of params.yaml, of five core-hours here. The others have the network and the table of a
sweep, and take minutes: `small_mlp` searches the space of `quick`, `small_transformer` one of its own.
"""

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler

from benchmarks import page
from benchmarks.machine import processor
from benchmarks.recordings import MEDIAN, RecordedWorker
from benchmarks.rounded_study import FOLDER, SMALL, Study
from grokking.executors.processes import prepare
from grokking.experiment import Replica
from grokking.search.config import SamplerConfig
from grokking.search.monitored_task import monitored
from grokking.search.pruning import PruningContext
from grokking.search.sampler import make_sampler
from grokking.search.scheduler import Scheduler
from grokking.search.seed_job import SeedJob
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, StopCondition, max_flops, max_trials, open_study
from grokking.search.tables import as_chosen, best_trials, trial_table

SAMPLERS = ("tpe", "random", "qmc", "gp", "cma-es")
RULES = ("ours", "cost cap", MEDIAN, "none")
PARTS = (0.25, 0.5, 1.0)  # of the FLOP, at which the best trial so far is shown
RESULTS = Path(__file__).parent / "results"
NOTE = """
Steps are the median of the best trial on ten fresh seeds and splits, then the median and the range over the
searches; inf where half of the seeds did not generalize. The columns of the FLOP have the best trial so far,
as it was searched. *Better* and *worse* are pairs of searches with the same seed of the sampler, beside TPE
with our rules; p is of Wilcoxon's signed-rank test over them, two-sided, not corrected for the number of
rows.
"""
NEVER = PruningContext(
    budget=0, limit=float("inf"), decay_rate=0.0, decay_driven=False,
    memorization_step=None, generalization_norm=None, slack=float("inf"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", nargs="?", default="small_mlp", choices=["quick", *SMALL])
    parser.add_argument("--searches", type=int, default=8, help="of each sampler with each rule")
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, choices=SAMPLERS)
    parser.add_argument("--rules", nargs="+", default=RULES, choices=RULES)
    parser.add_argument("--flops", type=float, help="of a search; without it those of the study's own trials")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="put the table into docs/search.md")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.cores, initializer=_prepare) as pool:
        spent = given.flops
        if spent is None:
            own = [pool.submit(flops_of_trials, given.study, number) for number in range(given.searches)]
            spent = statistics.median(future.result() for future in own)
        samplers = [name for name in given.samplers if name != "cma-es" or importlib.util.find_spec("cmaes")]
        cells = itertools.product(range(given.searches), samplers, given.rules)
        jobs = [pool.submit(result, given.study, *cell, spent) for cell in cells]
        rows = merged(kept_searches(given.study), pd.DataFrame([job.result() for job in jobs]))
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows.to_csv(RESULTS / f"{given.study}.csv", index=False)
    title = f"Searches of `{given.study}`: {given.searches} for each row, {spent:.3g} FLOP each"
    report = page.Section(title, table(rows), NOTE).markdown()
    print(report)
    if given.write:
        page.write(report, f"samplers {given.study}", str(processor()), page.SEARCH)


def kept_searches(study: str) -> pd.DataFrame:
    """A row per search of earlier runs; none where there was no run."""
    file = RESULTS / f"{study}.csv"
    return pd.read_csv(file, converters={"best": _numbers}) if file.exists() else pd.DataFrame()


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.strip("[]").split(",")]


def merged(kept: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of this run, and those kept of other samplers and rules, in the order of the table."""
    cell = ["search", "sampler", "rule"]
    both = pd.concat([kept, rows], ignore_index=True).drop_duplicates(cell, keep="last")
    places = [*SAMPLERS, *RULES]
    return both.sort_values(
        cell, key=lambda column: column if column.name == "search" else column.map(places.index)
    )


def _prepare() -> None:
    """Of a process that searches; CMA-ES warns at each trial that it ignores constraints."""
    prepare()
    warnings.filterwarnings("ignore", category=UserWarning, message="Constraints have been set")


def flops_of_trials(name: str, number: int) -> float:
    """What the study's own number of trials costs, with TPE and our rules."""
    study = Study.read(name)
    with search(study, number, "tpe", "ours", max_trials(study.plan.config.trials)) as searched:
        return searched.look().flops


def result(name: str, number: int, sampler: str, rule: str, spent: float) -> dict[str, Any]:
    """One search and what its best trial comes to on fresh seeds; kept in a file."""
    file = FOLDER / f"{name}-{sampler}-{rule}-{number}-{spent:.6g}.json"
    if not file.exists():
        study = Study.read(name)
        row: dict[str, Any] = {"sampler": sampler, "rule": rule, "search": number}
        with search(study, number, sampler, rule, max_flops(spent)) as searched:
            row |= summary(study, searched)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(row))
        fresh.replace(file)
    return dict(json.loads(file.read_text()))


@contextmanager
def search(study: Study, number: int, sampler: str, rule: str, stop: StopCondition) -> Iterator[SharedStudy]:
    """A search on recorded networks, all its trials ended; `number` seeds the sampler."""
    config = study.plan.config
    own = replace(config.sampler, seed=number)
    if sampler == "random":
        own = replace(own, name="random")
    plan = replace(study.plan, config=replace(config, sampler=own))
    with tempfile.TemporaryDirectory() as folder:
        shared = open_study(plan, f"{number}", Storage(Path(folder)), stop)
        shared.optuna.sampler = sampler_of(sampler, own)
        worker = RecordedWorker(study.recordings(monitored(study.task)), rule)
        Scheduler(plan, shared, worker).run()  # type: ignore[arg-type]
        yield shared


def sampler_of(name: str, config: SamplerConfig) -> BaseSampler:
    made: dict[str, Callable[[], BaseSampler]] = {
        "gp": lambda: GPSampler(seed=config.seed, n_startup_trials=config.startup_trials),
        "cma-es": lambda: CmaEsSampler(seed=config.seed, n_startup_trials=config.startup_trials),
        "qmc": lambda: QMCSampler(seed=config.seed, scramble=True, warn_independent_sampling=False),
    }
    return made[name]() if name in made else make_sampler(config)


def summary(study: Study, searched: SharedStudy) -> dict[str, Any]:
    """Trials, the best cost along the search, and the median step of the best trial on the fresh seeds.

    Infinite where nothing generalized, or half of the fresh seeds did not.
    """
    trials = trial_table(searched, study.plan)
    ranking, confirmed = best_trials(trials), float("inf")
    if ranking:
        trial = next(t for t in searched.ended() if t.number == ranking[0])
        values = as_chosen(trial, study.plan)["values"]
        steps = confirmed_steps(study, study.plan.replicas(values, study.plan.config.confirm))
        confirmed = statistics.median(steps)
    return {"trials": len(trials), "best": best_along(trials), "confirmed": confirmed}


def best_along(trials: pd.DataFrame) -> list[float]:
    """The lowest cost of a whole trial within each of PARTS of the FLOP of all trials."""
    spent = trials["flops"].cumsum() / trials["flops"].sum()
    costs = trials["cost"].where(trials["confirmable"].astype(bool), float("inf")).astype(float)
    return [float(costs[spent <= part + 1e-9].min()) for part in PARTS]


def confirmed_steps(study: Study, replicas: list[Replica]) -> list[float]:
    """Steps to generalization on all validation equations; infinite where there was none."""
    recordings, found = study.recordings(study.task), []
    worker = RecordedWorker(recordings, "none")
    for number, replica in enumerate(replicas):
        context = replace(NEVER, budget=study.plan.budget)
        worker.submit(SeedJob(0, number, replica, "steps", context, exempt=True))
        (outcome,) = worker.wait()
        found.append(float("inf") if outcome.step is None else float(outcome.step))
    return found


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per sampler and rule: the confirmed steps of its searches, beside those of TPE with our rules."""
    default = rows[(rows["sampler"] == "tpe") & (rows["rule"] == "ours")].set_index("search")["confirmed"]
    found = []
    for (sampler, rule), own in rows.groupby(["sampler", "rule"], sort=False):
        steps = own.set_index("search")["confirmed"]
        late = steps.replace(float("inf"), 1e9) - default.replace(float("inf"), 1e9)
        found.append(
            {
                "sampler": sampler,
                "rules": rule,
                "steps, median (range)": f"{steps.median():.0f} ({steps.min():.0f}–{steps.max():.0f})",
                "trials": f"{own['trials'].median():.0f}",
                **{
                    f"best at {part:.0%} of the FLOP": f"{np.median([best[i] for best in own['best']]):.0f}"
                    for i, part in enumerate(PARTS)
                },
                "better than tpe with ours": f"{int((steps < default).sum())} of {len(steps)}",
                "worse": f"{int((steps > default).sum())} of {len(steps)}",
                "p (Wilcoxon)": f"{scipy.stats.wilcoxon(late).pvalue:.3f}" if late.any() else "—",
            }
        )
    return pd.DataFrame(found)


if __name__ == "__main__":
    main()
