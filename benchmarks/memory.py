"""Peak memory of a fresh process that trains one replica.

Called as `python -m benchmarks.memory <case> <plain|ours> <device>`, it is that process.
"""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

from benchmarks import plain
from benchmarks.cases import Case, prepare
from benchmarks.ours import make_stack
from benchmarks.page import Section
from benchmarks.process import set_up
from benchmarks.timing import Settings

STEPS = 20
ROOT = Path(__file__).parents[1]
NOTE = f"""
Peak memory of a process of its own that trains one replica for {STEPS} steps: resident in the process, or
on a GPU that of its tensors there.
"""


def measure(cases: list[Case], settings: Settings) -> Section:
    """One row per case: megabytes before there is a network, and what each loop adds to them."""
    return Section("Memory", pd.DataFrame([_row(case, settings.device) for case in cases]), NOTE)


def _row(case: Case, device: str) -> dict[str, str]:
    children = {who: _child(case, who, device) for who in ("plain", "ours")}  # at once: no time is measured
    peaks = {who: json.loads(child.communicate()[0]) for who, child in children.items()}
    row = {"case": f"`{case.name}`", "imports and data, MB": f"{peaks['ours'][0]:.0f}"}
    return row | {f"{who} adds": f"{after - before:.0f}" for who, (before, after) in peaks.items()}


def _child(case: Case, who: str, device: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.memory", case.name, who, device]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def main(name: str, who: str, device: str) -> None:
    """Train; print the peaks before and after."""
    set_up(1)
    case = prepare(name)
    before = peak(device)
    loop = plain.loop(case, device) if who == "plain" else make_stack([case.replica], case.task, device)
    loop.update(STEPS)
    print(json.dumps([before, peak(device)]))


def peak(device: str) -> float:
    """The most memory so far in MB: of the GPU's tensors, or resident in this process.

    getrusage would give the parent's peak where that is higher: Linux passes it on to child processes.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
