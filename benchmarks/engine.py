"""Measure the engine on this machine: `python -m benchmarks.engine`.

Prints a report and puts it into docs/performance.md, where text outside the markers is kept.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from benchmarks import bounds, machine, memory, overheads, page, stacks, steps
from benchmarks.cases import CASES, Case, prepare
from benchmarks.process import set_up
from benchmarks.timing import Settings


@dataclass(frozen=True)
class Part:
    title: str
    measure: Callable[[list[Case], Settings], pd.DataFrame]
    note: str


PARTS = (
    Part("Machine", machine.measure, machine.NOTE),
    Part("One step", steps.measure, steps.NOTE),
    Part("Where a step's time goes", bounds.measure, bounds.NOTE),
    Part("Many replicas", stacks.measure, stacks.NOTE),
    Part("Evaluations and checkpoints", overheads.measure, overheads.NOTE),
    Part("Memory", memory.measure, memory.NOTE),
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    set_up(threads=1)
    cases = [prepare(name) for name in options.cases]
    if options.device != "cpu":
        cases = [case for case in cases if not case.by_hand]  # NumPy has no other device
    settings = Settings(options.device, options.rounds, options.seconds)
    report = []
    for part in PARTS:
        table = part.measure(cases, settings)
        if not table.empty:  # none of the cases is for this part
            report.append(page.section(part.title, table, part.note))
            print(report[-1], flush=True)
    if options.write:
        page.write("\n".join(report))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser.add_argument("--device", choices=devices, default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="turns of everything that is compared")
    parser.add_argument("--seconds", type=float, default=0.25, help="time of one turn, roughly")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser


if __name__ == "__main__":
    main()
