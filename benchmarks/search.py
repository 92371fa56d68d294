"""Measure a search on this machine beside a plain Optuna loop: `python -m benchmarks.search`.

Prints a table and puts it into docs/performance.md, where text outside the markers is kept.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
import pandas as pd
import torch

from benchmarks import machine, page
from benchmarks.cases import PARAMS
from benchmarks.plain_search import EVERY, PlainSearch
from benchmarks.process import set_up
from grokking.config import entry, load, read_params
from grokking.data import tasks
from grokking.data.monitor import monitored
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.diagnostics.cyclic import Order
from grokking.search.config import StudyPlan, read_study
from grokking.search.executor import replica_executor
from grokking.search.scheduler import Scheduler, best_value
from grokking.search.space import suggest
from grokking.search.storage import Storage
from grokking.search.study import max_trials, open_study
from grokking.search.tables import replica_table
from grokking.training import history
from grokking.training.workers import device

SECTIONS = {"quick": "studies", "speedrun": "extended_studies", "system_2": "extended_studies"}
NO_RACING = 1e9  # times the best

CONDITIONS = """
{trials} trials of up to {seeds} seeds and {budget:,} steps, on {processor}, {load}.
Of the trials the first {exempt} are never stopped, the share of the whole study.
"""
NOTE = """
Studies of params.yaml. All searches try the same points, those that the
study names first and then random ones. The plain loop (`benchmarks/plain_search.py`) trains one network
after the other with PyTorch, by default on as many threads as it chooses, looks at the monitored equations
every {every} steps, asks Optuna's MedianPruner, and ends a seed as ours does, when its crossing has held.
Ours trains a network per process, on one thread. Without rules there is neither racing nor pruning, but a
first seed that does not generalise is never followed by the others. With rules it is as params.yaml has it.
*Times plain*, the ratio of trials per hour, is *fewer steps*, the ratio of the steps trained, times *faster
steps*, that of the steps per second, in which evaluations, checks and Optuna are included. *Best* is the
lowest median time-to-grok of a trial; in ours all of its seeds must have generalised.
"""


@dataclass(frozen=True)
class Studied:
    """A study and what its replicas are trained on."""

    plan: StudyPlan
    task: Task
    order: Order | None
    points: list[dict[str, Any]]  # by Optuna's names, a trial each


@dataclass(frozen=True)
class Measured:
    """A search that has ended."""

    name: str
    seconds: float
    steps: int  # of all replicas
    best: float | None


def prepare(name: str, trials: int) -> Studied:
    """A study by its name in params.yaml, with so many trials."""
    params, section = read_params(PARAMS), SECTIONS[name]
    plan = shortened(read_study(entry(params, section, name), name, f"{section}.{name}"), trials)
    task_name = plan.config.experiment["task"]
    where = next(part for part in ("tasks", "extended_tasks") if task_name in params[part])
    config = load(TaskConfig, params[where][task_name], f"{where}.{task_name}")
    order = cyclic.find_order(config.operation.name, getattr(config.operation, "modulus", None))
    task = monitored(tasks.build(config, f"{where}.{task_name}"))
    return Studied(plan, task, order, drawn(plan))


def shortened(plan: StudyPlan, trials: int) -> StudyPlan:
    """The study with so many trials, the same share of them exempt at first."""
    pruner = plan.config.pruner
    exempt = round(pruner.exempt_first * trials / plan.config.trials)
    config = replace(plan.config, trials=trials, pruner=replace(pruner, exempt_first=exempt))
    return replace(plan, config=config)


def drawn(plan: StudyPlan) -> list[dict[str, Any]]:
    """A point for each trial: those that the study names first, then random ones."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=plan.config.sampler.seed))
    for point in plan.config.initial_points:
        study.enqueue_trial(point)
    trials = [study.ask() for _ in range(plan.config.trials)]
    for trial in trials:
        suggest(trial, plan.config.space)
    return [trial.params for trial in trials]


