"""Trials of other hosts are held by leases: renewed, taken over when expired, given up when lost."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout
from optuna.trial import TrialState
from searches import ORDER, open_in, plan_of, search, search_as, search_task
from sqlalchemy.exc import OperationalError

from grokking.search import leases, owner, scheduler
from grokking.search.executor import ReplicaExecutor, replica_executor
from grokking.search.leases import Leases
from grokking.search.owner import OWNER, this_process
from grokking.search.scheduler import Scheduler
from grokking.search.seed_job import SeedOutcome
from grokking.search.study_lock import StudyLock
from grokking.search.trial_outcomes import seed_outcomes

FORK = multiprocessing.get_context("fork")
HOUR = 3600.0


class Clock:
    """`time.monotonic` that a test sets."""

    def __init__(self, monkeypatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(leases.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def elsewhere(renewed: float) -> dict:
    """The owner of a trial on another host, whose own clock may say anything."""
    return this_process() | {"host": "elsewhere", "pid": 1, "renewed": renewed}


@pytest.mark.parametrize("skew", [-HOUR, 0.0, HOUR])
def test_a_lease_expires_by_the_clock_of_the_one_who_waits(skew, clock):
    kept, said = Leases(), time.time() + skew
    assert not kept.has_expired(0, elsewhere(said))
    clock.now += leases.LEASE_SECONDS - 1
    assert not kept.has_expired(0, elsewhere(said))
    assert not kept.has_expired(0, elsewhere(said + 60))  # renewed just now
    clock.now += leases.LEASE_SECONDS - 1
    assert not kept.has_expired(0, elsewhere(said + 60))
    clock.now += 1
    assert kept.has_expired(0, elsewhere(said + 60))


def test_own_trials_are_renewed_once_a_minute(tmp_path, clock):
    trials = open_in(tmp_path, plan_of())
    trial = trials.ask()

    def renewed() -> float:
        return trials.running()[0].user_attrs[OWNER]["renewed"]

    first = renewed()
    assert trials.renew_leases([trial]) == []
    clock.now += leases.RENEW_SECONDS - 1
    assert trials.renew_leases([trial]) == []
    assert renewed() == first
    clock.now += 1
    assert trials.renew_leases([trial]) == []
    assert renewed() > first


def test_a_trial_that_another_has_taken_over_or_ended_is_no_longer_kept(tmp_path):
    trials = open_in(tmp_path, plan_of())
    kept, taken, ended = trials.ask(), trials.ask(), trials.ask()
    taken.set_user_attr(OWNER, elsewhere(time.time()))
    trials.optuna.tell(ended, 1.0)
    assert trials.renew_leases([kept, taken, ended]) == [taken.number, ended.number]
    assert trials.running()[1].user_attrs[OWNER]["host"] == "elsewhere"  # it was not renewed


def test_a_search_goes_on_after_its_host_was_renamed(tmp_path, monkeypatch):
    """Its own former trials look like another host's, and nobody renews them."""
    monkeypatch.setattr(owner.socket, "gethostname", lambda: "former")
    abandoned = open_in(tmp_path, plan_of()).ask()
    monkeypatch.setattr(owner.socket, "gethostname", lambda: "renamed")
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)
    trials = search(plan_of(), tmp_path)
    assert [trial.number for trial in trials.ended()] == list(range(plan_of().config.trials))
    assert trials.ended()[abandoned.number].user_attrs[OWNER]["host"] == "renamed"


def _take_over_and_end(folder: Path, number: int, monkeypatch) -> None:
    """What a process on another host does with a trial whose lease has expired."""
    with monkeypatch.context() as patch:
        patch.setattr(owner.socket, "gethostname", lambda: "elsewhere")
        patch.setattr(leases, "LEASE_SECONDS", 0.0)
        other = open_in(folder, plan_of())
        assert other.ask().number != number  # the lease is first watched, then found expired
        taken = other.ask()
        assert taken.number == number
        other.optuna.tell(taken, 1.0)


class _TakenOver(ReplicaExecutor):
    """Its process is paused while it waits for its first job; another ends the trial meanwhile."""

    def __init__(self, executor: ReplicaExecutor, take_over: Callable[[int], None]) -> None:
        super().__init__(executor.workers, executor.task, executor.order)
        self.take_over, self.taken = take_over, []

    def wait(self, seconds: float | None = None) -> list[SeedOutcome]:
        outcomes = super().wait(seconds)
        if outcomes and not self.taken:
            self.taken.append(outcomes[0].trial)
            self.take_over(outcomes[0].trial)
        return outcomes


