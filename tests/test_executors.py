"""Executors: how many workers there are, that all of them do the same, and that none outlives its driver."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import pytest
from executor_jobs import count, exercise, read_all, run_as_ray
from ray_nodes import MISSING

from grokking.config import ConfigError
from grokking.executors import resources
from grokking.executors.driver import Driver
from grokking.executors.executor import executor
from grokking.executors.processes import ProcessExecutor
from grokking.executors.source import source
from grokking.executors.thread import ThreadExecutor

FORK = multiprocessing.get_context("fork")
TESTS = Path(__file__).parent
PATH = f"{TESTS}:{TESTS.parent / 'src'}"


@pytest.mark.parametrize(
    ("cores", "replicas", "expected"),
    [(2, 1, 1), (2, 2, 2), (2, 3, 3), (2, 4, 2), (2, 5, 2), (2, 6, 2), (4, 6, 6), (4, 9, 4), (1, 3, 1)],
)
def test_processes_leave_no_core_idle_at_the_end(cores, replicas, expected, monkeypatch):
    monkeypatch.delenv("GROKKING_PROCESSES", raising=False)
    monkeypatch.setattr(resources, "cores", lambda: cores)
    assert resources.processes(replicas) == expected


@pytest.mark.parametrize("kind", [lambda: ProcessExecutor(2), lambda: ThreadExecutor("cpu")])
def test_local_executors_run_jobs_hand_on_errors_and_report(kind):
    with kind() as workers:
        exercise(workers)


def test_a_ray_cluster_of_this_machine_does_the_same():
    done = drive("exercise_chosen", with_ray())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_ray_cluster_of_two_nodes_does_the_same(ray_nodes):
    ray_nodes.add()
    done = drive("exercise_chosen", ray_nodes.variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_jobs_share_the_gpus_of_a_cluster(ray_nodes):
    """Ray takes the node's word for its GPU; the job here needs none."""
    ray_nodes.add("--num-gpus", "1")
    cases = {
        "cuda 1 True": {},
        "cuda 3 True": {"GROKKING_JOBS_PER_GPU": "3"},
        "cuda 2 True": {"GROKKING_JOBS_PER_GPU": "3", "GROKKING_PROCESSES": "2"},
        "cpu 2 True": {"GROKKING_DEVICE": "cpu"},
    }
    for shown, variables in cases.items():
        assert drive("show_workers", ray_nodes.variables | variables).stdout == f"{shown}\n"


def test_a_ray_worker_of_another_checkout_is_refused_in_one_line():
    printed = drive("run_other_code", with_ray()).stdout
    assert printed.startswith(f"error: the code on {socket.gethostname()} (")
    assert printed.endswith("start Ray there from a checkout of the same commit, set up by `make`\n")
    assert printed.count("\n") == 1


def test_a_worker_that_does_not_see_the_drivers_files_says_so_in_one_line():
    """A worker process by hand: it leaves this one's folder."""
    asked = (read_all, ("results/table",), Driver(source(), "/nowhere/checkout"), None)
    with ProcessPoolExecutor(1, FORK) as worker, pytest.raises(ConfigError, match=r"^results/table is not"):
        worker.submit(run_as_ray, asked).result()


def test_a_cluster_that_is_not_there_is_told_in_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for wrong in (address, "here"):
        told = drive("exercise_chosen", with_ray() | {"RAY_ADDRESS": wrong}).stderr
        assert "ConfigError: RAY_ADDRESS must be the host:port of a running Ray cluster" in told
        assert f"but got {wrong!r}" in told


def test_ray_that_is_not_installed_is_told_in_one_line(tmp_path):
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError")  # before the installed one
    environment = os.environ | {"GROKKING_EXECUTOR": "ray", "PYTHONPATH": f"{tmp_path}:{PATH}"}
    done = subprocess.run(command("exercise_chosen"), env=environment, capture_output=True, text=True)
    told = done.stderr
    assert told.endswith("needs Ray; run `pip install -r requirements-ray.txt`\n")


def with_ray() -> dict[str, str]:
    """The environment of a driver that starts a cluster of this machine."""
    pytest.importorskip("ray", reason=MISSING)
    own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return own | {"GROKKING_EXECUTOR": "ray", "GROKKING_PROCESSES": "2"}


def command(driver: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", f"import executor_jobs; executor_jobs.{driver}()"]


def drive(driver: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a driver of executor_jobs.py."""
    return subprocess.run(
        command(driver), env=environment | {"PYTHONPATH": PATH}, capture_output=True, text=True, timeout=120
    )


def test_a_job_that_reports_is_stopped_when_a_thread_is_closed():
    with ThreadExecutor("cpu") as thread:
        job = thread.submit(count, 10**12)
        while not thread.reports():
            time.sleep(0.01)
    assert type(job.exception()).__name__ == "JobStopped"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"GROKKING_EXECUTOR": "slurm"}, "GROKKING_EXECUTOR must be one of local, ray, but got 'slurm'"),
        ({"GROKKING_PROCESSES": "0"}, "GROKKING_PROCESSES must be a whole number of at least 1"),
    ],
)
def test_a_wrong_variable_is_told_in_one_line(variables, message, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        executor(4)


def _driver(connection):
    """Two workers: one at work for a minute, one that waits for work."""
    with ProcessExecutor(2) as workers:
        asked = [workers.submit(_own_pid, 0.2) for _ in range(4)]
        pids = {each.result() for each in asked}
        workers.submit(time.sleep, 60)
        connection.send(pids)
        time.sleep(60)


def test_a_worker_that_is_killed_is_told_in_one_line():
    """As the system does where memory runs out."""
    with (
        pytest.raises(ConfigError, match="one of 2 worker processes was killed") as told,
        ProcessExecutor(2) as workers,
    ):
        workers.submit(_kill_oneself).result()
    assert "\n" not in str(told.value)


def _kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


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
    assert still_alive(workers) == []


@pytest.mark.parametrize("kind", ["local", "ray"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_nothing_is_left_of_a_driver_that_ends_early(kind, number):
    environment = with_ray() if kind == "ray" else os.environ | {"GROKKING_EXECUTOR": kind}
    environment |= {"PYTHONPATH": PATH}
    driver = psutil.Popen(
        command("wait_for_ever"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert [driver.stdout.readline() for _ in range(2)] == [b"running\n", b"submitted\n"]
    time.sleep(2)  # Ray's agents start beside the job
    started = driver.children(recursive=True)
    assert started
    driver.send_signal(number)
    driver.wait(30)
    driver.stdout.close()
    assert still_alive(started) == []


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended after a while; they are killed. A zombie has ended."""
    deadline = time.monotonic() + 20
    while (alive := list(filter(runs, processes))) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in alive:
        process.kill()
    return alive


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
