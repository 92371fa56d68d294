"""Controls: networks that cannot generalise, or have to in spite of something."""

import pandas as pd

from grokking.analysis.results import median_and_range, summary

CLEAN, CORRUPTED = "final_train_accuracy/clean", "final_train_accuracy/corrupted"


def control_table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per control: when it generalised, if ever, and the accuracies it ended with (medians)."""
    return pd.DataFrame([_row(name, replicas) for name, replicas in tables.items()])


def _row(name: str, replicas: pd.DataFrame) -> dict[str, str]:
    found = summary(replicas)
    return {
        "control": f"`{name}`",
        "generalised": f"{found['generalized']} of {found['n']}",
        "median (range)": median_and_range(found),
        "validation": _accuracy(replicas, "final_validation_accuracy"),
        "training": _accuracy(replicas, "final_train_accuracy"),
        "of it clean": _accuracy(replicas, CLEAN),
        "of it corrupted": _accuracy(replicas, CORRUPTED),
    }


def _accuracy(replicas: pd.DataFrame, column: str) -> str:
    return f"{replicas[column].median():.3f}" if column in replicas else "—"
