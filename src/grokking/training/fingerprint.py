"""One hash of everything that determines the results of some replicas."""

import hashlib
import json
from pathlib import Path

import numba
import pandas as pd
import torch

from grokking.data.tasks import Task
from grokking.experiment import Replica

PARTS = ("ops", "data", "updates", "models", "engine", "training")
CORE = ("config.py", "experiment.py", *(f"{part}/*.py" for part in PARTS))  # within the package


def fingerprint(replicas: list[Replica], task: Task) -> str:
    """Hash of configuration, seeds, data, the core's code, and the versions of torch and Numba."""
    digest = hashlib.sha256(f"{torch.__version__} {numba.__version__}".encode())
    for replica in replicas:
        digest.update(json.dumps(replica.row(), sort_keys=True).encode())
    for table in (task.equations, task.splits):
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    package = Path(__file__).parents[1]
    core = [file for part in CORE for file in package.glob(part)]
    for source in sorted(core):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]
