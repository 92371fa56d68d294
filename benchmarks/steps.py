"""A step of the engine beside a step of the plain loop."""

from dataclasses import dataclass
from operator import truediv
from statistics import median

import pandas as pd

from benchmarks import flops, plain
from benchmarks.cases import Case
from benchmarks.timing import Settings, Timed, sgemm_peaks
from grokking.training.loop import learner

NOTE = """
The plain loop, `benchmarks/plain.py`, is the same network and batch as one would write it with PyTorch, or
with NumPy where the family is. Plain and ours take turns. Milliseconds are the median over rounds and in
brackets the smallest; plain / ours is the median of the rounds' own ratios. GFLOP counts the matrix
products that the engine runs in one step, forward and backward (`benchmarks/flops.py`), and GFLOP/s are of
ours. The sgemm peaks, in GFLOP/s, are of square float32 matrices, the best of three sizes, measured again in
each round: that of torch.mm, which makes the plain loop's products, and that of the library which makes ours
(`models/products.py`). The loss is in float64 in ours, as params.yaml has it, and in float32 in the plain
loop.
"""


@dataclass(frozen=True)
class Round:
    """One turn of each, of the same minute."""

    plain: float  # seconds per step
    ours: float  # seconds per step
    peaks: list[float]  # FLOP/s of torch.mm, and of the library that ours takes


def measure(cases: list[Case], settings: Settings) -> pd.DataFrame:
    """One row per case."""
    return pd.DataFrame([_row(case, _rounds(case, settings)) for case in cases])


def _rounds(case: Case, settings: Settings) -> list[Round]:
    plainly = Timed(plain.loop(case, settings.device).update, settings)
    ours = Timed(learner([case.replica], case.task, settings.device).update, settings)
    return [
        Round(plainly.seconds_per_step(), ours.seconds_per_step(), sgemm_peaks(settings.device))
        for _ in range(settings.rounds)
    ]


def _row(case: Case, rounds: list[Round]) -> dict[str, str]:
    operations = flops.per_step(case)
    rates = [operations / turn.ours for turn in rounds]
    peaks = list(zip(*(turn.peaks for turn in rounds), strict=True))  # by library
    shares = [median(map(truediv, rates, of_library)) for of_library in peaks]
    return {
        "case": f"`{case.name}`",
        "batch": f"{case.batch:,} of {case.train_equations:,}",
        "plain, ms": _milliseconds([turn.plain for turn in rounds]),
        "ours, ms": _milliseconds([turn.ours for turn in rounds]),
        "plain / ours": f"{median(turn.plain / turn.ours for turn in rounds):.2f}",
        "GFLOP": f"{operations / 1e9:.2f}",
        "GFLOP/s": f"{median(rates) / 1e9:.0f}",
        "sgemm peaks": ", ".join(f"{median(of_library) / 1e9:.0f}" for of_library in peaks),
        "shares of them": ", ".join(f"{share:.0%}" for share in shares),
    }


def _milliseconds(of_rounds: list[float]) -> str:
    return f"{1e3 * median(of_rounds):.2f} ({1e3 * min(of_rounds):.2f})"
