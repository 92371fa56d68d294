"""What becomes of a network: it confuses, collapses, memorizes, groks, or generalizes without delay.

The names of Liu et al. 2022 (https://arxiv.org/abs/2205.10343), whose comprehension is generalization without
delay, and collapse beside them.
"""

import pandas as pd

from grokking.analysis.results import GROKKING_RATIO

COMPREHENSION, GROKKING, MEMORIZATION = "generalization without delay", "grokking", "memorization"
CONFUSION, COLLAPSE = "confusion", "collapse"
PHASES = {  # with what each means
    COMPREHENSION: f"generalized before {GROKKING_RATIO} times its memorization",
    GROKKING: f"generalized, at {GROKKING_RATIO} times its memorization or later",
    MEMORIZATION: "memorized, and did not generalize within the budget",
    CONFUSION: "did not memorize within the budget",
    COLLAPSE: "diverged, or ended with less than half of its training equations right after it had more than "
    "nine tenths of them, or with weights below a tenth of their initial norm",
}
FORGOTTEN, HAD_LEARNED, VANISHED = 0.5, 0.9, 0.1


def phases(networks: pd.DataFrame) -> pd.Series:
    """The phase of each network, from a sweep's table with a row per network."""
    return networks.apply(phase, axis=1)


def phase(network: pd.Series) -> str:
    """The phase of one network."""
    if network["observed"]:
        delayed = network["generalization_step"] >= GROKKING_RATIO * network["memorization_step"]
        return GROKKING if delayed else COMPREHENSION
    if network["diverged"] or _collapsed(network):
        return COLLAPSE
    return CONFUSION if pd.isna(network["memorization_step"]) else MEMORIZATION


def of_cells(networks: pd.DataFrame, axes: list[str]) -> pd.Series:
    """The phase that most networks of each cell are in; of equally many, the one later in `PHASES`."""
    order = list(PHASES)

    def most(found: pd.Series) -> str:
        counts = found.value_counts()
        return max(counts.index, key=lambda name: (counts[name], order.index(name)))

    return phases(networks).groupby([networks[axis] for axis in axes], dropna=False).agg(most)


def _collapsed(network: pd.Series) -> bool:
    learned = network["best_train_accuracy"] > HAD_LEARNED
    vanished = network["final_weight_norm"] < VANISHED * network["initial_weight_norm"]
    return bool(network["final_train_accuracy"] < FORGOTTEN and (learned or vanished))
