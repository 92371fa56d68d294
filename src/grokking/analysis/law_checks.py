"""Does a law over the training fraction hold for other seeds, and for fractions it was not fitted to?"""

import numpy as np
import pandas as pd

from grokking.analysis.fraction_law import LAWS
from grokking.analysis.fraction_runs import Runs
from grokking.analysis.survival import median


def bootstrap(runs: Runs, law: str, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Factor, exponent and critical fraction, refitted with replicas drawn again within each fraction.

    A row for each draw; nan where a draw has too few events for a law. Quantiles are intervals over seeds.
    """
    groups = [np.flatnonzero(runs.fractions == fraction) for fraction in np.unique(runs.fractions)]
    if min(map(len, groups)) < 2:
        raise ValueError("a bootstrap over seeds needs two replicas at each training fraction: train more")
    random = np.random.default_rng(seed)
    return pd.DataFrame([_drawn(runs, law, groups, random) for _ in range(draws)])


def _drawn(runs: Runs, law: str, groups: list[np.ndarray], random: np.random.Generator) -> dict[str, float]:
    rows = np.concatenate([random.choice(group, len(group)) for group in groups])
    try:
        found = LAWS[law](runs.take(rows))
    except ValueError:
        return dict.fromkeys(("factor", "exponent", "critical"), float("nan"))
    return {"factor": found.factor, "exponent": found.exponent, "critical": found.critical}


def leave_one_fraction_out(runs: Runs) -> pd.DataFrame:
    """Each fraction's Kaplan-Meier median, predicted by both laws fitted to the other fractions.

    Columns law, fraction, predicted, observed and error = log10(predicted / observed), which is inf where a
    law says never. Fractions that have no median are not predicted.
    """
    rows = [
        {"law": law, "fraction": fraction, "predicted": predicted, "observed": observed}
        for fraction in np.unique(runs.fractions)
        for observed in [_median(runs, fraction)]
        if observed is not None
        for law in LAWS
        for predicted in [float(LAWS[law](runs.take(runs.fractions != fraction)).predict(fraction))]
    ]
    table = pd.DataFrame(rows)
    return table.assign(error=np.log10(table["predicted"] / table["observed"]))


def score(left_out: pd.DataFrame) -> dict[str, float]:
    """Root mean square error of each law's predictions, in decades."""
    return {str(law): float(np.sqrt(np.mean(part["error"] ** 2))) for law, part in left_out.groupby("law")}


def _median(runs: Runs, fraction: float) -> float | None:
    here = runs.fractions == fraction
    return median(runs.times[here], runs.observed[here])
