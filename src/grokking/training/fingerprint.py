"""One hash of everything that determines the results of some replicas."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numba
import pandas as pd
import torch

from grokking.data.tasks import Task
from grokking.experiment import Replica


def fingerprint(replicas: list[Replica], task: Task) -> str:
    """Hash of configuration, seeds, data, the core's code, and the versions of torch and Numba."""
    digest = hashlib.sha256(f"{torch.__version__} {numba.__version__}".encode())
    for replica in replicas:
        digest.update(json.dumps(replica.row(), sort_keys=True).encode())
    for table in (task.equations, task.splits):
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    for source in sorted(_core_sources()):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


def _core_sources() -> Iterable[Path]:
    package = Path(__file__).parents[1]
    yield from (package / "config.py", package / "experiment.py")
    for part in ("ops", "data", "updates", "models", "engine", "training"):
        yield from (package / part).glob("*.py")
