"""How many replicas a machine trains per second: in processes, on threads, in one batch."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

import pandas as pd

from benchmarks.cases import Case, prepare
from benchmarks.machine import cores
from benchmarks.process import prepare_process
from benchmarks.timing import Settings, seconds, steps_per_block
from grokking.training.loop import learner

LONGEST_STEP = 3.0  # seconds; what takes longer is left out
ROUNDS = 3  # at most: a step of many replicas is long


@dataclass(frozen=True)
class Way:
    processes: int
    threads: int  # of each process
    replicas: int  # in each process's stack


def ways(device: str) -> list[Way]:
    """On the CPU every way to use its cores; on a GPU one stack of more and more replicas."""
    if device == "cuda":
        return [Way(1, 1, replicas) for replicas in (1, 4, 16, 64, 256, 1024)]
    stacked = [Way(1, 1, replicas) for replicas in (1, 4, 16, 64)]
    return list(dict.fromkeys([*stacked, Way(1, cores(), 1), Way(cores(), 1, 1)]))


def measure(cases: list[Case], settings: Settings) -> pd.DataFrame:
    """Replica-steps per second: a row per way, a column per case with torch."""
    columns = {f"`{case.name}`": _column(case, settings) for case in cases if not case.by_hand}
    names = ["processes", "threads each", "replicas each"]
    rows = [(str(w.processes), str(w.threads), str(w.replicas)) for w in ways(settings.device)]
    return pd.DataFrame(rows, columns=names).assign(**columns)


def _column(case: Case, settings: Settings) -> list[str]:
    rates = [_rate(case, way, settings) for way in ways(settings.device)]
    return ["—" if rate is None else f"{rate:,.0f} ({rate / rates[0]:.2f})" for rate in rates]
