"""Scores: the share of workloads on which a submission is within a factor of the fastest, over that factor.

The performance profile of Dolan and Moré 2002 and its integral, as AlgoPerf has it (Dahl et al. 2023, arXiv
2306.07179). Time is in steps, or in seconds on one core of one machine.
"""

# S submissions, W workloads, T values of the factor
# N resamples, K studies of a submission, J trials of a study

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # its parts are loaded where they are first used

from grokking.analysis.survival import logrank_p, share_with_interval

RESAMPLES = 2000
MISSED = np.inf
INTERVAL = [0.025, 0.975]

Parents = Mapping[str, str]  # by name of a workload that of which it is a variant; "" where it is none


@dataclass(frozen=True)
class Score:
    """The score of a submission with its interval of 95 % over seeds, and its times."""

    submission: str
    score: float
    low: float
    high: float
    rank: int  # 1 and the number of those that have a higher score
    ranks: tuple[int, int]  # interval of 95 %
    times: dict[str, float]  # by workload; inf where it missed
    generalized: tuple[float, float, float]  # share of its trials on no variants, with its interval of 95 %


def study_times(runs: pd.DataFrame, unit: str) -> pd.Series:
    """By workload and study the fastest trial's time; inf where none generalized."""
    return _trial_times(runs, unit).groupby([runs["workload"], runs["study"]]).min()


def times(runs: pd.DataFrame, unit: str) -> pd.Series:
    """By workload the median over its studies; of an even number of them the later of the two middle ones."""
    by_workload = study_times(runs, unit).groupby(level="workload")
    return by_workload.agg(lambda found: np.sort(found.to_numpy())[len(found) // 2])


def shares_within(time_SW: np.ndarray, factor_T: Sequence[float] | np.ndarray) -> np.ndarray:
    """The performance profiles (S, T): the share of workloads within each factor of the fastest."""
    return np.asarray((_ratios(time_SW)[:, :, None] <= np.asarray(factor_T) + 1e-12).mean(axis=1))


def integral(time_SW: np.ndarray, most: float) -> np.ndarray:
    """The mean height of each profile from 1 to `most`, (..., S): 1 for the fastest everywhere.

    On one workload a profile is 1 from the submission's own factor on, so that its mean is the rest's share.
    """
    return np.asarray(np.clip((most - _ratios(time_SW)) / (most - 1), 0, 1).mean(axis=-1))


def _ratios(time_SW: np.ndarray) -> np.ndarray:
    """Times over that of the fastest, (..., S, W); inf where a submission missed."""
    fastest_W = time_SW.min(axis=-2, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(time_SW), time_SW / fastest_W, np.inf)


def scores(runs: Mapping[str, pd.DataFrame], parents: Parents, unit: str, most: float) -> list[Score]:
    """All submissions, best first. All have run the workloads; where a variant has no runs, it is missed."""
    names, workloads = list(runs), list(parents)
    found = {name: times(runs[name], unit).reindex(workloads, fill_value=MISSED) for name in names}
    time_SW = np.array([found[name].to_numpy() for name in names])
    score_S, draws_NS = integral(time_SW, most), integral(_resampled(runs, parents, unit), most)
    low_S, high_S = np.quantile(draws_NS, INTERVAL, axis=0)
    ranks_NS = scipy.stats.rankdata(-draws_NS, axis=1, method="min")
    first_S, last_S = np.quantile(ranks_NS, INTERVAL, axis=0, method="nearest").astype(int)
    result = []
    for i, name in enumerate(names):
        own = runs[name][runs[name]["workload"].isin([key for key in workloads if not parents[key]])]
        share = share_with_interval(int(own["observed"].sum()), len(own))
        by_workload = dict(zip(workloads, time_SW[i].tolist(), strict=True))
        interval, ranks_of_95 = (float(low_S[i]), float(high_S[i])), (int(first_S[i]), int(last_S[i]))
        rank = 1 + int((score_S > score_S[i]).sum())
        result.append(Score(name, float(score_S[i]), *interval, rank, ranks_of_95, by_workload, share))
    return sorted(result, key=lambda score: -score.score)


def difference_p(one: pd.DataFrame, other: pd.DataFrame, workload: str) -> float:
    """Log-rank test of the trials of two submissions on a workload, all that were tried."""
    (times1, seen1), (times2, seen2) = (_until_budget(runs, workload) for runs in (one, other))
    return logrank_p(times1, seen1, times2, seen2)


def is_sooner(one: pd.DataFrame, other: pd.DataFrame, workload: str) -> bool:
    """Whether one's trials on a workload generalize sooner, on average; a miss counts as the budget."""
    (times1, _), (times2, _) = (_until_budget(runs, workload) for runs in (one, other))
    return bool(times1.mean() < times2.mean())


def _until_budget(runs: pd.DataFrame, workload: str) -> tuple[np.ndarray, np.ndarray]:
    """The time of each trial on a workload, and whether it generalized by then."""
    own = runs[runs["workload"] == workload]
    steps = own["generalization_step"].fillna(own["budget"])
    return steps.to_numpy(float), own["observed"].to_numpy(bool)


def _resampled(runs: Mapping[str, pd.DataFrame], parents: Parents, unit: str) -> np.ndarray:
    """Times (N, S, W) with all trials of a workload drawn again, the same ones of all submissions.

    Trials of equal number have equal seeds and splits. A study's trials are drawn from those of all studies:
    the fastest of five that are drawn from the same five would never be faster. Where a workload is missed
    in a draw, so is its variant.
    """
    random = np.random.default_rng(0)
    drawn: dict[str, np.ndarray] = {}
    tables = [_trials_by_workload(own, unit) for own in runs.values()]
    for workload, parent in parents.items():
        studies, trials = max((own[workload].shape for own in tables if workload in own), default=(1, 1))
        index_NKJ = random.integers(studies * trials, size=(RESAMPLES, studies, trials))
        never = np.full((studies, trials), MISSED)
        fastest = [own.get(workload, never).ravel()[index_NKJ].min(axis=2) for own in tables]
        time_NS = np.sort(np.stack(fastest, axis=1), axis=2)[:, :, studies // 2]
        drawn[workload] = np.where(np.isinf(drawn[parent]), MISSED, time_NS) if parent else time_NS
    return np.stack(list(drawn.values()), axis=2)


def _trials_by_workload(runs: pd.DataFrame, unit: str) -> dict[str, np.ndarray]:
    """For each workload the times of its trials, one row per study (K, J)."""
    table = runs.assign(time=_trial_times(runs, unit)).pivot_table(
        index=["workload", "study"], columns="trial", values="time", dropna=False
    )
    return {str(name): own.to_numpy() for name, own in table.groupby(level="workload")}


def _trial_times(runs: pd.DataFrame, unit: str) -> pd.Series:
    steps = runs["generalization_step"].astype(float)
    time = steps if unit == "steps" else steps * runs["step_seconds"]
    return time.where(runs["observed"], MISSED)
