"""Scores: the share of workloads on which a submission is within a factor of the fastest, over that factor.

The performance profile of Dolan and Moré 2002 and its integral, as AlgoPerf has it (Dahl et al. 2023, arXiv
2306.07179). Time is in steps, or in seconds on one core of one machine.
"""

# S submissions, W workloads, T values of the factor, or trials of a study
# N resamples, K studies

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # its parts are loaded where they are first used

from grokking.analysis.survival import logrank_p, share_with_interval

RESAMPLES = 2000
POINTS = 301  # at which a profile is taken for its integral
MISSED = np.inf
INTERVAL = [0.025, 0.975]


@dataclass(frozen=True)
class Score:
    """The score of a submission with its interval of 95 % over seeds, and its times."""

    submission: str
    score: float
    low: float
    high: float
    ranks: tuple[int, int]  # interval of 95 %
    times: dict[str, float]  # by workload; inf where it missed
    generalized: tuple[float, float, float]  # share of all its trials, with its interval of 95 %


def study_times(runs: pd.DataFrame, unit: str) -> pd.Series:
    """By workload and study the fastest trial's time; inf where none generalized."""
    return _times(runs, unit).groupby([runs["workload"], runs["study"]]).min()


def times(runs: pd.DataFrame, unit: str) -> pd.Series:
    """By workload the median over its studies. Half of an even number is the later of the two middle ones."""
    by_workload = study_times(runs, unit).groupby(level="workload")
    return by_workload.agg(lambda found: np.sort(found.to_numpy())[len(found) // 2])


def shares_within(time_SW: np.ndarray, factor_T: Sequence[float] | np.ndarray) -> np.ndarray:
    """The performance profiles (S, T): the share of workloads within each factor of the fastest."""
    fastest_W = time_SW.min(axis=0)
    with np.errstate(invalid="ignore"):
        ratio_SW = np.where(np.isfinite(time_SW), time_SW / fastest_W, np.inf)
    return np.asarray((ratio_SW[:, :, None] <= np.asarray(factor_T) + 1e-12).mean(axis=1))


def factors(most: float) -> np.ndarray:
    """The factors (T,) at which a profile is taken, evenly from 1 to the last that counts."""
    return np.linspace(1.0, most, POINTS)


def integral(time_SW: np.ndarray, most: float) -> np.ndarray:
    """The mean height of each profile (S,): 1 for the fastest everywhere, 0 for who is never near it."""
    factor_T = factors(most)
    return np.asarray(np.trapezoid(shares_within(time_SW, factor_T), factor_T, axis=1) / (most - 1))


def scores(runs: Mapping[str, pd.DataFrame], workloads: Sequence[str], unit: str, most: float) -> list[Score]:
    """All submissions, best first. All have run these workloads."""
    names = list(runs)
    found = {name: times(runs[name], unit).reindex(list(workloads)) for name in names}
    time_SW = np.array([found[name].to_numpy() for name in names])
    score_S, draws = integral(time_SW, most), _resampled(runs, workloads, unit, most)
    low_S, high_S = np.quantile(draws, INTERVAL, axis=0)
    ranks = scipy.stats.rankdata(-draws, axis=1, method="min")
    first_S, last_S = np.quantile(ranks, INTERVAL, axis=0, method="nearest").astype(int)
    result = []
    for i, name in enumerate(names):
        own = runs[name][runs[name]["workload"].isin(list(workloads))]
        share = share_with_interval(int(own["observed"].sum()), len(own))
        by_workload = dict(zip(workloads, time_SW[i].tolist(), strict=True))
        interval, ranks_of_95 = (float(low_S[i]), float(high_S[i])), (int(first_S[i]), int(last_S[i]))
        result.append(Score(name, float(score_S[i]), *interval, ranks_of_95, by_workload, share))
    return sorted(result, key=lambda score: -score.score)


def difference_p(one: pd.DataFrame, other: pd.DataFrame, workload: str) -> float:
    """Log-rank test of the trials of two submissions on a workload, all that were tried."""
    groups = [runs[runs["workload"] == workload] for runs in (one, other)]
    (times1, seen1), (times2, seen2) = (
        (own["generalization_step"].fillna(own["budget"]).to_numpy(float), own["observed"].to_numpy(bool))
        for own in groups
    )
    return logrank_p(times1, seen1, times2, seen2)


def _resampled(
    runs: Mapping[str, pd.DataFrame], workloads: Sequence[str], unit: str, most: float
) -> np.ndarray:
    """Scores (resamples, S) with the trials of each study, and then the studies, drawn again."""
    random = np.random.default_rng(0)
    tables = [_arrays(own, workloads, unit) for own in runs.values()]
    time_NSW = np.stack([np.stack([_drawn(study, random) for study in own], 1) for own in tables], 1)
    return np.array([integral(time_SW, most) for time_SW in time_NSW])


def _arrays(runs: pd.DataFrame, workloads: Sequence[str], unit: str) -> list[np.ndarray]:
    """For each workload its times, one row per study."""
    by_study = runs.assign(time=_times(runs, unit)).pivot_table(
        index=["workload", "study"], columns="trial", values="time", dropna=False
    )
    return [by_study.loc[workload].to_numpy() for workload in workloads]


def _drawn(time_studies_trials: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The median over studies of the fastest trial, in each resample (N,)."""
    studies, trials = time_studies_trials.shape
    study_NK = random.integers(studies, size=(RESAMPLES, studies))
    trial_NKT = random.integers(trials, size=(RESAMPLES, studies, trials))
    fastest_NK = time_studies_trials[study_NK[:, :, None], trial_NKT].min(axis=2)
    return np.asarray(np.sort(fastest_NK, axis=1)[:, studies // 2])


def _times(runs: pd.DataFrame, unit: str) -> pd.Series:
    steps = runs["generalization_step"].astype(float)
    time = steps if unit == "steps" else steps * runs["step_seconds"]
    return time.where(runs["observed"], MISSED)