def measure(studied: Studied, threads: int | None) -> list[Measured]:
    """Ours in three ways, and the plain loop in a process of its own, whose first steps are its first."""
    cores = machine.cores() if device() == "cpu" else 1
    found = [
        ours("ours, one process, no rules", without_rules(studied), 1),
        ours("ours, one process, rules", studied, 1),
    ]
    if cores > 1:
        found.append(ours(f"ours, {cores} processes, rules", studied, cores))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return [pool.submit(plainly, studied, threads).result(), *found]


def ours(name: str, studied: Studied, processes: int) -> Measured:
    """The project's search, in so many processes where it trains on the CPU."""
    config = replace(studied.plan.config, initial_points=tuple(studied.points))
    plan, started = replace(studied.plan, config=config), time.perf_counter()
    environment = patch.dict(os.environ, {"GROKKING_PROCESSES": str(processes)})
    with (
        environment,
        tempfile.TemporaryDirectory() as folder,
        replica_executor(studied.task, studied.order) as here,
    ):
        trials = open_study(plan, "benchmark", Storage(Path(folder)), max_trials(len(studied.points)))
        Scheduler(plan, trials, here).run()
        seconds = time.perf_counter() - started
        best = best_value(trials, plan)
        steps = int(replica_table(trials)["steps_run"].sum())
        return Measured(name, seconds, steps, None if best is None else 10**best)


def without_rules(studied: Studied) -> Studied:
    pruner = replace(studied.plan.config.pruner, name="none", racing_factor=NO_RACING)
    return replace(studied, plan=replace(studied.plan, config=replace(studied.plan.config, pruner=pruner)))


def plainly(studied: Studied, threads: int | None) -> Measured:
    """The plain loop, on so many threads or, as most would run it, on as many as torch takes by default."""
    threads = threads or torch.get_num_threads()
    set_up(threads)
    search, started = PlainSearch(studied.plan, studied.task, device()), time.perf_counter()
    study = search.run(studied.points)
    seconds = time.perf_counter() - started
    best = study.best_value if study.best_value < studied.plan.budget else None
    return Measured(f"plain Optuna loop, threads: {threads}", seconds, search.steps, best)


def table(found: list[Measured], trials: int) -> pd.DataFrame:
    """A row per search; the first is what the others are compared with."""
    return pd.DataFrame([_row(measured, found[0], trials) for measured in found])


def _row(measured: Measured, plain: Measured, trials: int) -> dict[str, str]:
    fewer = plain.steps / measured.steps
    ratio = plain.seconds / measured.seconds
    return {
        "search": measured.name,
        "seconds": f"{measured.seconds:,.1f}",
        "trials per hour": f"{3600 * trials / measured.seconds:,.0f}",
        "times plain": f"{ratio:.2f}",
        "fewer steps": f"{fewer:.2f}",
        "faster steps": f"{ratio / fewer:.2f}",
        "steps trained": f"{measured.steps:,}",
        "best, steps": "none" if measured.best is None else f"{measured.best:,.0f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    sections = [_section(name, options.trials, options.threads) for name in options.study]
    report = "\n".join(["## Searches\n", NOTE.format(every=EVERY).strip() + "\n", *sections])
    print(report, flush=True)
    if options.write:
        page.write(report, page.BEGIN_SEARCH)


def _section(name: str, trials: int, threads: int | None) -> str:
    """Measure one study; its conditions are those before."""
    studied = prepare(name, trials)
    conditions = _conditions(studied)
    return page.section(f"Study {name}", table(measure(studied, threads), trials), conditions, level=3)


def _conditions(studied: Studied) -> str:
    config = studied.plan.config
    return CONDITIONS.format(
        trials=config.trials,
        seeds=len(config.search.seeds),
        budget=studied.plan.budget,
        processor=history.machine()["processor"],
        load=machine.load(),
        exempt=config.pruner.exempt_first,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument(
        "--study", choices=SECTIONS, nargs="+", default=["quick"], help="studies of one-hot MLPs"
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--threads", type=int, help="of the plain loop; without it torch chooses")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser


if __name__ == "__main__":
    main()
