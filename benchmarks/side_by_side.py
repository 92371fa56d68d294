"""Measure stages side by side beside `dvc repro`: `python -m benchmarks.side_by_side [TARGET...]`.

Both run in copies of this checkout without any results, with the tiny study of tests/tiny.yaml, or with
params.yaml by `--default`; without a target the whole default graph. Each copy has compiled its
kernels before. They take turns, in the other order in each round, since others may use the machine, too.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import load, processor
from grokking.executors.resources import cores

ROOT = Path(__file__).parents[1]
COPIED = (
    "src", "pipelines", "dvc.yaml", "extended/dvc.yaml", ".dvcignore", ".dvc/config", "mlruns/.gitkeep",
    "requirements.lock", ".gitignore", "params.yaml", "extended/params.yaml", "reports/claims.yaml",
)  # fmt: skip
COMMANDS = {"dvc repro": ("dvc", "repro"), "side by side": (sys.executable, "-m", "pipelines.repro")}
COMPILE = "from grokking.ops import numba_kernels; numba_kernels.load()"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="stages; default: the default graph")
    parser.add_argument("--default", action="store_true", help="the default study, not the tiny one")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each, the first of them by turns")
    arguments = parser.parse_args()
    print(f"{processor()}, {cores()} cores", flush=True)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(arguments.rounds):
        for name in list(COMMANDS)[:: (-1) ** turn]:
            before = load()
            first, again = measured(COMMANDS[name], arguments.targets, arguments.default)
            taken[name].append(first)
            print(f"{name}: {first:.0f} s, unchanged {again:.1f} s; {before}", flush=True)
    serial, beside = (statistics.median(each) for each in taken.values())
    print(f"medians: {serial:.0f} s and {beside:.0f} s, ratio {beside / serial:.2f}")


def measured(command: tuple[str, ...], targets: list[str], default: bool) -> tuple[float, float]:
    """Seconds of the command in a copy without results, and of the same once more."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        fill(copy)
        if not default:
            make_tiny(copy)
        seconds(copy, sys.executable, "-c", COMPILE)
        first, again = (seconds(copy, *command, *targets) for _ in range(2))
    return first, again


def fill(copy: Path) -> None:
    """The code and the params of this checkout, as a repository of its own."""
    for name in COPIED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
    seconds(copy, "git", "init", "--quiet")
    seconds(copy, "dvc", "config", "--local", "core.site_cache_dir", str(copy / ".dvc_site_cache"))


def make_tiny(copy: Path) -> None:
    """The tiny study in place of the default one, of whose results the claims are."""
    defaults = (ROOT / "params.yaml").read_text(encoding="utf-8").partition("\nreports:")[0]
    tiny = (ROOT / "tests/tiny.yaml").read_text(encoding="utf-8")
    (copy / "params.yaml").write_text(f"{defaults}\n{tiny}", encoding="utf-8")
    shutil.copy(ROOT / "tests/tiny_extended.yaml", copy / "extended/params.yaml")
    (copy / "reports/claims.yaml").write_text("numbers: {}\nclaims: {}\n", encoding="utf-8")


def seconds(folder: Path, *command: str) -> float:
    """How long a command takes in a folder. Raises CalledProcessError, with its output shown, if it fails."""
    own = os.environ | {"PYTHONPATH": str(folder / "src"), "DVC_NO_ANALYTICS": "1"}
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=own, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
