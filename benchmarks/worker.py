"""A process that trains one loop on one case, a block whenever it is asked to (`timing.serve`).

Called as `python -m benchmarks.worker <engine|plain|compiled> <case> <device>`. To measure an earlier commit,
this file and `timing.py` are copied over its own, so nothing here may ask for more than that commit has: of
the engine, `grokking.training.loop.learner`.
"""

import importlib
import importlib.util
import sys

import torch

from benchmarks import plain
from benchmarks.cases import Case, prepare
from benchmarks.process import set_up
from benchmarks.timing import Update, serve


def engine_update(case: Case, device: str) -> Update:
    """The engine's update of one replica, in this commit or an earlier one."""
    if importlib.util.find_spec("benchmarks.ours"):
        make_stack = importlib.import_module("benchmarks.ours").make_stack
    else:
        make_stack = importlib.import_module("grokking.training.loop").learner
    update: Update = make_stack([case.replica], case.task, device).update
    return update


def plain_update(case: Case, device: str) -> Update:
    return plain.loop(case, device).update


def compiled_update(case: Case, device: str) -> Update:
    return plain.CompiledLoop(case, device).update


LOOPS = {"engine": engine_update, "plain": plain_update, "compiled": compiled_update}


def blocking(update: Update, device: str) -> Update:
    """The update, which returns when the device has made its steps."""
    if device == "cpu":
        return update

    def update_and_wait(count: int) -> None:
        update(count)
        torch.cuda.synchronize()

    return update_and_wait


def main(loop: str, name: str, device: str) -> None:
    set_up(threads=1)
    serve(blocking(LOOPS[loop](prepare(name), device), device))


if __name__ == "__main__":
    main(*sys.argv[1:])
