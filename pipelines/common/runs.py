"""Experiments that were trained, as they lie on disk."""

from pathlib import Path

import pandas as pd

from grokking.catalogue import Catalogue
from grokking.config import ConfigError
from pipelines.common.paths import RUNS


def run_folder(catalogue: Catalogue, name: str) -> Path:
    """The folder of a trained experiment."""
    folder = RUNS / catalogue.group(name) / name
    if not (folder / "run.json").exists():
        raise ConfigError(f"{folder} holds no run; run `dvc repro train@{name}` first")
    return folder


def replica_tables(folders: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """The replicas of each run that is there, by its name."""
    there = {name: folder for name, folder in folders.items() if (folder / "run.json").exists()}
    return {name: pd.read_parquet(folder / "replicas.parquet") for name, folder in there.items()}
