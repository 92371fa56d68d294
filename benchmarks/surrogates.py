"""Which early sign tells best when a network will generalize? All networks were trained to their ends.

    python -m benchmarks.surrogates [--write]

A search has to rank trials that have not generalized when they end. Here the trials of each workload of the
benchmark are cut off at a part of their budget, and what they were by then is compared with when they
generalized.
"""

import argparse
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, somersd, wilcoxon

from benchmarks import page
from benchmarks.pruners import CURVES_PAGE, ROOT, tuned_trials
from grokking.leaderboard.curves import NETWORK, all_curves
from grokking.leaderboard.table import open_benchmark

PARTS = {"at 1/8 of the budget": 1 / 8, "at 1/4": 1 / 4, "at 1/2": 1 / 2}  # where training is cut off
COMPARED = "at 1/4"
RECENT = 2 / 3  # of the steps: from there on a slope is measured
OURS = "validation loss over its peak"
NOTE = f"""
All networks of tuned rules that have not generalized where training is cut off. A figure is the share of
pairs of them that a sign puts in the right order: 50 % is chance. In a pair both have the same rule and
workload, and at least one generalizes within the budget. What is smaller counts as nearer, of accuracy what
is larger. Figures are means over rules and then over workloads and variants, with a 95 % interval over
these (bootstrap); a workload and its variant share a network, so they are not independent. *Against the
first* is said of the column *{COMPARED}* and the row *{OURS}*, which is what a [study](search.md#a-trial)
takes, together with R_sum, which these curves do not have. p is of Wilcoxon's signed-rank test over
workloads, two-sided, not corrected for the number of rows. *Falls*: the logarithm of the last value over
that after two thirds of the steps. `python -m benchmarks.surrogates --write` makes this table.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surrogates", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/curves.md")
    options = parser.parse_args(arguments)
    shares = all_shares(tuned_trials(all_curves(open_benchmark(ROOT))))
    text = "\n".join(["## What tells early when a network generalizes\n", markdown(shares), NOTE])
    print(text)
    if options.write:
        page.write(text, "surrogates", "the committed curves", CURVES_PAGE)


def fall(values: pd.Series, steps: pd.Series) -> float:
    """The log of the last value over that after RECENT of the steps; negative where it falls."""
    before = values[steps <= RECENT * steps.iloc[-1]]
    return float(np.log(values.iloc[-1] / before.iloc[-1]))


# The beginning of a curve -> a number that is smaller where generalization should be nearer
SIGNS: dict[str, Callable[[pd.DataFrame], float]] = {
    OURS: lambda run: run["validation_loss"].iloc[-1] / run["validation_loss"].max(),
    "validation loss": lambda run: run["validation_loss"].iloc[-1],
    "validation loss falls": lambda run: fall(run["validation_loss"], run["step"]),
    "validation accuracy": lambda run: -run["validation_accuracy"].iloc[-1],
    "training loss": lambda run: run["train_loss"].iloc[-1],
    "step of memorization": lambda run: run["memorization_step"].iloc[0],
    "weight norm": lambda run: run["weight_norm"].iloc[-1],
    "weight norm falls": lambda run: fall(run["weight_norm"], run["step"]),
}


def all_shares(curves: pd.DataFrame) -> pd.DataFrame:
    """A row per workload, cut and sign: the share of pairs in the right order."""
    rows = []
    for workload, runs in curves.groupby("workload"):
        budget = int(runs["budget"].min())
        for name, part in PARTS.items():
            found = _shares_of(signs_at(runs, part * budget, budget))
            rows += [
                {"workload": workload, "cut": name, "sign": sign, "share": found[sign]} for sign in SIGNS
            ]
    return pd.DataFrame(rows).dropna()


def signs_at(curves: pd.DataFrame, cut: float, budget: int) -> pd.DataFrame:
    """A row per network that has not generalized by step `cut`: its rule, its signs there, when it does.

    Infinite where it does not within the budget, has not memorized by then, or a sign is no number.
    """
    curves = curves.assign(
        memorization_step=curves["memorization_step"].where(curves["memorization_step"] <= cut, math.inf),
        generalization_step=curves["generalization_step"].where(
            curves["generalization_step"] <= budget, math.inf
        ),
    )
    runs = curves[(curves["step"] <= cut) & (curves["generalization_step"] > cut)].groupby(NETWORK)
    with np.errstate(divide="ignore", invalid="ignore"):  # losses of networks that diverged
        rows = [
            {"rule": run["rule"].iloc[0], "step": run["generalization_step"].iloc[0]}
            | {sign: of(run) for sign, of in SIGNS.items()}
            for _, run in runs
        ]
    return pd.DataFrame(rows, columns=["rule", "step", *SIGNS]).fillna(math.inf)


def _shares_of(networks: pd.DataFrame) -> pd.Series:
    """The mean over rules, of those with a pair to compare."""
    rules = [rows for _, rows in networks.groupby("rule") if rows["step"].nunique() > 1]
    found = [{sign: share(rows["step"], rows[sign]) for sign in SIGNS} for rows in rules]
    return pd.DataFrame(found, columns=[*SIGNS]).mean()


def share(step: pd.Series, sign: pd.Series) -> float:
    """Of the pairs with different steps, the share whose signs are in the same order; half of each tie."""
    if sign.nunique() == 1:
        return 0.5
    return float((somersd(step, sign).statistic + 1) / 2)


def markdown(shares: pd.DataFrame) -> str:
    """A row per sign, ours first, then the best first."""
    means = shares[shares["cut"] == COMPARED].groupby("sign")["share"].mean()
    order = [OURS, *means.drop(OURS).sort_values(ascending=False).index]
    rows = [_row(sign, shares) for sign in order]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _row(sign: str, shares: pd.DataFrame) -> dict[str, str]:
    own = shares[shares["sign"] == sign].groupby("cut")["share"]
    against = "—" if sign == OURS else difference(shares, sign)
    return {"sign": sign} | {cut: _mean(own.get_group(cut)) for cut in PARTS} | {"against the first": against}


def _mean(values: pd.Series) -> str:
    interval = bootstrap([values], np.mean, rng=0).confidence_interval
    return f"{values.mean():.0%} ({interval.low:.0%}–{interval.high:.0%})"


def difference(shares: pd.DataFrame, sign: str) -> str:
    """On how many workloads a sign is better and worse than ours, with p."""
    wide = shares[shares["cut"] == COMPARED].pivot(index="workload", columns="sign", values="share")
    gain = (wide[sign] - wide[OURS]).round(9)  # a difference in the last digits is none
    counts = f"better on {(gain > 0).sum()}, worse on {(gain < 0).sum()} of {len(gain)}"
    return f"{counts}, p = {wilcoxon(gain).pvalue:.2g}"


if __name__ == "__main__":
    main()
