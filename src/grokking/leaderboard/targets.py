"""The target of a workload: how many steps a rule takes that a thorough search found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokking.executors.executor import Executor, executor
from grokking.leaderboard.running import Job, Results, Show, alone, trained
from grokking.leaderboard.submission import Submission, read_submission
from grokking.leaderboard.table import submission_file
from grokking.leaderboard.trials import points, trial_at
from grokking.leaderboard.workloads import Benchmark, Workload
from grokking.training.fingerprint import input_hash

POINTS_OF_SEARCH = 1000  # of the sequences of points, so that no submission's study has the same
SEED_OF_SEARCH, SEED_OF_RERUNS = 1000, 2015  # no submission's trial has these
SEARCH = 0  # the study of a baseline's trials in the search; studies 1, 2, ... are reruns of its finalists


@dataclass(frozen=True)
class Target:
    """What the search for a target came to."""

    steps: float  # the lowest median of a finalist; inf where none did in more than half of its reruns
    baseline: str  # whose point it is
    point: dict[str, Any]
    fastest: dict[str, float]  # by baseline, its fastest trial of the search


def target_folder(benchmark: Benchmark, workload: str) -> Path:
    return benchmark.root / "results/leaderboard" / f"v{benchmark.version}" / "targets" / workload


def find_target(benchmark: Benchmark, workload: Workload, show: Show = lambda row, left: None) -> Target:
    """Search with all baselines, then train the finalists again; what is kept is not trained again."""
    with alone(target_folder(benchmark, workload.name)), executor(None, "cpu") as workers:
        search = _Search(benchmark, workload, show)
        for number in range(benchmark.targets.trials):
            search.try_points(number, workers)
        for finalist in search.finalists():
            search.train_again(finalist, workers)
    return search.target()


def read_target(benchmark: Benchmark, workload: Workload) -> Target | None:
    """The target from what is kept; None where the search has not ended."""
    search = _Search(benchmark, workload)
    return search.target() if search.has_ended() else None


def targets_table(benchmark: Benchmark, targets: Mapping[str, Target]) -> pd.DataFrame:
    """A row per workload, as texts: its target, whose it is, the fastest trials, the budget."""
    rows = [
        {"workload": name, "target": _steps(own.steps), "of": own.baseline}
        | {f"fastest of {baseline}": _steps(steps) for baseline, steps in own.fastest.items()}
        | {"budget": _steps(benchmark.workloads[name].budget)}
        for name, own in targets.items()
    ]
    return pd.DataFrame(rows)


def _steps(steps: float) -> str:
    return f"{steps:,.0f}" if steps < np.inf else "—"


class _Search:
    """All baselines on one workload."""

    def __init__(self, benchmark: Benchmark, workload: Workload, show: Show = lambda row, left: None) -> None:
        self.rules, self.workload, self.show = benchmark.targets, workload, show
        folder, names = target_folder(benchmark, workload.name), self.rules.baselines
        self.baselines = {name: read_submission(submission_file(benchmark, name)) for name in names}
        self.points = {
            name: points(own.declared.SPACE, self.rules.trials, POINTS_OF_SEARCH)
            for name, own in self.baselines.items()
        }
        self.results = {name: Results(folder / name) for name in names}
        for name, results in self.results.items():
            results.rows = [row for row in results.rows if self._is_present(name, row)]

    def try_points(self, number: int, workers: Executor) -> None:
        """Train each baseline at one point, side by side, for as long as it can be the fastest so far."""
        limit = round(min(self.workload.budget, *self.fastest(number).values()))
        jobs = {
            name: [self._job(own, SEARCH, number, self.points[name][number], limit)]
            for name, own in self.baselines.items()
        }
        self._train(jobs, workers)

    def fastest(self, before: int) -> dict[str, float]:
        """Each baseline's fastest trial among those before this number; inf where none generalized."""
        return {
            name: min((time for number, time in self._times(name) if number < before), default=np.inf)
            for name in self.baselines
        }

    def finalists(self) -> list[tuple[str, int]]:
        """The fastest trials of the search, by baseline and number."""
        found = [(time, name, number) for name in self.baselines for number, time in self._times(name)]
        return [(name, number) for _, name, number in sorted(found)[: self.rules.finalists]]

    def train_again(self, finalist: tuple[str, int], workers: Executor) -> None:
        """A finalist's point on other seeds."""
        name, number = finalist
        study, point = 1 + self.finalists().index(finalist), self.points[name][number]
        jobs = [
            self._job(self.baselines[name], study, rerun, point, self.workload.budget)
            for rerun in range(self.rules.reruns)
        ]
        self._train({name: jobs}, workers)

    def has_ended(self) -> bool:
        """Whether all trials and all reruns are there."""
        searched = [row["study"] == SEARCH for results in self.results.values() for row in results.rows]
        trials, finalists = self.rules.trials * len(self.baselines), len(self.finalists())
        return sum(searched) == trials and len(searched) == trials + self.rules.reruns * finalists

    def target(self) -> Target:
        """The finalist of the lowest median."""
        found: list[tuple[float, str, int]] = []
        for i, (name, number) in enumerate(self.finalists()):
            rows = pd.DataFrame(self.results[name].rows)
            again = rows[rows["study"] == 1 + i]
            times = again["generalization_step"].where(again["observed"], np.inf)
            found.append((float(np.median(times)), name, number))
        fastest = self.fastest(self.rules.trials)
        if not found:
            return Target(np.inf, "none", {}, fastest)
        steps, name, number = min(found)
        return Target(steps, name, self.points[name][number], fastest)

    def _job(self, own: Submission, study: int, number: int, point: dict[str, Any], limit: int) -> Job:
        seed = (SEED_OF_SEARCH if study == SEARCH else SEED_OF_RERUNS) + number
        trial = trial_at(own, self.workload, study, number, point, seed, self.workload.budget, limit)
        return own, self.workload, trial

    def _is_present(self, name: str, row: Mapping[str, Any]) -> bool:
        """Whether a row is of the baseline's file and of the workload as they are now."""
        own = self.baselines[name]
        if row["submission"] != own.sha256:
            return False
        _, workload, trial = self._job(
            own, row["study"], row["trial"], json.loads(row["point"]), row["budget"]
        )
        return bool(row["inputs"] == input_hash(trial.replica, workload.task))

    def _train(self, jobs: dict[str, list[Job]], workers: Executor) -> None:
        missing = []
        for name, own in jobs.items():
            self.results[name].forget_others(own)
            missing += self.results[name].missing(own)
        kept_in = {own.sha256: self.results[name] for name, own in self.baselines.items()}
        for row, curve in trained(missing, workers):
            kept_in[row["submission"]].add(row, curve)
            self.show(row, {self.workload.name: self._left()})

    def _left(self) -> int:
        """How many trials and reruns are left, if there are as many finalists as there should be."""
        rules, done = self.rules, sum(len(results.rows) for results in self.results.values())
        return rules.trials * len(self.baselines) + rules.finalists * rules.reruns - done

    def _times(self, name: str) -> Sequence[tuple[int, float]]:
        """Number and time of the trials of the search that generalized, each within its own limit."""
        return [
            (row["trial"], row["generalization_step"])
            for row in self.results[name].rows
            if row["study"] == SEARCH and row["observed"]
        ]
