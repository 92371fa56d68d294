"""One stage of DVC in a process of its own, forked from one that has read the graph already."""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess

from dvc.exceptions import DvcException
from dvc.logger import set_loggers_level
from dvc.repo import lock_repo
from dvc.stage import Stage

from pipelines.common.lock_files import write_entry

UNCHANGED = 3  # exit code of a stage that has nothing to do after all


class StageProcess:
    """A stage that has been started; it and all its processes are a group of their own."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.started = stage, time.monotonic()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (it ends with this object)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_reproduce, args=(stage, self._output.fileno()))
        self._process.start()
        with suppress(OSError):  # it does so itself, later or sooner
            os.setpgid(_pid(self._process), 0)

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` waits for."""
        return self._process.sentinel

    def join(self) -> int:
        """Wait for the end; the exit code."""
        self._process.join()
        assert self._process.exitcode is not None, "it has ended"
        return self._process.exitcode

    def output(self) -> str:
        """All that the stage has printed."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def seconds(self) -> float:
        return time.monotonic() - self.started


def _pid(process: BaseProcess) -> int:
    assert process.pid is not None, "it has been started"
    return process.pid


def heed_signals() -> None:
    """Let `kill` and a closed terminal do what Ctrl-C does; a shell starts background jobs without Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # else nohup wants it ignored
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def stop_all() -> None:
    """End all stages that run as Ctrl-C would, and wait for them; a second Ctrl-C kills them."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            _stop_all(number)
            return
        except KeyboardInterrupt:
            continue


def _stop_all(number: signal.Signals) -> None:
    stages = multiprocessing.active_children()
    print(f"ending {len(stages)} running stages ...", flush=True)
    for stage in stages:
        try:
            os.killpg(_pid(stage), number)
        except ProcessLookupError:  # it has ended, or has just begun and is in no group yet
            with suppress(ProcessLookupError):
                os.kill(_pid(stage), number)
    for stage in stages:
        stage.join()


def _reproduce(stage: Stage, output: int) -> None:
    """What `dvc repro --single-item` does, with everything that is printed in a file."""
    os.setpgrp()
    for printed in (sys.stdout, sys.stderr):
        os.dup2(output, printed.fileno())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    repo = stage.repo
    try:
        with set_loggers_level(logging.WARNING), lock_repo(repo), repo.scm_context(quiet=True):
            if stage.reproduce() is None:
                raise SystemExit(UNCHANGED)
            write_entry(stage)
    except DvcException as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    """Nobody would know of a stage whose parent was killed: interrupt it, as Ctrl-C does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGINT)
