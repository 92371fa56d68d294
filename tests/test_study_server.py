"""Searches of several hosts through a study server: they share its studies and locks, and nothing else."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState
from postgres_server import free_port
from searches import open_in, plan_of, search_as, stage_folder
from study_server import ROOT, command, require_grpc

from grokking.config import ConfigError
from grokking.search import lock_service, study_server
from grokking.search.owner import OWNER
from grokking.search.server_address import ServerAddress, read_address, read_port
from grokking.search.storage import Storage
from grokking.search.study_lock import StudyLock
from grokking.search.trial_outcomes import seed_outcomes

FORK = multiprocessing.get_context("fork")
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1"}
WAIT = 30  # seconds for what takes less than one


def test_two_hosts_search_one_study_and_one_is_killed(study_server, tmp_path):
    """Every trial is there exactly once; the other host takes over what the killed one has begun."""
    hosts = {
        name: FORK.Process(target=search_as, args=(name, tmp_path / name, plan_of(), 1.0, study_server.url))
        for name in ("killed", "other")
    }
    look = open_in(tmp_path, plan_of(), url=study_server.database)
    try:
        hosts["killed"].start()
        while not any(trial.user_attrs[OWNER]["host"] == "killed" for trial in _owned(look)):
            time.sleep(0.01)
        hosts["other"].start()
        os.killpg(hosts["killed"].pid, signal.SIGKILL)
        hosts["other"].join(120)
        assert hosts["other"].exitcode == 0
    finally:
        for process in hosts.values():
            if process.is_alive():
                os.killpg(process.pid, signal.SIGKILL)
    ended = look.ended()
    assert [trial.number for trial in ended] == list(range(plan_of().config.trials))
    for trial in ended:
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        assert trial.user_attrs[OWNER]["host"] == "other"
        seeds = [outcome.seed_number for outcome in seed_outcomes(trial)]
        assert seeds == list(range(len(seeds)))


def _owned(look):
    return [trial for trial in look.running() if OWNER in trial.user_attrs]


# Locks


class _Client:
    """A process that takes the lock of the study `tiny` for a minute; `enter` is called first."""

    def __init__(self, folder: Path, url: str, enter: Callable[[], None] = lambda: None) -> None:
        self.held = FORK.Event()
        self.process = FORK.Process(target=self._hold, args=(folder, url, enter))
        self.process.start()

    def _hold(self, folder: Path, url: str, enter: Callable[[], None]) -> None:
        enter()
        folder.mkdir()
        lock = StudyLock(folder / "tiny.lock", url)
        with lock:
            with lock:  # the same process may enter it again, and leave it
                pass
            self.held.set()
            time.sleep(60)


@contextmanager
def _two_clients(folder: Path, url: str, enter: Callable[[], None] = lambda: None):
    """One that holds the lock and one that waits for it."""
    clients = [_Client(folder / "holder", url, enter)]
    try:
        assert clients[0].held.wait(WAIT)
        clients.append(_Client(folder / "other", url))
        assert not clients[1].held.wait(1)
        yield clients
    finally:
        for client in clients:
            client.process.kill()
            client.process.join()


def test_a_client_waits_for_the_lock_and_has_it_once_its_holder_is_killed(study_server, tmp_path):
    with _two_clients(tmp_path, study_server.url) as (holder, other):
        holder.process.kill()
        assert other.held.wait(WAIT)


@contextmanager
def _impatient_server(host: str, folder: Path) -> Iterator[str]:
    """One that gives up a silent host after a second or two; its URL."""
    require_grpc()
    address, started = ServerAddress(host, free_port()), FORK.Event()
    process = FORK.Process(target=_serve_impatiently, args=(address, folder, started))
    process.start()
    try:
        assert started.wait(WAIT)
        yield address.url
    finally:
        process.kill()
        process.join()


def _serve_impatiently(address: ServerAddress, folder: Path, started: Any) -> None:
    lock_service.SECONDS_BETWEEN_MESSAGES = 0.2
    options = dict(study_server.OPTIONS) | {"grpc.keepalive_timeout_ms": 1000}
    study_server.OPTIONS = tuple(options.items())
    study_server.serve(Storage(folder, f"sqlite:///{folder}/studies.db").open("tiny"), address, started.set)


def test_the_lock_of_a_host_that_falls_silent_is_free(cabled_host, tmp_path):
    with (
        _impatient_server(cabled_host.here, tmp_path) as url,
        _two_clients(tmp_path, url, cabled_host.enter) as (_, other),
    ):
        cabled_host.cut()
        assert other.held.wait(WAIT)


def test_a_process_that_is_paused_keeps_the_lock(tmp_path):
    """It would write when it wakes."""
    with (
        _impatient_server("127.0.0.1", tmp_path) as url,
        _two_clients(tmp_path, url) as (holder, other),
    ):
        os.kill(holder.process.pid, signal.SIGSTOP)
        assert not other.held.wait(5)
        holder.process.kill()
        assert other.held.wait(WAIT)


def test_a_lock_that_the_server_ended_is_told_to_its_holder(study_server, tmp_path):
    """It has written what others did not expect."""
    told, held = FORK.Queue(), FORK.Event()
    holder = FORK.Process(target=_tell, args=(tmp_path, study_server.url, held, told))
    holder.start()
    assert held.wait(WAIT)
    study_server.process.kill()
    assert told.get(timeout=WAIT) == "the server has ended the lock of the study while it was held"
    holder.join()


def _tell(folder: Path, url: str, held: Any, told: Any) -> None:
    """The error of a lock that is held until the server is gone."""
    lock = StudyLock(folder / "tiny.lock", url)
    try:
        with lock:
            held.set()
            while lock.across_hosts.call.is_active():
                time.sleep(0.1)
    except ConnectionError as error:
        told.put(str(error))


# Errors


def _told(*words: str, cwd: Path = ROOT) -> str:
    """The error of a script that ends with code 2, without a traceback."""
    with command(*words, cwd=cwd) as process:
        _, told = process.communicate(timeout=120)
    assert process.returncode == 2, told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def test_a_server_that_is_not_there_is_told_in_one_line(tmp_path):
    require_grpc()
    url = ServerAddress("127.0.0.1", free_port()).url
    told = _told("search", "tiny", "--storage", url, cwd=stage_folder(tmp_path / "f"))
    assert told.startswith(f"error: `--storage` {url} cannot be opened: ")
    assert "Connection refused" in told


def test_another_server_of_grpc_is_told_in_one_line(tmp_path):
    """Such as Optuna's own, which keeps no locks."""
    require_grpc()
    address, started = ServerAddress("127.0.0.1", free_port()), FORK.Event()
    server = FORK.Process(target=_serve_nothing, args=(address, started))
    server.start()
    try:
        assert started.wait(WAIT)
        told = _told("search", "tiny", "--storage", address.url, cwd=stage_folder(tmp_path / "f"))
    finally:
        server.kill()
        server.join()
    assert told.endswith("it is another gRPC server; start python -m pipelines.study_server\n")


