"""Ctrl-C: a stage ends within seconds, says so in one line and leaves no process behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from clones import environment, heed_ctrl_c
from laboratory import untrained

ENDLESS = """
  endless:
    extends: experiments.wide_mlp
    group: systems
    task: tiny
    budget: 2000000
    optimizer: {learning_rate: 1e-9}

"""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory) -> Path:
    """An experiment that would train for hours."""
    return untrained(tmp_path_factory.mktemp("endless"), ENDLESS)


@pytest.mark.parametrize("target", [os.kill, os.killpg], ids=["driver", "group"])
def test_ctrl_c_ends_a_stage_in_one_line(laboratory, target):
    stage = subprocess.Popen(
        [sys.executable, "-m", "pipelines.train", "endless"], cwd=laboratory, env=environment(laboratory),
        stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    driver = psutil.Process(stage.pid)
    wait_for(lambda: list((laboratory / ".checkpoints").rglob("*")) and driver.children())
    workers = driver.children(recursive=True)
    target(stage.pid, signal.SIGINT)
    try:
        _, told = stage.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(stage.pid, signal.SIGKILL)
    assert stage.returncode == 130
    assert told.splitlines() == ["interrupted; the same command goes on from here"]
    assert not psutil.wait_procs(workers, timeout=10)[1]


def wait_for(condition) -> None:
    """Until training has begun."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
    time.sleep(1)
