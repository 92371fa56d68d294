"""Experiments that were trained, as they lie on disk."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from grokking.storage import runs
from grokking.storage.runs import Run


def trained(folders: Mapping[str, Path]) -> dict[str, Run]:
    """Each run that is there, by its name; more of its replicas may still have to be trained."""
    return {name: runs.read(folder) for name, folder in folders.items() if runs.exists(folder)}


def replica_tables(folders: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    """The replicas of each run that is there."""
    return {name: run.replicas for name, run in trained(folders).items()}
