"""Tests of whether two groups take the same time, for replicas in pairs and for many comparisons."""

# N pairs, S swaps

import numpy as np

ENUMERATED = 12  # pairs up to which all swaps are tried
SWAPS = 10_000  # tried at random of more pairs
SEED = 0


def paired_logrank_p(
    times: np.ndarray, observed: np.ndarray, times2: np.ndarray, observed2: np.ndarray
) -> float:
    """Two-sided p-value that both replicas of a pair, as of one split and seed, take the same time.

    Times as in `survival`, in the same order in both groups. The statistic is the log-rank test's, observed
    less expected events of the first group; it is compared with those after swaps within pairs, of which all
    are equally likely if the groups do not differ.
    """
    if len(times) != len(times2):
        raise ValueError(f"pairs need groups of one size, but got {len(times)} and {len(times2)} replicas")
    score_2N = _scores(np.append(times, times2), np.append(observed, observed2)).reshape(2, -1)
    half_N = (score_2N[0] - score_2N[1]) / 2
    every = len(half_N) <= ENUMERATED
    found_S = np.abs(_signs(len(half_N), every) @ half_N)
    extreme = np.sum(found_S >= abs(half_N.sum()) - 1e-9)
    # random swaps are beside the one that was seen
    return float(extreme / len(found_S) if every else (1 + extreme) / (1 + len(found_S)))


def _scores(times: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Log-rank scores: events less those expected of each, by the hazard of all; a group's sum is O - E.

    Nelson-Aalen's cumulative hazard up to each time, with all who had not had the event before an event's.
    """
    events = np.unique(times[observed])
    hazard = np.array([np.sum(observed & (times == t)) / np.sum(times >= t) for t in events])
    return observed - np.append(0.0, np.cumsum(hazard))[np.searchsorted(events, times, side="right")]


def _signs(pairs: int, every: bool) -> np.ndarray:
    """Swaps, +1 or -1 for each pair (S, N): all there are, or as many at random from a fixed seed."""
    if every:
        swapped = np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1
    else:
        swapped = np.random.default_rng(SEED).integers(0, 2, (SWAPS, pairs))
    return 1 - 2 * swapped


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values corrected for their number (Holm 1979): compare each with 0.05 still."""
    from statsmodels.stats.multitest import multipletests  # slow to import

    return np.asarray(multipletests(p_values, method="holm")[1])