def test_a_trial_that_was_lost_is_given_up_without_a_write(tmp_path, monkeypatch):
    trials = open_in(tmp_path, plan_of())
    with replica_executor(search_task(), ORDER) as executor:
        slow = _TakenOver(executor, lambda number: _take_over_and_end(tmp_path, number, monkeypatch))
        Scheduler(plan_of(), trials, slow).run()
    (number,) = slow.taken
    after = trials.ended()[number]
    assert (after.state, after.value) == (TrialState.COMPLETE, 1.0)  # as the other has ended it
    assert not seed_outcomes(after)


@pytest.mark.parametrize("moment", ["ActiveTrial", "save_outcome", "end_trial"])
def test_nobody_can_take_a_trial_over_while_it_is_written_to(moment, tmp_path, monkeypatch):
    held, write = [], getattr(scheduler, moment)

    def watched(*arguments):
        held.append(_is_held(tmp_path / "tiny.lock"))
        return write(*arguments)

    monkeypatch.setattr(scheduler, moment, watched)
    search(plan_of(), tmp_path)
    assert held
    assert all(held)


def _is_held(lock: Path) -> bool:
    """Whether a process holds a lock, this one included."""
    try:
        with FileLock(lock, timeout=0.0):
            return False
    except Timeout:
        return True


def test_hosts_without_a_common_folder_share_a_lock_in_postgresql(postgres, tmp_path):
    """It is released by a process that is killed while it holds it."""
    entered, held = FORK.Event(), FORK.Event()

    def hold() -> None:
        with StudyLock(tmp_path / "one" / "tiny.lock", postgres):
            held.set()
            time.sleep(60)

    def enter() -> None:
        lock = StudyLock(tmp_path / "other" / "tiny.lock", postgres)
        with lock, lock:
            entered.set()

    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    holder, other = FORK.Process(target=hold), FORK.Process(target=enter)
    holder.start()
    assert held.wait(30)
    other.start()
    assert not entered.wait(1)
    holder.kill()
    assert entered.wait(30)
    other.join()
    assert other.exitcode == 0


def test_a_server_that_is_gone_leaves_no_lock_held(tmp_path):
    lock = StudyLock(tmp_path / "tiny.lock", f"postgresql+psycopg2://nobody@/none?host={tmp_path}")
    with pytest.raises(OperationalError), lock:
        pass
    assert not _is_held(tmp_path / "tiny.lock")


def test_a_file_alone_locks_a_journal(tmp_path):
    lock = StudyLock(tmp_path / "tiny.lock", None)
    with lock:
        with lock:
            pass
        assert _is_held(tmp_path / "tiny.lock")
    assert not _is_held(tmp_path / "tiny.lock")


def _stopped_within_a_trial(process, folder: Path) -> None:
    """Stop a process and its workers while it trains, and not while it holds the study's lock."""
    while True:
        trials = open_in(folder, plan_of()).running()
        if any(trial.user_attrs.get(OWNER, {}).get("host") == "paused" for trial in trials):
            os.killpg(process.pid, signal.SIGSTOP)
            try:
                for lock in ("tiny.lock", "tiny.writing"):
                    with FileLock(folder / lock, timeout=0.2):
                        pass
                return
            except Timeout:
                os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.01)


def test_a_process_that_slept_through_its_lease_gives_its_trials_up(tmp_path):
    """Nothing is lost, run twice or told twice, and neither process ends with an error."""
    paused = FORK.Process(target=search_as, args=("paused", tmp_path, plan_of(), 60.0))
    paused.start()
    try:
        _stopped_within_a_trial(paused, tmp_path)
        awake = FORK.Process(target=search_as, args=("awake", tmp_path, plan_of(), 1.0))
        awake.start()
        awake.join(120)
        assert awake.exitcode == 0
        told = {trial.number: trial for trial in open_in(tmp_path, plan_of()).ended()}
        os.killpg(paused.pid, signal.SIGCONT)
        paused.join(60)
        assert paused.exitcode == 0
    finally:
        for process in psutil.Process().children(recursive=True):
            process.kill()
    after = {trial.number: trial for trial in open_in(tmp_path, plan_of()).ended()}
    assert sorted(after) == list(range(plan_of().config.trials))
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in after.values())
    for number, trial in after.items():
        assert trial == told[number]  # as it was before the paused process went on
        assert len({outcome.seed_number for outcome in seed_outcomes(trial)}) == len(seed_outcomes(trial))
