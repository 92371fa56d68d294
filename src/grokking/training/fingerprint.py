"""What determines the results of a replica: its inputs and the core's code, each as one hash."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numba
import pandas as pd
import torch

from grokking.data.tasks import Task
from grokking.experiment import Replica

PACKAGE = Path(__file__).parents[1]
ACCEPTED = PACKAGE / "training" / "accepted_code.json"  # written by `make accept`
CORE_PACKAGES = ("ops", "data", "updates", "models", "engine", "training")
SETTINGS = "executors/process_settings.py"  # how a process rounds the smallest numbers
# All of the core, within the package
CORE = ("config.py", "experiment.py", SETTINGS, *(f"{name}/*.py" for name in CORE_PACKAGES))


def input_hash(replica: Replica, task: Task) -> str:
    """Hash of a replica's configuration, seeds and data; its number within the experiment is none of them."""
    row = {name: value for name, value in replica.row().items() if name != "replica"}
    digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode())
    for table in (task.equations, task.splits[[str(replica.split_seed)]]):
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


@cache
def code_hash() -> str:
    """Hash of the core's code and of the versions of torch, whether built for a GPU or not, and Numba."""
    digest = hashlib.sha256(f"{torch.__version__.partition('+')[0]} {numba.__version__}".encode())
    for source in sorted(file for part in CORE for file in PACKAGE.glob(part)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def same_code() -> set[str]:
    """Hashes of code that computes the same bits: the present one, and those accepted as equal to it."""
    accepted = json.loads(ACCEPTED.read_text())
    return {code_hash(), *(accepted["equal"] if accepted["code"] == code_hash() else ())}


def fingerprint(replicas: list[Replica], task: Task) -> str:
    """One hash for all that determines the results of some replicas."""
    return combined((replica.index, input_hash(replica, task), code_hash()) for replica in replicas)


def combined(parts: Iterable[tuple[int, str, str]]) -> str:
    """One hash of the numbers of some replicas, their inputs and the code that trains each."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:32]
