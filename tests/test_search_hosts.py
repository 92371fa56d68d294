"""Four hosts share a study while they are killed, paused for longer than a lease, and disagree on the time.

A host is a process with a network and a hostname of its own, as in a container. Its workers stop with it.
"""

import ctypes
import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from searches import open_in, plan_of, search_as
from study_server import serving

from grokking.search.trial_outcomes import seed_outcomes

FORK = multiprocessing.get_context("fork")
NEW_NETWORK, NEW_HOSTNAME = 0x40000000, 0x04000000  # CLONE_NEWNET, CLONE_NEWUTS of sched.h
HOSTS, TRIALS, FAULTS = 4, 16, 8
PLAN = plan_of(trials=TRIALS)
LEASE, PAUSE = 2.0, 3.0  # seconds
BACK = 60.0  # seconds by which one host's clock is behind


def _isolate(host: str, own: int) -> None:
    """A hostname and what else is `own`; OSError where the system does not let us."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_HOSTNAME | own) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    socket.sethostname(host)


def _may_isolate() -> bool:
    process = FORK.Process(target=_isolate, args=("probe", NEW_NETWORK))
    process.start()
    process.join()
    return process.exitcode == 0


def _host(name: str, folder: Path, url: str | None, behind: float) -> None:
    """What one host does: search until all trials of the study have ended."""
    _isolate(name, 0 if url and url.startswith("grpc:") else NEW_NETWORK)  # that server is on this network
    now = time.time
    time.time = lambda: now() - behind
    os.environ["GROKKING_PROCESSES"] = "1"
    search_as(name, folder, PLAN, LEASE, url)


class _Cluster:
    """The hosts; one that is killed is started again."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.folder, self.url, self.processes = folder, url, {}
        for host in range(HOSTS):
            self.start(host)

    def start(self, host: int) -> None:
        own = self.folder / f"host{host}" if self.url else self.folder  # a journal's folder is shared
        behind = BACK if host == 0 else 0.0
        process = FORK.Process(target=_host, args=(f"host{host}", own, self.url, behind))
        process.start()
        self.processes[host] = process
        os.setpgid(process.pid, process.pid)  # here too: it may not have come so far

    def kill(self, host: int) -> None:
        self.signal(host, signal.SIGKILL)
        self.processes[host].join()
        self.start(host)

    def pause(self, host: int) -> None:
        self.signal(host, signal.SIGSTOP)
        time.sleep(PAUSE)
        self.signal(host, signal.SIGCONT)

    def signal(self, host: int, number: int) -> None:
        if self.processes[host].is_alive():
            os.killpg(self.processes[host].pid, number)

    def kill_all(self) -> None:
        for host in self.processes:
            self.signal(host, signal.SIGKILL)

    def join(self) -> list[int | None]:
        for process in self.processes.values():
            process.join(180)
        return [process.exitcode for process in self.processes.values()]


@pytest.fixture(params=["journal", "postgresql", "study server"])
def urls(request) -> Iterator[tuple[str | None, str | None]]:
    """What the hosts share, and what the studies lie in."""
    if not _may_isolate():
        pytest.skip("needs the right to make network namespaces, which this user has not (CAP_SYS_ADMIN)")
    if request.param == "journal":
        yield None, None
        return
    database = request.getfixturevalue("postgres")
    with serving(database) if request.param == "study server" else nullcontext() as server:
        yield server.url if server else database, database


def test_every_trial_exactly_once_whatever_happens_to_the_hosts(urls, tmp_path):
    faults, (url, database) = random.Random(0), urls
    cluster = _Cluster(tmp_path, url)
    try:
        for _ in range(FAULTS):
            time.sleep(faults.uniform(0.2, 1.0))
            faults.choice([cluster.kill, cluster.pause])(faults.randrange(HOSTS))
        assert cluster.join() == [0] * HOSTS
    finally:
        cluster.kill_all()
    ended = open_in(tmp_path, PLAN, url=database).ended()
    assert [trial.number for trial in ended] == list(range(TRIALS))
    for trial in ended:
        outcomes = seed_outcomes(trial)
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        assert [outcome.seed_number for outcome in outcomes] == list(range(len(outcomes)))
        if trial.state == TrialState.COMPLETE:  # by one process, from these outcomes
            assert trial.value == np.median([outcome.value for outcome in outcomes])
