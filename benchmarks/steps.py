"""A step of the engine beside a step of every peer."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import median

import pandas as pd

from benchmarks import flops, sgemm
from benchmarks.cases import Case
from benchmarks.page import Section
from benchmarks.peers import BEFORE, OURS, PeerError, names, one_core, start
from benchmarks.timing import Settings

DASH = "—"
NOTE = """
The same network and batch in every column. *Plain* (`benchmarks/plain.py`) is as one would write it with
PyTorch, or with NumPy where the family is; *torch.compile* is the plain model with forward pass, loss and
backward pass compiled; *JAX* (`benchmarks/jax_loop.py`) looks embeddings and one-hot inputs up and runs 20
compiled steps a call. The NumPy case has no twin in the last two. Each runs in a process of its own on one
thread, all on the same core, and takes turns with ours. Milliseconds are the median over rounds and in
brackets the smallest; a ratio to ours is the median of the rounds' own ratios. The loss is in float64 in
ours, as params.yaml has it, and in float32 elsewhere.

GFLOP counts the matrix products that the engine runs in one step, forward and backward
(`benchmarks/flops.py`), and GFLOP/s are of ours. The sgemm peaks are measured again in each round.
"""


@dataclass(frozen=True)
class Round:
    """One turn of each, of the same minute."""

    seconds: dict[str, float]  # per step, by peer
    peaks: dict[str, float]  # FLOP/s by library

    def ratio(self, peer: str) -> float:
        """The time of the peer in times ours."""
        return self.seconds[peer] / self.seconds[OURS]


def measure(cases: list[Case], settings: Settings) -> Section:
    """One row per case; peers that do not run are dashes, and the note says why."""
    failures: dict[str, str] = {}
    with one_core(settings.device):
        rows = [_row(case, _rounds(case, settings, failures), settings) for case in cases]
    reasons = "".join(f"\n{name} was not measured: {reason}\n" for name, reason in failures.items())
    return Section("One step", pd.DataFrame(rows), NOTE + reasons)


def _rounds(case: Case, settings: Settings, failures: dict[str, str]) -> list[Round]:
    """A peer that fails is not tried again on the cases that follow."""
    with ExitStack() as running:
        peers = {}
        for name in names(case, settings):
            if name in failures:
                continue
            try:
                peers[name] = running.enter_context(closing(start(name, case, settings)))
            except PeerError as error:
                if name == OURS:
                    raise
                failures[name] = f"{error} (`{case.name}`)"
        return [
            Round(
                {name: peer.seconds_per_step(settings.seconds) for name, peer in peers.items()},
                sgemm.peaks(settings.device),
            )
            for _ in range(settings.rounds)
        ]


def _row(case: Case, rounds: list[Round], settings: Settings) -> dict[str, str]:
    operations = flops.per_step(case)
    return {
        "case": f"`{case.name}`",
        "batch": f"{case.batch:,} of {case.train_equations:,}",
        **dict(_times(rounds, settings)),
        "GFLOP": f"{operations / 1e9:.2f}",
        "GFLOP/s": f"{median(operations / turn.seconds[OURS] for turn in rounds) / 1e9:.0f}",
        **dict(_peaks(operations, rounds)),
    }


def _times(rounds: list[Round], settings: Settings) -> Iterator[tuple[str, str]]:
    """Milliseconds of ours and of each peer, then the ratios."""
    others = [*settings.peers, *([BEFORE] if settings.before else [])]
    measured = rounds[0].seconds
    for name in (OURS, *others):
        yield (
            f"{name}, ms",
            _milliseconds([turn.seconds[name] for turn in rounds]) if name in measured else DASH,
        )
    for name in others:
        ratio = f"{median(turn.ratio(name) for turn in rounds):.2f}" if name in measured else DASH
        yield f"{name} / ours", ratio


def _peaks(operations: int, rounds: list[Round]) -> Iterator[tuple[str, str]]:
    """The peak of each library, and in brackets our share of it."""
    for library in rounds[0].peaks:
        peak = median(turn.peaks[library] for turn in rounds)
        share = median(operations / turn.seconds[OURS] / turn.peaks[library] for turn in rounds)
        yield f"peak of {library}", f"{peak / 1e9:.0f} ({share:.0%})"


def _milliseconds(of_rounds: list[float]) -> str:
    return f"{1e3 * median(of_rounds):.2f} ({1e3 * min(of_rounds):.2f})"
