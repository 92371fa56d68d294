"""Check that all loops train the same network: `python -m benchmarks.check_peers`.

The engine, the plain loop, torch.compile and JAX start from the same parameters and train on the same
batches, both the engine's, in float64. Prints the largest difference of each loop's logits of the training
equations to the plain loop's, as a share of the largest logit. Ends with status 1 where one is above the
tolerance. JAX is installed where it is not yet (`jax_environment`).
"""

# P training equations, S steps, B examples, V classes

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks import jax_environment, ours, plain
from benchmarks.cases import CASES, Case, prepare
from benchmarks.process import set_up

TOLERANCE = 1e-6  # optax has powers of beta in float32; float32 throughout would differ by up to 1e-2


def differences(case: Case, steps: int) -> dict[str, float]:
    """The largest difference of each loop to the plain loop, by name."""
    config = replace(case.replica.config, precision="float64")
    stack = ours.make_stack([replace(case.replica, config=config)], case.task, "cpu")
    index_SB, parameters = ours.batches(case, stack, steps), ours.plain_parameters(stack.snapshot(0))
    loop, compiled = plain.TorchLoop(case, "cpu"), plain.CompiledLoop(case, "cpu")
    for each in (loop, compiled):
        each.model.double().load_state_dict(parameters)
        each.inputs = ours.in_double(each.inputs)
    by_jax_PV = _train_jax(case, loop, index_SB)  # before the loop's parameters change
    expected_PV = _train(loop, index_SB)
    stack.update(steps)
    loop.model.load_state_dict(ours.plain_parameters(stack.snapshot(0)))
    logits_PV = {"ours": _logits(loop), "torch.compile": _train(compiled, index_SB), "JAX": by_jax_PV}
    largest = expected_PV.abs().max()
    return {name: float((found - expected_PV).abs().max() / largest) for name, found in logits_PV.items()}


def _train(loop: plain.TorchLoop, index_SB: Tensor) -> Tensor:
    """The logits (P, V) after a step on each batch."""
    loop.batches = iter(index_SB)
    loop.update(len(index_SB))
    return _logits(loop)


@torch.no_grad()
def _logits(loop: plain.TorchLoop) -> Tensor:
    logits_PV: Tensor = loop.model(loop.inputs)
    return logits_PV


def _train_jax(case: Case, loop: plain.TorchLoop, index_SB: Tensor) -> Tensor:
    """As `_train`, from the parameters of `loop`."""
    with tempfile.TemporaryDirectory() as folder:
        jax_environment.export(case, loop.model, Path(folder))
        np.save(Path(folder) / "batches.npy", index_SB.numpy())
        subprocess.run(
            jax_environment.command(folder, "--check", variables=("JAX_ENABLE_X64=1",)),
            cwd=jax_environment.ROOT,
            check=True,
        )
        return torch.from_numpy(np.load(Path(folder) / "logits.npy"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_peers", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options = parser.parse_args(arguments)
    set_up(threads=1)
    cases = [case for case in map(prepare, options.cases) if not case.is_numpy]
    table = pd.DataFrame({case.name: differences(case, options.steps) for case in cases}).T
    print(table.to_markdown(floatfmt=".1e"))
    if not (table <= TOLERANCE).all(axis=None):  # also where one is not a number
        sys.exit(f"a difference is above {TOLERANCE}")


if __name__ == "__main__":
    main()
