"""How often the pruning rules would have been wrong, by the replicas that no rule may stop.

A stop is wrong if the replica went on to generalise at a cost not above the limit it was raced against, or
at any cost where there was no limit yet. Such a replica is called good, so the wrong stops are the good
replicas that were stopped. A stop saves the updates that came after it.

Exempt are trials: seeds that do not follow because the first one cost too much are no stop, and not counted.
Intervals take replicas as independent, which the seeds of one trial are only in part.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from grokking.search.replay import PRUNERS, stops

OURS = "rules"
KEY = ["trial", "seed_number"]


@dataclass(frozen=True)
class SearchTables:
    """The search of one study; other arms are left out."""

    name: str
    budget: int  # updates of a replica
    trials: pd.DataFrame
    replicas: pd.DataFrame
    curves: pd.DataFrame

    @classmethod
    def of(cls, name: str, budget: int, *tables: pd.DataFrame) -> Self:
        """From the tables trials, replicas and curves of all arms."""
        return cls(name, budget, *(table[table["arm"] == "search"] for table in tables))

    @classmethod
    def read(cls, folder: Path, budget: int) -> Self:
        """From the files of the stage `search`."""
        tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("trials", "replicas", "curves"))
        return cls.of(folder.name, budget, *tables)

    def exempt(self) -> pd.DataFrame:
        """The replicas that no rule may stop, in the order of their trials."""
        exempt = self.trials.loc[self.trials["exempt"], "trial"]
        return self.replicas[self.replicas["trial"].isin(exempt)].sort_values(KEY, ignore_index=True)

    def exempt_curves(self) -> list[pd.DataFrame]:
        """The evaluations of each exempt replica."""
        by_replica = dict(iter(self.curves.groupby(KEY)))
        return [by_replica[key].sort_values("step") for key in _keys(self.exempt())]


def judgements(study: SearchTables) -> pd.DataFrame:
    """A row per exempt replica for our rules and for each of Optuna's pruners, as in `judged`.

    Columns `pruner` and `rule` beside: of our rules the one that would have stopped it.
    """
    exempt = study.exempt()
    ours = judged(exempt, exempt["stop_step"]).assign(pruner=OURS, rule=exempt["stopped_by"])
    replayed = [judged(exempt, _replayed(study, name)).assign(pruner=name) for name in PRUNERS]
    return pd.concat([ours, *replayed], ignore_index=True)


def comparison(judgements: pd.DataFrame) -> pd.DataFrame:
    """A row for our rules and one for each of Optuna's pruners; of several studies they are pooled.

    `replicas`, of them `stopped`, of these `wrong`: share `rate` with its 95 % interval `low` to `high`.
    Of the `good` replicas the share `good_stopped`, `good_low` to `good_high`. `saved`: share of the FLOP.
    """
    of = {name: judgements[judgements["pruner"] == name] for name in (OURS, *PRUNERS)}
    return pd.DataFrame([{"pruner": name} | counted(rows) for name, rows in of.items()])


def by_rule(judgements: pd.DataFrame) -> pd.DataFrame:
    """A row per rule that would have stopped an exempt replica, as in `comparison`.

    `saved` adds up over the rules: it is of the FLOP of all exempt replicas.
    """
    ours = judgements[judgements["pruner"] == OURS]
    return pd.DataFrame(
        [{"rule": rule} | counted(_by(rule, ours)) for rule in sorted(set(ours["rule"].dropna()))]
    )


def _by(rule: str, judgements: pd.DataFrame) -> pd.DataFrame:
    """The same replicas, had this rule been the only one."""
    own = judgements["rule"] == rule
    return judgements.assign(stopped=own, saved=judgements["saved"].where(own, 0.0))


def judged(replicas: pd.DataFrame, stop_step: Iterable[float]) -> pd.DataFrame:
    """A row per replica: whether it was good, whether it was stopped, its FLOP and those after the stop.

    `stop_step` is of each replica the step at which it would have been stopped, NaN where it would not.
    """
    step = pd.Series(np.asarray(stop_step, dtype=float), index=replicas.index)
    after = (replicas["steps_run"] - step).fillna(0) / replicas["steps_run"].clip(lower=1)
    limit = replicas["limit"].astype(float).fillna(np.inf)
    return pd.DataFrame(
        {
            "good": replicas["cost"].astype(float) <= limit,  # no cost: it did not generalise
            "stopped": step.notna(),
            "flops": replicas["flops"],
            "saved": after * replicas["flops"],
        }
    )


def counted(rows: pd.DataFrame) -> dict[str, float | int]:
    """The counts and shares of `comparison` from rows of `judged`."""
    stopped, good = int(rows["stopped"].sum()), int(rows["good"].sum())
    wrong = int((rows["stopped"] & rows["good"]).sum())
    flops = rows["flops"].sum()
    return {
        "replicas": len(rows),
        "stopped": stopped,
        "wrong": wrong,
        **dict(zip(("rate", "low", "high"), share(wrong, stopped), strict=True)),
        "good": good,
        **dict(zip(("good_stopped", "good_low", "good_high"), share(wrong, good), strict=True)),
        "saved": float(rows["saved"].sum() / flops) if flops else np.nan,
    }


def share(count: int, total: int) -> tuple[float, float, float]:
    """A share and its 95 % interval (Wilson 1927, as in scipy); NaN of nothing."""
    if total == 0:
        return np.nan, np.nan, np.nan
    interval = binomtest(count, total).proportion_ci(0.95, method="wilson")
    return count / total, float(interval.low), float(interval.high)


def _replayed(study: SearchTables, pruner: str) -> list[float]:
    generalised = study.exempt()["step"].astype(float).tolist()
    return stops(PRUNERS[pruner], study.exempt_curves(), generalised, study.budget)


def _keys(replicas: pd.DataFrame) -> list[tuple[int, int]]:
    return list(replicas[KEY].itertuples(index=False, name=None))
