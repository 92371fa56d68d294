"""JAX's own environment, made where the benchmark first needs it, and the problems that it is given."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from benchmarks import plain
from benchmarks.cases import Case

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).with_name(".jax-venv")
REQUIREMENTS = Path(__file__).with_name("jax_requirements.txt")
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
VARIABLES = ("JAX_PLATFORMS=cpu", f"XLA_FLAGS={ONE_THREAD}")


def python() -> Path:
    """The interpreter that has JAX; installs it once. Raises CalledProcessError where it cannot be had."""
    interpreter, installed = FOLDER / "bin" / "python", FOLDER / "installed.txt"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"Installing JAX into {FOLDER}, once", file=sys.stderr, flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
        (FOLDER / ".gitignore").write_text("*\n")
        _run(str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS))
        installed.write_text(wanted)
    return interpreter


def command(folder: str, *options: str, variables: tuple[str, ...] = ()) -> list[str]:
    """Runs `jax_loop` on one thread, with further environment variables."""
    return ["env", *VARIABLES, *variables, str(python()), "-m", "benchmarks.jax_loop", folder, *options]


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


def export(case: Case, model: nn.Module, folder: Path) -> None:
    """Write what `jax_loop` trains: the case, its training equations, the plain model's parameters."""
    config = case.replica.config
    problem = {
        "model": asdict(config.model),
        "optimizer": asdict(config.optimizer),
        "schedule": asdict(config.schedule),
        "sampling": config.batch.sampling,
        "batch": case.batch,
        "budget": config.budget,
    }
    (folder / "problem.json").write_text(json.dumps(problem))
    equations = dict(zip(("a", "b", "answer"), plain.columns(case), strict=True))
    np.savez(folder / "arrays.npz", **equations, **_arrays(model))  # type: ignore[arg-type]


def _arrays(model: nn.Module) -> Mapping[str, np.ndarray]:
    """Parameters by name; JAX's users keep a dense layer's weight as (inputs, outputs)."""
    dense = {f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}

    def array(name: str, parameter: Tensor) -> np.ndarray:
        return (parameter.T if name in dense else parameter).detach().cpu().numpy()

    return {name: array(name, parameter) for name, parameter in model.named_parameters()}
