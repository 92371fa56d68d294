"""Lines of `grokking bench`: what each trial came to, how many are left, and for how long."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from tqdm import tqdm

from grokking.executors.processor import processor
from grokking.executors.resources import processes
from grokking.leaderboard.assignment import workloads
from grokking.leaderboard.verification import Verified
from grokking.leaderboard.workloads import Benchmark

BELIEF = 60.0  # seconds of kept trials that count beside those of this run in its forecasts


class TrialLines:
    """A line for each trial that has ended.

    Trials of one workload take twenty times as long as those of another. So each counts by what trials of
    its workload have taken so far on one core, in all results that are here. `then` says what follows.
    """

    def __init__(
        self,
        screen: Console,
        titles: Mapping[str, str],
        typical_seconds: Mapping[str, float],
        then: str = "",
    ) -> None:
        self.screen, self.titles, self.typical = screen, titles, typical_seconds
        self.workers, self.then = processes(None), then
        self.belief = BELIEF if typical_seconds else 0.0
        self.started, self.expected = time.monotonic(), 0.0

    def show_outdated(self, count: int) -> None:
        text = f"{count} kept trials are of an earlier file, workload or core; they are forgotten"
        self.screen.print(text, soft_wrap=True)

    def show(self, row: Mapping[str, Any], left: Mapping[str, int]) -> None:
        self.expected += self._expected(row["workload"])
        seconds = self._pace(sum(left.values())) * self._expected_of(left)
        over = f"{sum(left.values())} left, about {tqdm.format_interval(seconds)}{self.then}"
        self.screen.print(f"{name_of(row, self.titles)}: {outcome(row)} ({over})", soft_wrap=True)

    def _pace(self, left: int) -> float:
        """Seconds here for one of a kept trial: as seen so far, and as if as many workers kept that pace."""
        seen = time.monotonic() - self.started
        workers = min(self.workers, left + 1)
        return (seen + self.belief / workers) / (self.expected + self.belief)

    def _expected_of(self, left: Mapping[str, int]) -> float:
        return sum(count * self._expected(workload) for workload, count in left.items())

    def _expected(self, workload: str) -> float:
        """Of one trial; one second where no submission has any, such as a target's."""
        return self.typical.get(workload, 1.0)


class VerifiedLines:
    """A line for each trial that was trained again."""

    def __init__(self, screen: Console, titles: Mapping[str, str], seconds: float) -> None:
        self.screen, self.titles, self.here = screen, titles, processor()
        self.started, self.seconds = time.monotonic(), seconds

    def show(self, kept: Mapping[str, Any], text: str, done: int, total: int) -> None:
        until = f", about {tqdm.format_interval(self._left(done, total))} left" if done < total else ""
        elsewhere = text and kept["processor"] != self.here
        found = f"{text} (on another kind of processor)" if elsewhere else text or "the same"
        self.screen.print(f"{name_of(kept, self.titles)}: {found} ({done} of {total}{until})", soft_wrap=True)

    def _left(self, done: int, total: int) -> float:
        """Trials are in a random order, so those that are left take as long as those before them."""
        seen = time.monotonic() - self.started
        return max(0.0, min(self.seconds - seen, seen / done * (total - done)))


def name_of(row: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """A trial, by the title of its workload."""
    workload = titles.get(row["workload"], row["workload"])
    return f"{workload}, study {row['study']}, trial {row['trial']}"


def outcome(row: Mapping[str, Any]) -> str:
    missed = "diverged" if row["diverged"] else f"not in {row['budget']:,} steps"
    return f"generalized at {row['generalization_step']:,.0f}" if row["observed"] else missed


def verdict(submission: str, found: Verified, order: int) -> str:
    """How many trials came out the same, and how to repeat it."""
    again = f"{submission}: {found.compared} of {found.kept} kept trials trained again, {_outcome(found)}"
    return f"{again} ({processor()}; the same order by --seed {order})"


def _outcome(found: Verified) -> str:
    if found.differences:
        return f"{len(found.differences)} kept trials differ"
    if not found.compared:
        return "so nothing was compared: give it more --minutes"
    if found.elsewhere:
        same = found.compared - len(found.elsewhere)
        return f"{same} are the same; the others are of another kind of processor, where bits may differ"
    return "all figures are the same"


def titles(benchmark: Benchmark) -> dict[str, str]:
    """By name, all workloads as the page calls them."""
    return {own.name: own.title for own in [benchmark.leak_check, *workloads(benchmark)]}