def _serve_nothing(address: ServerAddress, started: Any) -> None:
    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(address.target)
    server.start()
    started.set()
    server.wait_for_termination()


def test_a_server_that_ends_during_a_search_is_told_in_one_line(study_server, tmp_path):
    folder = stage_folder(tmp_path / "f", trials=100_000)
    with command("search", "tiny", "--storage", study_server.url, cwd=folder) as search:
        while search.poll() is None and not _trials(study_server.database):
            time.sleep(0.1)
        study_server.process.kill()
        _, told = search.communicate(timeout=120)
    assert search.returncode == 2, told
    assert told.startswith(f"error: `--storage` {study_server.url} failed: ")
    assert told.endswith("; mend it, and the same command goes on from here\n")
    assert told.count("\n") == 1


def _trials(url: str) -> int:
    return sum(study.n_trials for study in optuna.get_all_study_summaries(url))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_without_an_error(number, study_server, tmp_path):
    """Also while clients hold a lock and wait for it."""
    with _two_clients(tmp_path, study_server.url):
        study_server.process.send_signal(number)
        _, told = study_server.process.communicate(timeout=WAIT)
    assert (study_server.process.returncode, told) == (0, "")


def test_a_server_listens_on_this_machine_only(study_server):
    places = psutil.Process(study_server.process.pid).net_connections("inet")
    listening = {place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN}
    assert listening
    assert listening <= LOOPBACK


def test_a_port_that_is_taken_is_told_in_one_line(study_server):
    port = study_server.url.rpartition(":")[2]
    told = _told("study_server", "--storage", study_server.database, "--port", port)
    assert f"`--port` {port} cannot be listened on: the port is taken, " in told


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ("sqlite:////nowhere/study.db", "`--storage` sqlite:////nowhere/study.db cannot be opened: "),
        (
            "postgresql+psycopg2://u:secretpw@127.0.0.1:1/x",
            "`--storage` postgresql+psycopg2://u:***@127.0.0.1:1/x",
        ),
        ("grpc://127.0.0.1:13000", "is a study server itself; name its database"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told_in_one_line(storage, told):
    require_grpc()
    assert told in _told("study_server", "--storage", storage)


@pytest.mark.parametrize("port", ["", "0", "65536", "13000x", "-1"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ConfigError, match=r"^`--port` must be a whole number from 1 to 65535, but got "):
        read_port(port, "`--port`")


@pytest.mark.parametrize("host", ["127.0.0.1", "node-3.cluster", "[::1]"])
def test_an_address_is_read(host):
    assert read_address(f"grpc://{host}:13000") == ServerAddress(host, 13000)


@pytest.mark.parametrize(
    "url", ["grpc://127.0.0.1", "grpc://:13000", "grpc://u:p@host:13000", "grpc://host:13000/", "grpc:host:1"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(
        ConfigError, match=r"^it must be grpc://, a host and a port, without a login; such as "
    ):
        read_address(url)
