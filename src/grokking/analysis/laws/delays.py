"""Laws of the delay between memorization and generalization: how it goes with rate, decay and norm."""

import numpy as np
import pandas as pd

from grokking.analysis.accelerated import accelerated
from grokking.analysis.laws.law import Found, Law
from grokking.analysis.results import short
from grokking.analysis.sweeps import axes_of

RATE, DECAY, FRACTION = "optimizer.learning_rate", "optimizer.weight_decay", "task.split.train_fraction"
NORM_LAW = "https://arxiv.org/abs/2603.13331"
FIRST_PASSAGE = "https://arxiv.org/abs/2605.18845"
REGIMES = "https://arxiv.org/abs/2605.20441"


def delayed(table: pd.DataFrame) -> pd.DataFrame:
    """Networks with decay that memorized before they generalized, if they did, with their `delay` in steps.

    Where a network did not generalize, the delay is censored at the budget.
    """
    observed = table["observed"].astype(bool)
    end = table["generalization_step"].where(observed, table["budget"]).astype(float)
    delay = end - table["memorization_step"].astype(float)
    kept = table[(delay > 0) & (table[DECAY] > 0) & ~table["diverged"].astype(bool)]
    return kept.assign(delay=delay[kept.index], observed=observed[kept.index])


class Exponent:
    """The power of one axis in the delay, all axes of the sweep in the regression."""

    def __init__(self, axis: str, low: float = 0.0, high: float = np.inf) -> None:
        """`low` and `high`: the values of the axis that count."""
        self.axis, self.low, self.high = axis, low, high

    def __call__(self, table: pd.DataFrame) -> Found:
        own = delayed(table)
        own = own[own[self.axis].between(self.low, self.high)]
        axes = [axis for axis in axes_of(own) if own[axis].nunique() > 1]
        logs = pd.DataFrame(np.log(own[axes].astype(float)), columns=axes)
        fit = accelerated(logs, own["delay"].to_numpy(float), own["observed"].to_numpy(bool))
        names = ", ".join(map(short, axes))
        return Found(
            *fit.interval(self.axis),
            cells=own.groupby(axes).ngroups,
            networks=len(own),
            censored=int((~own["observed"]).sum()),
            note=f"{fit.distribution} delays over {names}",
        )


def first_passage_error(table: pd.DataFrame) -> Found:
    """Mean absolute error, as a share, of ln(V_memorization / V*) / (2 κ η λ) as the delay of each cell.

    V is the squared norm. κ and V* are of one cell, the one with the median delay; the others are predicted.
    The interval is the middle 95 % over draws of the predicted cells.
    """
    own = delayed(table)
    own = own[own["observed"]]
    axes = axes_of(table)
    cells = own.groupby(axes).median(numeric_only=True).sort_values("delay").reset_index()
    cells = cells[cells["memorization_weight_norm"] > cells["generalization_weight_norm"]]
    if len(cells) < 3:
        return Found(np.nan, np.nan, np.nan, len(cells), len(own), 0, "too few cells whose norm falls")
    known = cells.iloc[len(cells) // 2]
    squared = cells["memorization_weight_norm"] ** 2 / known["generalization_weight_norm"] ** 2
    passage = np.log(squared.clip(lower=1)) / (2 * cells[RATE] * cells[DECAY])
    kappa = passage[known.name] / known["delay"]
    errors = (passage / kappa / cells["delay"] - 1).abs().drop(known.name).to_numpy()
    drawn = np.random.default_rng(0).choice(errors, (2000, len(errors))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Found(float(errors.mean()), float(low), float(high), len(errors), len(own), 0, "of cell medians")


MAPS = ("phases_mlp", "phases_transformer")
LAWS = (
    Law("delay over learning rate", "delay ∝ 1 / (η λ): exponent -1 of the learning rate", NORM_LAW,
        "learning_rate_exponent", (-1.0, -1.0), MAPS, Exponent(RATE)),
    Law("delay over weight decay", "delay ∝ 1 / (η λ): exponent -1 of the weight decay", NORM_LAW,
        "weight_decay_exponent", (-1.0, -1.0), MAPS, Exponent(DECAY)),
    Law("first passage of the norm",
        "delay = ln(V_memorized / V*) / 2 κ η λ, V = norm²: error 18 %", FIRST_PASSAGE,
        "first_passage_error", (0.0, 0.25), MAPS, first_passage_error),
    Law("weight decay from 0.1 to 2", "time-to-grok falls as λ^-0.757 (0.725 to 0.799) from 0.1 to 2",
        REGIMES, "weight_decay_exponent", (-0.799, -0.725), ("phases_transformer",),
        Exponent(DECAY, 0.1, 2.0)),
)  # fmt: skip
