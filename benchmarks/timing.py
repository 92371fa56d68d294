"""Time by the wall clock, on a machine that others may share.

What is compared is measured in turns, in short blocks, so that a slow minute is slow for all of it. This file
needs the standard library only: it also runs in the environment of JAX and in an earlier commit.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Update = Callable[[int], None]  # makes this number of steps and returns when they are done
CHUNKS = 10  # readings of the clock per block: more of them would stop a GPU too often


@dataclass(frozen=True)
class Settings:
    device: str
    rounds: int  # turns that everything compared takes
    seconds: float  # of one block, roughly, as it ends with a step
    peers: tuple[str, ...] = ()  # of `peers.PEERS`
    before: Path | None = None  # checkout of an earlier commit to compare with

    @property
    def few_rounds(self) -> int:
        """For blocks that are long, and shares that need no third digit."""
        return min(3, self.rounds)


class Timed:
    """Something that makes steps, measured a block at a time."""

    def __init__(self, update: Update) -> None:
        """The first step, in which everything is allocated or compiled, does not count."""
        self.update = update
        update(1)
        self.first = seconds(update, 1)

    def seconds_per_step(self, block: float) -> float:
        """The mean over a block of at least this number of seconds."""
        chunk = max(1, round(block / CHUNKS / self.first))
        steps, elapsed = 0, 0.0
        while elapsed < block:
            elapsed += seconds(self.update, chunk)
            steps += chunk
        return elapsed / steps


def seconds(update: Update, steps: int) -> float:
    """How long these steps take."""
    started = time.perf_counter()
    update(steps)
    return time.perf_counter() - started


def serve(update: Update, steps: int = 1) -> None:
    """Answer requests on standard input until it ends: {"seconds": block} -> {"seconds_per_step": ...}.

    One call of `update(1)` makes `steps` steps. The first answer, {}, says that everything is ready. Other
    output of this process goes to standard error.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    timed = Timed(update)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        found = timed.seconds_per_step(json.loads(line)["seconds"]) / steps
        print(json.dumps({"seconds_per_step": found}), file=answers, flush=True)
