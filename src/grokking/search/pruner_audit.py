"""How often the pruning rules would have been wrong, judged on the exempt replicas, which no rule may stop.

A replica is good if it generalized at a cost within the limit it was raced against, or at any cost where
there was no limit yet. To stop a good replica is wrong. A stop saves the steps that came after it.

Seeds that never began because their trial's first seed cost too much count as no stop. Intervals treat
replicas as independent, which the seeds of one trial are only in part.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import scipy

from grokking.search.replay import PRUNERS, stops
from grokking.storage.runs import read_table

OURS = "rules"
RACED, OVER_LIMIT, FORECAST = "raced", "raced, over its limit", "raced, by a forecast"
KEY = ["trial", "seed_number"]


@dataclass(frozen=True)
class SearchTables:
    """The tables of one study's search, without its other arms."""

    name: str
    budget: int  # updates of a replica
    objective: str
    trials: pd.DataFrame
    replicas: pd.DataFrame
    curves: pd.DataFrame

    @classmethod
    def from_tables(cls, name: str, budget: int, objective: str, *tables: pd.DataFrame) -> Self:
        """From the tables trials, replicas and curves of all arms."""
        return cls(name, budget, objective, *(table[table["arm"] == "search"] for table in tables))

    @classmethod
    def read(cls, folder: Path, budget: int, objective: str) -> Self:
        """From the files of the stage `search`."""
        tables = (read_table(folder / f"{name}.parquet") for name in ("trials", "replicas", "curves"))
        return cls.from_tables(folder.name, budget, objective, *tables)

    def exempt(self) -> pd.DataFrame:
        """The exempt replicas in the order of their trials."""
        exempt = self.trials.loc[self.trials["exempt"], "trial"]
        return self.replicas[self.replicas["trial"].isin(exempt)].sort_values(KEY, ignore_index=True)

    def exempt_curves(self) -> list[pd.DataFrame]:
        """The evaluations of each exempt replica."""
        by_replica = dict(iter(self.curves.groupby(KEY)))
        return [by_replica[key].sort_values("step") for key in _keys(self.exempt())]


def judgements(study: SearchTables) -> pd.DataFrame:
    """The rows of `judge_stops` for our rules and for each of Optuna's pruners.

    Adds the columns `pruner` and, for ours, `rule`: the one that would have stopped the replica. Of the rule
    `raced` there are two: a replica that has cost more than its limit is never stopped wrongly, one that is
    forecast to may be.
    """
    exempt = study.exempt()
    over_limit = (exempt["stopped_by"] == RACED) & (cost_at_stop(exempt, study.objective) > exempt["limit"])
    rule = exempt["stopped_by"].replace(RACED, FORECAST).mask(over_limit, OVER_LIMIT)
    ours = judge_stops(exempt, exempt["stop_step"]).assign(pruner=OURS, rule=rule)
    replayed = [judge_stops(exempt, _replayed(study, name)).assign(pruner=name) for name in PRUNERS]
    return pd.concat([ours, *replayed], ignore_index=True)


def cost_at_stop(replicas: pd.DataFrame, objective: str) -> pd.Series:
    """What each replica had cost where a rule would have stopped it, NaN where none would have."""
    done = replicas["stop_step"].astype(float)
    share = done / replicas["steps_run"]
    examples = done * replicas["cost"] / replicas["step"]  # known of those that generalized
    by_objective = {"steps": done, "examples": examples}
    return by_objective[objective] if objective in by_objective else share * replicas[objective]


def comparison(judgements: pd.DataFrame) -> pd.DataFrame:
    """A row for our rules and one for each of Optuna's pruners; several studies are pooled.

    Counts: `replicas`, `stopped`, `doubtful` (stopped, but not at a cost over the limit, which is never
    wrong), `good`, `wrong` (stopped and good). `rate` is wrong over doubtful and `good_stopped` wrong over
    good, both with 95 % intervals. `saved` is the share of all FLOP.
    """
    return pd.DataFrame(
        {"pruner": name} | count_stops(judgements[judgements["pruner"] == name]) for name in (OURS, *PRUNERS)
    )


def by_rule(judgements: pd.DataFrame) -> pd.DataFrame:
    """The same with a row per rule that would have stopped an exempt replica; `saved` adds up over them."""
    ours = judgements[judgements["pruner"] == OURS]
    rules = sorted(set(ours["rule"].dropna()))
    return pd.DataFrame([{"rule": rule} | count_stops(_only(rule, ours)) for rule in rules])


def _only(rule: str, judgements: pd.DataFrame) -> pd.DataFrame:
    """The judgements had this rule been the only one."""
    own = judgements["rule"] == rule
    return judgements.assign(stopped=own, saved=judgements["saved"].where(own, 0.0))


def judge_stops(replicas: pd.DataFrame, stop_step: Iterable[float]) -> pd.DataFrame:
    """A row per replica: whether it was good, whether it was stopped, its FLOP and those after the stop.

    `stop_step` holds the step at which each would have been stopped, NaN where it would not.
    """
    step = pd.Series(np.asarray(stop_step, dtype=float), index=replicas.index)
    after = (replicas["steps_run"] - step).fillna(0) / replicas["steps_run"].clip(lower=1)
    limit = replicas["limit"].astype(float).fillna(np.inf)
    return pd.DataFrame(
        {
            "good": replicas["cost"].astype(float) <= limit,  # no cost: it did not generalize
            "stopped": step.notna(),
            "flops": replicas["flops"],
            "saved": after * replicas["flops"],
        }
    )


def count_stops(rows: pd.DataFrame) -> dict[str, float | int]:
    """The counts and shares of `comparison` from rows of `judge_stops`."""
    stopped, good = int(rows["stopped"].sum()), int(rows["good"].sum())
    wrong = int((rows["stopped"] & rows["good"]).sum())
    doubtful = stopped - int((rows["stopped"] & rows["rule"].eq(OVER_LIMIT)).sum())
    flops = rows["flops"].sum()
    return {
        "replicas": len(rows),
        "stopped": stopped,
        "doubtful": doubtful,
        "wrong": wrong,
        **dict(zip(("rate", "low", "high"), share(wrong, doubtful), strict=True)),
        "good": good,
        **dict(zip(("good_stopped", "good_low", "good_high"), share(wrong, good), strict=True)),
        "saved": float(rows["saved"].sum() / flops) if flops else np.nan,
    }


def share(count: int, total: int) -> tuple[float, float, float]:
    """A share and its 95 % interval (Wilson 1927, as in scipy); NaN where the total is 0."""
    if total == 0:
        return np.nan, np.nan, np.nan
    interval = scipy.stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    return count / total, float(interval.low), float(interval.high)


def _replayed(study: SearchTables, pruner: str) -> list[float]:
    generalized = study.exempt()["step"].astype(float).tolist()
    return stops(PRUNERS[pruner], study.exempt_curves(), generalized, study.budget)


def _keys(replicas: pd.DataFrame) -> list[tuple[int, int]]:
    return list(replicas[KEY].itertuples(index=False, name=None))
