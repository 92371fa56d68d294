"""Which sampler and which rules find the most: many searches of one study at equal FLOP.

    python -m benchmarks.samplers [quick] [--searches 8] [--cores 2]

Every sampler meets every rule, each pair with as many seeds of the sampler, none with given points. Points
are rounded to a grid, so that searches meet the same networks: each is trained once, without a rule, and
kept under `.checkpoints/samplers/`. A search may spend what the study's own trials cost with TPE and our
rules. Its best trial is trained on the fresh seeds and splits of `confirm`, a crossing held for 50 steps. The
same command goes on where it was interrupted. CMA-ES takes part after `pip install cmaes`.
"""

import argparse
import importlib.util
import itertools
import json
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import scipy
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler

from benchmarks.recordings import MEDIAN, RecordedWorker, Recordings
from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.executors.processes import prepare
from grokking.experiment import Replica, Seeds
from grokking.search.config import SamplerConfig, StudyPlan, read_study
from grokking.search.monitor import monitored
from grokking.search.pruning import PruningContext
from grokking.search.sampler import make_sampler
from grokking.search.scheduler import Scheduler
from grokking.search.seed_job import SeedJob
from grokking.search.space import FloatDimension, Space
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, StopCondition, max_flops, max_trials, open_study
from grokking.search.tables import best_trials, chosen, trial_table

SAMPLERS = ("tpe", "random", "qmc", "gp", "cma-es")
RULES = ("ours", "cost cap", MEDIAN, "none")
FOLDER = Path(".checkpoints/samplers")
LEVELS = 8  # of each number of a space
SMALL_TRANSFORMER = {  # a study on the network of the sweep `phases_transformer`
    "space": {
        "model.embedding_std": {"kind": "log", "low": 0.02, "high": 1.0},
        "optimizer.learning_rate": {"kind": "log", "low": 1e-3, "high": 0.1},
        "optimizer.decay_rate": {"kind": "log", "low": 1e-4, "high": 0.1},
        "optimizer.beta2": {"kind": "linear", "low": 0.9, "high": 0.999},
    },
    "trials": 24,
}
NEVER = PruningContext(
    budget=0, limit=float("inf"), decay_rate=0.0, decay_driven=False,
    memorization_step=None, generalization_norm=None, slack=float("inf"),
)  # fmt: skip


@dataclass(frozen=True)
class RoundedPlan(StudyPlan):
    """A study whose points are rounded to a grid before they are trained."""

    def replicas(self, values: Mapping[str, Any], seeds: Seeds) -> list[Replica]:
        return super().replicas(rounded(values, self.config.space), seeds)


def rounded(values: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The nearest of LEVELS values of each number, evenly spaced on its scale."""
    found = dict(values)
    for key, dimension in space.items():
        if key in found and isinstance(dimension, FloatDimension):
            found[key] = nearest(found[key], dimension)
    return found


def nearest(value: float, dimension: FloatDimension) -> float:
    low, high, last = dimension.low, dimension.high, LEVELS - 1
    if dimension.kind == "linear":
        found = low + (high - low) * round((value - low) / (high - low) * last) / last
    else:
        found = low * (high / low) ** (round(math.log(value / low) / math.log(high / low) * last) / last)
    return float(f"{found:.6g}")


@dataclass(frozen=True)
class Study:
    """A study, its task, and the recordings of its networks."""

    plan: RoundedPlan
    task: Task
    order: cyclic.Order | None

    @classmethod
    def read(cls, name: str) -> "Study":
        catalogue = read_catalogue()
        if name == "quick":
            entry = catalogue.entry("studies", name)
            section = catalogue.entry("tasks", entry["experiment"]["task"])
        else:
            sweep = catalogue.entry("sweeps", "phases_transformer")
            entry = catalogue.entry("studies", "quick") | SMALL_TRANSFORMER
            entry["experiment"] = sweep["experiment"] | {"task": "own"}
            seeds = sorted({s for part in ("search", "confirm") for s in entry[part]["split_seeds"]})
            section = sweep["task"] | {"split_seeds": seeds}
        entry |= {"initial_points": [], "published": {}, "random_baseline": False}
        plan = read_study(entry, name, name)
        config = load(TaskConfig, section, name)
        return cls(
            RoundedPlan(plan.name, plan.where, plan.config),
            tasks.build(config, name),
            cyclic.order_of(config),
        )

    def recordings(self, task: Task) -> Recordings:
        return Recordings(FOLDER / self.plan.name, task, self.order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", nargs="?", default="quick", choices=["quick", "small_transformer"])
    parser.add_argument("--searches", type=int, default=8, help="of each sampler with each rule")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.cores, initializer=prepare) as pool:
        own = [pool.submit(flops_of_trials, given.study, number) for number in range(given.searches)]
        spent = statistics.median(future.result() for future in own)
        samplers = [name for name in SAMPLERS if name != "cma-es" or importlib.util.find_spec("cmaes")]
        cells = itertools.product(range(given.searches), samplers, RULES)
        jobs = [pool.submit(result, given.study, *cell, spent) for cell in cells]
        rows = pd.DataFrame([job.result() for job in jobs])
    print(f"{given.study}: {given.searches} searches a cell, {spent:.3g} FLOP each")
    print(table(rows).to_markdown(index=False))


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
    """Trials, and the median step of the best one on the fresh seeds; infinite where half fail."""
    ranking = best_trials(trial_table(searched, study.plan))
    confirmed = float("inf")
    if ranking:
        trial = next(t for t in searched.ended() if t.number == ranking[0])
        values = chosen(trial, study.plan)["values"]
        steps = confirmed_steps(study, study.plan.replicas(values, study.plan.config.confirm))
        confirmed = statistics.median(steps)
    return {"trials": len(searched.ended()), "confirmed": confirmed}


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
                "better than tpe with ours": f"{int((steps < default).sum())} of {len(steps)}",
                "worse": f"{int((steps > default).sum())} of {len(steps)}",
                "p (Wilcoxon)": f"{scipy.stats.wilcoxon(late).pvalue:.3f}" if late.any() else "—",
            }
        )
    return pd.DataFrame(found)


if __name__ == "__main__":
    main()
