"""`grokking bench`: a step of the engine beside a plain one, on this machine."""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer

CASES = ("wide_mlp", "embedding_mlp", "numpy_mlp_momentum")


def bench(
    cases: Annotated[list[str] | None, typer.Argument(help="Experiments to measure.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that both take.")] = 3,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Measure a training step of the engine and of a plain loop that does the same, half a minute.

    `python -m benchmarks.engine` has the whole benchmark; docs/performance.md says what it measures.

    Examples:

      grokking bench

      grokking bench shared_mlp_f30 --rounds 7
    """
    from grokking.api.checkout import here
    from grokking.config import ConfigError

    if device not in ("cpu", "cuda"):
        raise ConfigError(f"`--device` must be cpu or cuda, but got {device}")
    if device == "cuda" and not import_module("torch").cuda.is_available():
        raise ConfigError("`--device` is cuda, but this machine has no GPU that torch can use; write cpu")
    root = here().root
    if not (root / "benchmarks").exists():
        raise ConfigError(f"{root} has no benchmarks/")
    sys.path.insert(0, str(root))
    known = import_module("benchmarks.cases")
    for name in cases or ():
        if name not in known.CASES:
            raise ConfigError(f"`{name}` is no case; known: {', '.join(known.CASES)}")
    _measure([known.prepare(name) for name in cases or CASES], rounds, device)


def _measure(cases: list[Any], rounds: int, device: str) -> None:
    """One row per case: milliseconds, the smallest in brackets, and the ratio."""
    from grokking.cli.terminal import console, table
    from grokking.executors.processor import processor

    import_module("benchmarks.process").set_up(threads=1)
    settings = import_module("benchmarks.timing").Settings(device, rounds, 0.25, ("plain",))
    found = import_module("benchmarks.steps").measure(cases, settings).table
    found["case"] = [case.name for case in cases]
    columns = ["case", "batch", "ours, ms", "plain, ms", "plain / ours"]
    screen = console()
    screen.print(f"one step on one thread of {processor()}; median of {rounds} turns (smallest)")
    screen.print(table(columns, found[columns].to_numpy().tolist(), right=columns[1:]))
