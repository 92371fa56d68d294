"""Experiments that were trained, as they lie on disk."""

from pathlib import Path

import pandas as pd

from grokking.storage import runs


def replica_tables(folders: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """The replicas of each run that is there, by its name; more of them may still have to be trained."""
    return {name: runs.read(folder).replicas for name, folder in folders.items() if runs.exists(folder)}
