"""Measure a search on this machine beside a plain Optuna loop: `python -m benchmarks.search`.

Prints a table and puts it into docs/performance.md, in place of the one of the same processor.
"""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pandas as pd
import torch

from benchmarks import machine, our_search, page
from benchmarks.our_search import Study
from benchmarks.plain_search import EVERY, PlainSearch
from benchmarks.process import set_up
from grokking.executors.device import device
from grokking.executors.resources import cores as available
from grokking.search.config import StudyPlan

CONDITIONS = """
{trials} trials of up to {seeds} seeds and {budget:,} steps; {load}.
The first {unpruned} trials are never stopped: the same share as in the whole study.
"""
NOTE = """
Studies of params.yaml. All searches try the same points: the study's initial points, then random ones. The
plain loop (`benchmarks/plain_search.py`) trains one network after the other with PyTorch, by default on as
many threads as PyTorch chooses. It evaluates the monitored equations every {every} steps, asks Optuna's
MedianPruner, and ends a seed as ours does, when its crossing has held. Ours trains a network per process, on
one thread. *No rules* means neither racing nor pruning; a trial whose first seed does not generalize still
skips the others. *Rules* means as in params.yaml. *Times plain*, the ratio of trials per hour, is *fewer
steps*, the ratio of the steps trained, times *faster steps*, the ratio of steps per second, which includes
evaluations, checks and Optuna. *Best* is the lowest median time-to-grok of a trial; in ours all of its seeds
must have generalized.
"""


@dataclass(frozen=True)
class SearchResult:
    """What a search took and found."""

    name: str
    seconds: float
    steps: int  # of all replicas
    best: float | None  # steps


def measure(study: Study, threads: int | None) -> list[SearchResult]:
    """The plain loop, in a new process so that nothing is loaded yet, and ours in three ways."""
    cores = available() if device() == "cpu" else 1
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        plain = pool.submit(run_plain, study, threads).result()
    results = [
        run_ours("ours, one process, no rules", our_search.without_rules(study), 1),
        run_ours("ours, one process, rules", study, 1),
    ]
    if cores > 1:
        results.append(run_ours(f"ours, {cores} processes, rules", study, cores))
    return [plain, *results]


def run_ours(name: str, study: Study, processes: int) -> SearchResult:
    """The project's search in this number of processes, where it trains on the CPU."""
    started = time.perf_counter()
    steps, best = our_search.run(study, processes)
    return SearchResult(name, time.perf_counter() - started, steps, best)


def run_plain(study: Study, threads: int | None) -> SearchResult:
    """The plain loop; without a number of threads as many as torch takes by default."""
    threads = threads or torch.get_num_threads()
    set_up(threads)
    search, started = PlainSearch(study.plan, study.task, device()), time.perf_counter()
    trials = search.run(study.points)
    seconds = time.perf_counter() - started
    best = trials.best_value if trials.best_value < study.plan.budget else None
    return SearchResult(f"plain Optuna loop, threads: {threads}", seconds, search.steps, best)


def table(results: list[SearchResult], trials: int) -> pd.DataFrame:
    """A row per search; ratios are to the first."""
    return pd.DataFrame([_row(result, results[0], trials) for result in results])


def _row(result: SearchResult, plain: SearchResult, trials: int) -> dict[str, str]:
    fewer = plain.steps / result.steps
    ratio = plain.seconds / result.seconds
    return {
        "search": result.name,
        "seconds": f"{result.seconds:,.1f}",
        "trials per hour": f"{3600 * trials / result.seconds:,.0f}",
        "times plain": f"{ratio:.2f}",
        "fewer steps": f"{fewer:.2f}",
        "faster steps": f"{ratio / fewer:.2f}",
        "steps trained": f"{result.steps:,}",
        "best, steps": "none" if result.best is None else f"{result.best:,.0f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    processor = str(machine.processor())
    sections = [_section(name, options.trials, options.threads) for name in options.study]
    report = "\n".join([f"## Searches on {processor}\n", NOTE.format(every=EVERY).strip() + "\n", *sections])
    print(report, flush=True)
    if options.write:
        page.write(report, "search", processor)


def _section(name: str, trials: int, threads: int | None) -> str:
    """Measure one study."""
    study = our_search.prepare(name, trials)
    conditions = _conditions(study.plan)  # the load before anything is measured
    return page.Section(f"Study {name}", table(measure(study, threads), trials), conditions).markdown()


def _conditions(plan: StudyPlan) -> str:
    return CONDITIONS.format(
        trials=plan.config.trials,
        seeds=len(plan.config.search.seeds),
        budget=plan.budget,
        load=machine.load(),
        unpruned=plan.config.pruner.exempt_first,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument(
        "--study", choices=our_search.STUDIES, nargs="+", default=["quick"], help="studies of one-hot MLPs"
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--threads", type=int, help="of the plain loop; without it torch chooses")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser


if __name__ == "__main__":
    main()
