"""Steps against seconds: the trials that no other trial beats in both."""

import pandas as pd

from grokking.analysis.search_axes import Axis, shown

STEPS, SECONDS = "steps", "seconds"


def whole_trials(trials: pd.DataFrame, replicas: pd.DataFrame) -> pd.DataFrame:
    """A row per trial of the search that generalized with all its seeds: medians of steps and of seconds.

    Seconds are those of updates on one core up to the crossing, at the rate of the whole replica.
    """
    seeds = replicas.assign(**{SECONDS: replicas["seconds"] * replicas["step"] / replicas["steps_run"]})
    medians = seeds.groupby(["arm", "trial"])[["step", SECONDS]].median().rename(columns={"step": STEPS})
    own = whole(trials[trials["arm"] == "search"])
    return own.drop(columns=SECONDS).merge(medians, on=["arm", "trial"])


def whole(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that generalized with all their seeds and were not found to lose it again."""
    return trials[trials["confirmable"].astype(bool) & trials["sustained"].ne(False)]


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not beaten, fewest steps first: no other has as few steps and fewer seconds."""
    ranked = points.sort_values([STEPS, SECONDS, "trial"])
    return ranked[ranked[SECONDS] < ranked[SECONDS].cummin().shift(fill_value=float("inf"))]


def front_table(points: pd.DataFrame, axes: list[Axis], given: int) -> pd.DataFrame:
    """The front, with the value of every hyperparameter in which its trials differ.

    The first `given` trials are points that the study was given. Only a few were checked for being sustained.
    """
    best = front(points)
    differing = [axis for axis in axes if best[axis.column].nunique(dropna=False) > 1]
    return pd.DataFrame(
        [
            {
                "trial": f"{row['trial']}" + (", given" if row["trial"] < given else ""),
                STEPS: f"{row[STEPS]:,.0f}",
                SECONDS: f"{row[SECONDS]:.3g}",
                "sustained": "yes" if pd.notna(row["sustained"]) else "not tried",
            }
            | {f"`{axis.name}`": shown(row[axis.column]) for axis in differing}
            for _, row in best.iterrows()
        ]
    )
