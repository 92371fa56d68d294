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
    COLLAPSE: "diverged, or ended with hardly more training equations right than by chance, or with less "
    "than half of them after it had more than nine tenths",
}
FORGOTTEN, HAD_LEARNED = 0.5, 0.9
NEAR_CHANCE = 3  # times the accuracy of a guess


def phases(networks: pd.DataFrame) -> pd.Series:
    """The phase of each network, from a sweep's table with a row per network."""
    return networks.apply(phase, axis=1)


def phase(network: pd.Series) -> str:
    """The phase of one network."""
    memorized = not pd.isna(network["memorization_step"])
    if network["observed"]:
        at_least = GROKKING_RATIO * network["memorization_step"] if memorized else float("inf")
        return GROKKING if network["generalization_step"] >= at_least else COMPREHENSION
    if network["diverged"] or _collapsed(network):
        return COLLAPSE
    return MEMORIZATION if memorized else CONFUSION


def of_cells(networks: pd.DataFrame, axes: list[str]) -> pd.Series:
    """The phase that most networks of each cell are in; of equally many, the one later in `PHASES`."""
    order = list(PHASES)

    def most(found: pd.Series) -> str:
        counts = found.value_counts()
        return max(counts.index, key=lambda name: (counts[name], order.index(name)))

    return phases(networks).groupby([networks[axis] for axis in axes], dropna=False).agg(most)


def _collapsed(network: pd.Series) -> bool:
    accuracy = network["final_train_accuracy"]
    forgotten = accuracy < FORGOTTEN and network["best_train_accuracy"] > HAD_LEARNED
    return bool(forgotten or accuracy < NEAR_CHANCE / network["task.classes"])
