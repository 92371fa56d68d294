"""What each fast op gains: our step with the op's plain twin in its place, all others fast."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from statistics import median
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pandas as pd
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.ours import make_stack
from benchmarks.page import Section
from benchmarks.timing import Settings, Timed

# What is made plain, and where a module asks the switch about it: in `is_fast`, or in the package `ops`
OPS = {
    "dense layers": ("grokking.ops.mlp", "is_fast"),
    "loss": ("grokking.updates.losses", "ops"),
    "Adam": ("grokking.updates.optimizers", "ops"),
    "shared rows": ("grokking.models.transformer", "ops"),
}

NOTE = """
How many times as long a step takes with the plain twin of one op, all others fast; they take turns. *Dense
layers* is `ops/mlp.py` with its kernels, *loss* `ops/losses.py`, *Adam* `updates/optimizers.py`, *shared
rows* `models/shared_prefix.py`, a transformer's rows that examples have in common. A dash: the network has
no such op. System 0's passes by hand in NumPy are no op: they are what its author wrote.
"""


def measure(cases: list[Case], settings: Settings) -> Section:
    """One row per case; on a GPU all ops are plain, and there is nothing to compare."""
    rows = [] if settings.device != "cpu" else [_row(case, settings) for case in cases]
    return Section("What each fast op gains", pd.DataFrame(rows), NOTE)


def _row(case: Case, settings: Settings) -> dict[str, str]:
    timed = Timed(make_stack([case.replica], case.task, settings.device).update)
    ratios = {op: f"{_ratio(timed, op, settings):.2f}" if has(case, op) else "—" for op in OPS}
    return {"case": f"`{case.name}`"} | ratios


def _ratio(timed: Timed, op: str, settings: Settings) -> float:
    """The median of the turns' own ratios."""
    ratios = []
    for _ in range(settings.rounds):
        fast = timed.seconds_per_step(settings.seconds)
        with made_plain(op):
            ratios.append(timed.seconds_per_step(settings.seconds) / fast)
    return median(ratios)


def has(case: Case, op: str) -> bool:
    """Whether training the case runs this op. System 0 multiplies by NumPy, and its optimizer is SGD."""
    config = case.replica.config
    transformer = config.model.family == "transformer"
    return {
        "dense layers": not (transformer or case.is_numpy),
        "loss": True,
        "Adam": config.optimizer.name.startswith("adam"),
        "shared rows": transformer,
    }[op]


@contextmanager
def made_plain(op: str) -> Iterator[None]:
    """Run the plain twin of one op."""
    name, asked = OPS[op]
    module: Any = import_module(name)
    answer: Any = SimpleNamespace(**vars(module.ops) | {"is_fast": _never}) if asked == "ops" else _never
    with patch.object(module, asked, answer):
        yield


def _never(tensor: Tensor) -> bool:
    return False
