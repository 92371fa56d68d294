"""What training hands out: evaluations, and the observations that a stop rule decides by."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grokking.experiment import Replica

Parameters = dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """One replica at one step; `parameters` where a snapshot was taken."""

    replica: int  # its index in the experiment
    step: int
    seconds: float  # of updates so far, those of all replicas of the stack; evaluations do not count
    processor: str  # the CPU or GPU that they were measured on
    metrics: dict[str, float]
    parameters: Parameters | None
    finished: bool  # the replica's last evaluation


@dataclass(frozen=True)
class Observation:
    """One replica at one step, as a stop rule sees it."""

    replica: Replica
    step: int
    seconds: float
    metrics: dict[str, float]
    parameters: Callable[[], Parameters]  # makes a copy of them, so only where they are needed
