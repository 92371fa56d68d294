"""Measure the engine on this machine: `python -m benchmarks.engine`.

Prints a report and puts it into docs/performance.md, in place of the one of the same processor.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext

import torch

from benchmarks import bounds, earlier, machine, memory, overheads, page, stacks, steps, twins
from benchmarks.cases import CASES, prepare
from benchmarks.peers import PEERS
from benchmarks.process import set_up
from benchmarks.timing import Settings

SECTIONS_OF_REPORT = (
    machine.measure,
    steps.measure,
    bounds.measure,
    twins.measure,
    stacks.measure,
    overheads.measure,
    memory.measure,
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    try:
        with earlier.checkout(options.against) if options.against else nullcontext() as before:
            settings = Settings(options.device, options.rounds, options.seconds, tuple(options.peers), before)
            report = _report(options.cases, settings, options.against)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: {error.stderr.decode().strip()}")
    if options.write:
        page.write(report, "engine", str(machine.processor()))


def _report(names: list[str], settings: Settings, against: str | None) -> str:
    """Print each section as soon as it is measured."""
    set_up(threads=1)
    cases = [prepare(name) for name in names]
    if settings.device != "cpu":
        cases = [case for case in cases if not case.is_numpy]  # NumPy has no other device
    before = f"*Before* is commit {against}.\n" if against else ""
    report = [f"## Engine on {machine.processor()}\n\n{before}"]
    print(report[-1], flush=True)
    for measure in SECTIONS_OF_REPORT:
        section = measure(cases, settings)
        if not section.table.empty:  # none of the cases is for this section
            report.append(section.markdown())
            print(report[-1], flush=True)
    return "\n".join(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser.add_argument("--device", choices=devices, default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="turns of everything that is compared")
    parser.add_argument("--seconds", type=float, default=0.25, help="time of one turn, roughly")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--against", metavar="COMMIT", help="an earlier commit to compare with")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that a checkout is removed
    main()
