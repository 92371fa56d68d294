"""What the figures were measured on."""

import os
import re

import pandas as pd
import torch
from threadpoolctl import threadpool_info

from benchmarks.cases import Case
from benchmarks.timing import Settings
from grokking.training import history

NO_GPU = "none here; figures for GPUs are yet to be measured"
NOTE = """
Everything on one thread unless a table says otherwise. Plain loops and ours run with the same settings of
the memory allocator, those of the engine's workers.
"""


def measure(cases: list[Case], settings: Settings) -> pd.DataFrame:
    """One row per fact."""
    facts = history.machine()
    rows = {
        "processor": facts["processor"],
        "cores": str(cores()),
        "load": load(),
        "torch": f"{facts['torch']}, BLAS: {_torch_blas()}",
        "NumPy's BLAS": ", ".join(f"{blas['internal_api']} {blas['version']}" for blas in _loaded_blas()),
        "GPU": facts["gpu"] or NO_GPU,
        "measured on": settings.device,
    }
    return pd.DataFrame(rows.items(), columns=["machine", ""])


def cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def load() -> str:
    """How busy others keep the machine; nothing has been measured yet."""
    return f"{os.getloadavg()[0]:.1f} processes at work in the minute before"


def _torch_blas() -> str:
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found[1] if found else "unknown"


def _loaded_blas() -> list[dict[str, str]]:
    """Shared libraries only; torch's own may be part of it."""
    return [library for library in threadpool_info() if library["user_api"] == "blas"]
