"""Jobs for the tests of executors, and drivers that are started as processes of their own."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from grokking.config import ConfigError
from grokking.executors import ray_worker
from grokking.executors.executor import Executor, executor
from grokking.executors.reports import report
from grokking.executors.source import source


def doubled(array: np.ndarray) -> np.ndarray:
    """In place, as a job may do with its own copy."""
    array *= 2
    return array


def refuse(value: int) -> None:
    raise ConfigError(f"value must not be {value}")


def count(to: int) -> int:
    for number in range(to):
        report(number)
    return os.getpid()


def read_all(file: str) -> str:
    return Path(file).read_text()


def run_as_ray(asked: tuple[Any, ...]) -> Any:
    """What Ray calls in a worker, without its queue of reports."""
    job, arguments, driver, _ = asked
    return ray_worker.run(job, arguments, driver, SimpleNamespace(put=print))


def exercise(workers: Executor) -> None:
    """Results and errors come back as they are, copies can be written to, reports arrive in order."""
    array = np.arange(100_000.0)
    futures = [workers.submit(doubled, array + number) for number in range(4)]
    for number, future in enumerate(futures):
        result = future.result()
        assert (result == 2 * (array + number)).all()
        result += 1
    error = workers.submit(refuse, 7).exception()
    assert isinstance(error, ConfigError)
    assert str(error) == "value must not be 7"
    assert workers.submit(count, 5).result() > 0
    deadline, reports = time.monotonic() + 30, []
    while len(reports) < 5 and time.monotonic() < deadline:
        reports += workers.reports()
    assert reports == [0, 1, 2, 3, 4]
    assert workers.reports() == []
    assert workers.device == "cpu"


def exercise_chosen() -> None:
    with executor(2) as workers:
        exercise(workers)


def show_workers() -> None:
    with executor(None) as workers:
        print(workers.device, workers.workers, workers.submit(count, 1).result() > 0)


def run_other_code() -> None:
    """As a driver of another commit would."""
    source()["the code"] = "0123456789abcdef"
    with executor(2) as workers:
        print(f"error: {workers.submit(count, 1).exception()}")


def wait_for_ever() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
    print("running", flush=True)
    with executor(1) as workers:
        job = workers.submit(time.sleep, 600)
        print("submitted", flush=True)
        job.result()
