"""Which trials a submission is asked for: on the workloads of the file, and on held-out variants of them."""

from collections.abc import Sequence

import pandas as pd

from grokking.config import ConfigError
from grokking.leaderboard.held_out import held_out
from grokking.leaderboard.scoring import MISSED, times
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.trials import WithTrials, trials
from grokking.leaderboard.workloads import Benchmark, Workload


def workloads(benchmark: Benchmark) -> list[Workload]:
    """Those that count: of the file, and their held-out variants."""
    return [*benchmark.workloads.values(), *variants(benchmark)]


def variants(benchmark: Benchmark) -> list[Workload]:
    """The held-out variant of each workload of the file; none until their seed is drawn."""
    seed = benchmark.rules.held_out_seed
    return [] if seed is None else [held_out(own, seed) for own in benchmark.workloads.values()]


def trials_by_workload(
    benchmark: Benchmark, submission: Submission, names: Sequence[str]
) -> list[WithTrials]:
    """The trials of a submission: the check for leaks, and the workloads of these names or all of the file.

    An open one has its own workload, and no check.
    """
    of_file = list(benchmark.workloads.values())
    if own := submission.declared.WORKLOAD:
        if set(names) - {own}:
            raise ConfigError(f"{submission.name} is a submission to {own} alone; leave `--workload` out")
        return _with_trials(benchmark, submission, chosen_by_name(of_file, [own]))
    chosen = chosen_by_name(workloads(benchmark), names) if names else of_file
    return _with_trials(benchmark, submission, [benchmark.leak_check, *chosen])


def variants_to_train(benchmark: Benchmark, submission: Submission, runs: pd.DataFrame) -> list[WithTrials]:
    """The trials on variants of those workloads on which it generalizes, by its runs there.

    A variant of a workload that it misses counts as missed, too, and costs nobody a training.
    """
    steps = times(runs, "steps")
    chosen = [own for own in variants(benchmark) if steps.get(own.variant_of, MISSED) < MISSED]
    return _with_trials(benchmark, submission, chosen)


def _with_trials(
    benchmark: Benchmark, submission: Submission, chosen: Sequence[Workload]
) -> list[WithTrials]:
    return [(workload, trials(submission, workload, benchmark.rules)) for workload in chosen]


def every_trial(benchmark: Benchmark, submission: Submission) -> list[WithTrials]:
    """All trials that there may be, also on variants of workloads that it misses."""
    names = [] if submission.declared.WORKLOAD else [own.name for own in workloads(benchmark)]
    return trials_by_workload(benchmark, submission, names)


def chosen_by_name(known: Sequence[Workload], names: Sequence[str]) -> list[Workload]:
    """Those of the workloads that have these names, each once; ConfigError for a wrong name."""
    by_name = {workload.name: workload for workload in known}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"the workload {name} is unknown; known: {', '.join(by_name)}")
    return [by_name[name] for name in dict.fromkeys(names)]
