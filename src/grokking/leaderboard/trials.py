"""The trials of a submission on a workload: points of its space, seeds, splits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are first used

from grokking.experiment import Replica
from grokking.leaderboard.rule import configured
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.workloads import SPLITS, Rules, Workload
from grokking.search.space import RangeDimension, Space, dimensions, suggest

OPEN_TRIALS = 10  # of an open submission


@dataclass(frozen=True)
class Trial:
    """One training of a network by a rule. Equal numbers have equal seeds and splits in all submissions."""

    workload: str
    study: int
    number: int  # in its study
    point: Mapping[str, Any]
    replica: Replica
    limit: int  # updates by which generalization must begin; its budget, or fewer in the search for a target

    @property
    def key(self) -> tuple[str, int, int]:
        return self.workload, self.study, self.number


WithTrials = tuple[Workload, list[Trial]]  # a workload, and the trials of a submission there


class Drawn:
    """Gives each hyperparameter the value at its coordinate in [0, 1)."""

    def __init__(self, coordinates: Mapping[str, float]) -> None:
        self.coordinates = coordinates

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        share = self.coordinates[name]
        return float(low * (high / low) ** share if log else low + share * (high - low))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return min(high, int(self.suggest_float(name, low, high + 1, log=log)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[int(self.coordinates[name] * len(choices))]


def points(space: Space, count: int, study: int) -> list[dict[str, Any]]:
    """Points of a space, as even as a scrambled Halton sequence is (Owen 2017, arXiv 1706.02808)."""
    names = sorted(dimensions(space))
    if not names:
        return [{} for _ in range(count)]
    sample = scipy.stats.qmc.Halton(len(names), rng=study).random(count)
    return [suggest(Drawn(dict(zip(names, row, strict=True))), space) for row in sample]


def share_of_range(dimension: Any, value: Any) -> float:
    """How far above the lower end a value lies, from 0 to 1; the middle for what has no range."""
    if not isinstance(dimension, RangeDimension):
        return 0.5
    low, high = dimension.low, dimension.high
    if dimension.kind.startswith("log"):
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def trial_at(
    submission: Submission,
    workload: Workload,
    study: int,
    number: int,
    point: Mapping[str, Any],
    seed: int,
    budget: int,
    limit: int | None = None,
) -> Trial:
    """One training of the workload at this point; the seed is also that of the split, counted in `SPLITS`."""
    config = configured(submission, workload.experiment(budget), dict(point))
    replica = Replica(0, seed, seed % SPLITS, config)
    return Trial(workload.name, study, number, point, replica, budget if limit is None else limit)


def _of_open(submission: Submission, workload: Workload) -> list[Trial]:
    """Seeds and splits follow from the file, so that nobody chooses them; no two splits are the same."""
    random = np.random.default_rng(int(submission.sha256, 16))
    splits = random.permutation(SPLITS)[:OPEN_TRIALS]
    seeds = splits + SPLITS * random.integers(10**6, size=OPEN_TRIALS)
    return [
        trial_at(submission, workload, 0, number, {}, seed, workload.budget)
        for number, seed in enumerate(seeds.tolist())
    ]


def trials(submission: Submission, workload: Workload, rules: Rules) -> list[Trial]:
    """All trials that decide its score on a workload."""
    if submission.declared.RULESET == "open":
        return _of_open(submission, workload)
    longer = rules.self_tuning_budget if submission.declared.RULESET == "self-tuning" else 1
    budget = round(longer * workload.budget)
    found = []
    for study in range(rules.studies):
        for number, point in enumerate(points(submission.declared.SPACE, rules.trials, study)):
            seed = study * rules.trials + number
            found.append(trial_at(submission, workload, study, number, point, seed, budget))
    return found
