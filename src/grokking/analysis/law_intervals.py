"""How well the numbers of a law over the training fraction are known, by profile likelihood."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import scipy

from grokking.analysis.censored import Likelihood
from grokking.analysis.fraction_law import FARTHEST, NEAREST, PLAIN, Law
from grokking.analysis.fraction_runs import Runs
from grokking.analysis.newton import maximise

Interval = tuple[float | None, float | None]  # None: the likelihood does not fall far enough that way
FACTOR, EXPONENT = 0, 1  # columns of the design


def intervals(runs: Runs, law: Law) -> dict[str, Interval]:
    """95 % intervals of a law that was fitted to these runs: factor, exponent and, if shifted, critical."""
    floor = law.log_likelihood - allowed_deviance(law) / 2
    if law.parameters == 3:
        factor, exponent = (_both(runs, PLAIN, column, floor) for column in (FACTOR, EXPONENT))
        return {"factor": _powers(factor), "exponent": exponent}
    far, near = gap_ends(runs, law, floor)
    factor, exponent = (_over_gaps(runs, column, floor, far, near) for column in (FACTOR, EXPONENT))
    low, high = (None if gap is None else runs.smallest * float(-np.expm1(gap)) for gap in (far, near))
    return {"factor": _powers(factor), "exponent": exponent, "critical": (low, high)}


def allowed_deviance(law: Law) -> float:
    """Twice the log-likelihood by which the ends of an interval lie below the best.

    It makes the intervals those of least squares, Student's, where nothing is censored; the 3.84 of
    chi-squared is too little for few events (Bates and Watts 1988, chapter 6).
    """
    free = law.events - (law.parameters - 1)
    return float(law.events * np.log1p(scipy.stats.t.ppf(0.975, free) ** 2 / free))


def column_end(runs: Runs, gap: float, column: int, side: int, floor: float) -> float:
    """How far down (-1) or up (1) log factor or exponent goes, with the floor or more of log-likelihood."""
    likelihood = runs.likelihood(np.array(gap))
    fit = maximise(likelihood)
    best, above = float(fit.coefficients_BC[column]), float(fit.log_likelihood_B) - floor
    if above <= 0:
        return best
    step = side * float(np.sqrt(2 * above * fit.covariance_BCC[column, column]))
    found = _end(lambda value: _height(held(likelihood, column, value)), floor, best, step, side * np.inf)
    return cast(float, found)  # the likelihood falls beyond all bounds


def gap_ends(runs: Runs, law: Law, floor: float) -> Interval:
    """The largest and the smallest logarithm of a gap with the floor or more of log-likelihood."""
    best = float(np.log1p(-law.critical / runs.smallest))
    far, near = (
        _end(lambda gap: _height(runs.likelihood(np.exp(gap))), floor, best, step, float(np.log(bound)))
        for step, bound in ((0.1, FARTHEST), (-0.1, NEAREST))
    )
    return far, near


def _height(likelihood: Likelihood) -> float:
    return float(maximise(likelihood).log_likelihood_B)


def held(likelihood: Likelihood, column: int, value: float) -> Likelihood:
    """The likelihood with one coefficient held at a value."""
    design = likelihood.design_BNC
    offset = value * design[..., column]
    return replace(likelihood, design_BNC=np.delete(design, column, axis=-1), offset_BN=offset)


def _both(runs: Runs, gap: float, column: int, floor: float) -> Interval:
    return column_end(runs, gap, column, -1, floor), column_end(runs, gap, column, 1, floor)


def _over_gaps(runs: Runs, column: int, floor: float, far: float | None, near: float | None) -> Interval:
    """The outermost ends over all gaps; an open end of the gap opens others, beyond the gaps that are tried.

    Far below all fractions the law is an exponential one, with exponent and factor beyond all bounds. Just
    below the smallest fraction it sets that one apart from the rest, which are alike: an exponent of 0.
    """
    gaps = np.log(NEAREST) if near is None else near, np.log(FARTHEST) if far is None else far
    low = _outermost(lambda gap: column_end(runs, np.exp(gap), column, -1, floor), -1, gaps)
    if near is None and column == EXPONENT:
        low = min(low, 0.0)
    if far is None:
        return low, None
    return low, _outermost(lambda gap: column_end(runs, np.exp(gap), column, 1, floor), 1, gaps)


def _outermost(end: Callable[[float], float], side: int, gaps: tuple[float, float]) -> float:
    found = scipy.optimize.minimize_scalar(
        lambda gap: -side * end(float(gap)), bounds=gaps, method="bounded", options={"xatol": 1e-5}
    )
    return float(-side * found.fun)


def _end(
    height: Callable[[float], float], floor: float, best: float, step: float, bound: float
) -> float | None:
    """Where a profile crosses the floor between the best and a bound; None if it does not."""
    inner = best
    while inner != bound:
        outer = inner + step if abs(step) < abs(bound - inner) else bound
        if height(outer) < floor:
            near = 1e-6 * abs(step)
            return float(scipy.optimize.brentq(lambda value: height(value) - floor, inner, outer, xtol=near))
        inner, step = outer, 2 * step
    return None


def _powers(ends: Interval) -> Interval:
    low, high = (None if end is None else float(np.exp(end)) for end in ends)
    return low, high
