"""Training is killed at each of its changes of a file, once each, and given errors of the disk there.

Afterwards the same command ends with the same bits, and no state in between is taken for a result.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import make_task
from examples import experiment
from injector import DISK_ERRORS, DONE, FAILED, attempt

from grokking.experiment import expand
from grokking.ops import numba_kernels
from grokking.storage import runs
from pipelines.common import stage, training

TASK = make_task()
OWN = ["seconds", "processor"]  # of each call, not of params and data


def work(folder: Path):
    """The stage `train` on two replicas that checkpoint at every evaluation."""

    def train() -> None:
        training.CHECKPOINTS = folder / "checkpoints"
        replicas = expand(experiment(seeds=(0, 1), budget=4), "e")
        training.train("small", "systems", replicas, TASK, folder / "runs", folder / "networks")

    return train


def result(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, bytes]]:
    """What was computed: tables, and the networks."""
    run = runs.read(folder / "runs")
    networks = sorted((folder / "networks").rglob("*.safetensors"))
    files = {str(file.relative_to(folder)): file.read_bytes() for file in networks}
    return run.replicas.drop(columns=OWN), run.history, files


@pytest.fixture(scope="module", autouse=True)
def settings():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROKKING_CHECKPOINT_SECONDS", "0")
        patch.setenv("GROKKING_PROCESSES", "1")
        numba_kernels.load()  # once, for all forks
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result without a fault, and how many changes it takes."""
    folder = tmp_path_factory.mktemp("whole")
    code, changes = attempt(folder, work(folder))
    assert code == DONE
    return result(folder), changes


def same(one, other) -> bool:
    return one[0].equals(other[0]) and one[1].equals(other[1]) and one[2] == other[2]


def test_killed_at_every_write_it_ends_at_the_same_bits(whole, tmp_path):
    expected, changes = whole
    assert changes > 40
    for at in range(1, changes + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        code, _ = attempt(folder, work(folder), at)
        assert code == -signal.SIGKILL, at
        if runs.exists(folder / "runs"):
            runs.read(folder / "runs")  # of what is there everything is whole
        assert attempt(folder, work(folder))[0] == DONE, at
        assert same(result(folder), expected), at


def test_an_error_of_the_disk_at_every_write_loses_nothing(whole, tmp_path):
    expected, changes = whole
    for at in range(1, changes + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        code, _ = attempt(folder, work(folder), at, DISK_ERRORS[at % len(DISK_ERRORS)])
        assert code in (DONE, FAILED), at  # done where what failed need not be done
        assert attempt(folder, work(folder))[0] == DONE, at
        assert same(result(folder), expected), at


@pytest.mark.parametrize("error", DISK_ERRORS)
def test_an_error_of_the_disk_is_told_in_one_line(error, capsys):
    def main() -> None:
        raise OSError(error, os.strerror(error), "results/x")

    with pytest.raises(SystemExit) as ended:
        stage.run(main)
    assert ended.value.code == 2
    told = f"error: {os.strerror(error)}: results/x; mend it, and the same command goes on from here\n"
    assert capsys.readouterr().err == told


def test_too_many_open_files_are_told_with_the_way_out():
    pytest.importorskip("resource")
    program = """
import resource
from pipelines.common import stage

def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
    held = [open("/dev/null") for _ in range(20)]

stage.run(main)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: Too many open files: /dev/null; allow more open files, as by `ulimit -n 4096`, "
        "and the same command goes on from here\n"
    )
