"""A checkout with the tiny study of tests/tiny.yaml, some of it trained by the stages."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from clones import ROOT, environment, tiny_params

ADDED = """
  # what `grokking run wide_mlp weight_decay=0.5` asks for, as an entry
  half_decay:
    extends: experiments.wide_mlp
    group: systems
    task: tiny
    optimizer: {weight_decay: 0.5}
  untrained:
    extends: experiments.wide_mlp
    group: systems
    task: tiny

"""
TRAINED = ("wide_mlp", "half_decay", "wide_mlp_grid")


def untrained(folder: Path, added: str) -> Path:
    """Params with further experiments, code and the task `tiny`."""
    for name in ("src", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(tiny_params().replace("\nstudies:", f"{added}studies:"))
    python(folder, "-m", "pipelines.split", "tiny")
    return folder


def make(folder: Path) -> Path:
    """Params, code and the committed results of three experiments."""
    untrained(folder, ADDED)
    for stage, names in (("train", TRAINED), ("diagnose", TRAINED)):
        for name in names:
            python(folder, "-m", f"pipelines.{stage}", name)
    return folder


@pytest.fixture(scope="session")
def trained_checkout(tmp_path_factory) -> Path:
    """What `make` makes, once for all tests; nobody changes it."""
    return make(tmp_path_factory.mktemp("trained") / "checkout")


@pytest.fixture(scope="module")
def study(trained_checkout, tmp_path_factory) -> Path:
    """A copy of it for the tests of one file."""
    return shutil.copytree(trained_checkout, tmp_path_factory.mktemp("laboratory") / "checkout")


def python(folder: Path, *arguments: str, **more: str) -> str:
    """Run Python in the folder; what it printed."""
    command, own = [sys.executable, *arguments], environment(folder) | more
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make it the checkout of this process, from a working directory elsewhere."""
    monkeypatch.setattr("grokking.api.checkout.ROOT", folder)
    (folder.parent / "elsewhere").mkdir(exist_ok=True)
    monkeypatch.chdir(folder.parent / "elsewhere")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every file below, but for what Python leaves."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
