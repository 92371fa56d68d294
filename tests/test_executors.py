"""Worker processes: how many there are, and that none outlives its driver."""

import multiprocessing
import os
import time

import psutil
import pytest

from grokking.executors import resources
from grokking.executors.processes import ProcessExecutor

FORK = multiprocessing.get_context("fork")


@pytest.mark.parametrize(
    ("cores", "replicas", "expected"),
    [(2, 1, 1), (2, 2, 2), (2, 3, 3), (2, 4, 2), (2, 5, 2), (2, 6, 2), (4, 6, 6), (4, 9, 4), (1, 3, 1)],
)
def test_processes_leave_no_core_idle_at_the_end(cores, replicas, expected, monkeypatch):
    monkeypatch.delenv("GROKKING_PROCESSES", raising=False)
    monkeypatch.setattr(resources, "cores", lambda: cores)
    assert resources.processes(replicas) == expected


def _driver(connection):
    """Two workers: one at work for a minute, one that waits for work."""
    with ProcessExecutor(2) as workers:
        asked = [workers.submit(_own_pid, 0.2) for _ in range(4)]
        pids = {each.result() for each in asked}
        workers.submit(time.sleep, 60)
        connection.send(pids)
        time.sleep(60)


def _own_pid(seconds):
    time.sleep(seconds)
    return os.getpid()


def test_workers_end_when_their_driver_is_killed():
    """Busy or idle: an idle one would keep the driver's connection to a database, and its locks, for ever."""
    here, there = FORK.Pipe()
    driver = FORK.Process(target=_driver, args=(there,))
    driver.start()
    assert here.poll(30)
    workers = [psutil.Process(pid) for pid in here.recv()]
    assert len(workers) == 2
    driver.kill()
    driver.join()
    _, alive = psutil.wait_procs(workers, timeout=10)
    for worker in alive:
        worker.kill()
    assert alive == []
