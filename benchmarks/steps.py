"""A step of the engine beside a step of the plain loop."""

from dataclasses import dataclass
from statistics import median

import pandas as pd

from benchmarks import flops, plain
from benchmarks.cases import Case
from benchmarks.timing import Settings, seconds, sgemm_peak, steps_per_block
from grokking.training.loop import learner


@dataclass(frozen=True)
class Round:
    """One turn of each, of the same minute."""

    plain: float  # seconds per step
    ours: float  # seconds per step
    peak: float  # FLOP/s


def measure(cases: list[Case], settings: Settings) -> pd.DataFrame:
    """One row per case; those in NumPy run on the CPU only."""
    return pd.DataFrame(
        [_row(case, _rounds(case, settings)) for case in cases if settings.device == "cpu" or not case.by_hand]
    )


def _rounds(case: Case, settings: Settings) -> list[Round]:
    plainly = plain.loop(case, settings.device).update
    ours = learner([case.replica], case.task, settings.device).update
    counts = {update: steps_per_block(update, settings) for update in (plainly, ours)}

    def block(update: plain.Update) -> float:
        return seconds(update, counts[update], settings.device) / counts[update]

    return [Round(block(plainly), block(ours), sgemm_peak(settings.device)) for _ in range(settings.rounds)]


def _row(case: Case, rounds: list[Round]) -> dict[str, str]:
    operations = flops.per_step(case)
    rates = [operations / turn.ours for turn in rounds]
    shares = [rate / turn.peak for rate, turn in zip(rates, rounds, strict=True)]
    return {
        "case": f"`{case.name}`",
        "batch": f"{case.batch:,} of {case.train_equations:,}",
        "plain, ms": _milliseconds([turn.plain for turn in rounds]),
        "ours, ms": _milliseconds([turn.ours for turn in rounds]),
        "plain / ours": f"{median(turn.plain / turn.ours for turn in rounds):.2f}",
        "GFLOP": f"{operations / 1e9:.2f}",
        "GFLOP/s": f"{median(rates) / 1e9:.0f}",
        "sgemm peak": f"{median(turn.peak for turn in rounds) / 1e9:.0f}",
        "share of it": f"{median(shares):.0%}",
    }


def _milliseconds(of_rounds: list[float]) -> str:
    return f"{1e3 * median(of_rounds):.2f} ({1e3 * min(of_rounds):.2f})"
