"""Digests of what the stages that compute write, on the tiny study of tests/tiny.yaml."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pandas as pd

from refactoring.sha256 import Digests, sha256

ROOT = Path(__file__).parents[1]
# These run in an order in which each finds what it reads
STAGES = (
    "split tiny",
    "split small",
    "train wide_mlp",
    "diagnose wide_mlp",
    "tune adamw",
    "search quick",
    "confirm quick",
)
WRITTEN = ("results", "artifacts")  # where
OF_MACHINE = ("seconds", "processor", "code")  # columns that are no results


def every_stage() -> Digests:
    """Every file that the stages write but run.json, which holds machine and code."""
    with empty_project():
        for stage in STAGES:
            run_stage(*stage.split())
        files = [file for root in WRITTEN for file in sorted(Path(root).rglob("*")) if file.is_file()]
        return {str(file): {"content": digest(file)} for file in files if file.name != "run.json"}


@contextmanager
def empty_project() -> Iterator[None]:
    """A temporary working directory with nothing but parameters."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_params(Path())
        try:
            yield
        finally:
            os.chdir(before)


def write_params(folder: Path) -> None:
    """The tiny studies of the tests, with the defaults of params.yaml."""
    defaults = (ROOT / "params.yaml").read_text().partition("\nreports:")[0]
    (folder / "params.yaml").write_text(f"{defaults}\n{(ROOT / 'tests' / 'tiny.yaml').read_text()}")
    (folder / "extended").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "tiny_extended.yaml", folder / "extended" / "params.yaml")


def run_stage(script: str, *arguments: str) -> None:
    """What `python -m pipelines.<script> <arguments>` does."""
    sys.argv = [script, *arguments]
    import_module(f"pipelines.{script}").main()


def digest(file: Path) -> str:
    """Of its bytes; of a table's columns but those that are times."""
    if file.suffix != ".parquet":
        return sha256([file.read_bytes()])
    table = pd.read_parquet(file)
    columns = {name: column.tolist() for name, column in table.items() if name not in OF_MACHINE}
    return sha256([repr(columns).encode()])
