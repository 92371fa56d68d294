"""A study gives the same trials however often it is killed, and each of them once however many search."""

import itertools
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import psutil
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from searches import (
    ORDER,
    decisive,
    job_of,
    network,
    open_in,
    outcome_of,
    plan_of,
    search,
    search_task,
    stage_folder,
)
from test_architecture import imported

from grokking.config import ConfigError
from grokking.executors.thread import ThreadExecutor
from grokking.search import executor, leases, results, study
from grokking.search import study_key as keys
from grokking.search.config import SEARCH_HOLD_STEPS, StudyPlan, random_arm
from grokking.search.executor import ReplicaExecutor, replica_executor
from grokking.search.owner import OWNER, this_process
from grokking.search.pruning_context import context_of
from grokking.search.scheduler import ActiveTrial, Scheduler
from grokking.search.seed_job import BUDGET, GENERALIZED, SeedJob, SeedOutcome
from grokking.search.space import suggest
from grokking.search.study import max_trials
from grokking.search.study_key import study_key
from grokking.search.tables import best_trials, trial_table
from grokking.search.trial_outcomes import save_outcome, seed_outcomes
from pipelines import search as stage

KILLS = 5
FORK = multiprocessing.get_context("fork")
needs_groups = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="needs process groups, which this system lacks"
)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """Trials in a fixed order, one after the other."""
    monkeypatch.setenv("GROKKING_DEVICE", "cpu")
    monkeypatch.setenv("GROKKING_PROCESSES", "1")


def table(trials):
    """What a study found, in the order in which trials ended, without seconds."""
    return [
        (t.number, t.state.name, t.value, t.params, [decisive(o) for o in seed_outcomes(t)])
        for t in trials.ended()
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study in one go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROKKING_DEVICE", "cpu")
        patch.setenv("GROKKING_PROCESSES", "1")
        return table(search(plan_of(), tmp_path_factory.mktemp("whole")))


def test_the_same_seed_gives_the_same_trials(whole, tmp_path):
    assert table(search(plan_of(), tmp_path)) == whole
    assert [number for number, *_ in whole] == list(range(6))
    assert len({params["optimizer.learning_rate"] for *_, params, _ in whole}) == 6
    assert any(state == "COMPLETE" for _, state, *_ in whole)


def test_another_seed_gives_other_trials(whole, tmp_path):
    plan = plan_of(sampler={"name": "tpe", "seed": 1, "startup_trials": 3}, trials=1)
    assert table(search(plan, tmp_path))[0][3] != whole[0][3]


@pytest.mark.parametrize("first", [1, 4])
def test_a_search_that_was_ended_and_begun_again_asks_for_the_same(first, whole, tmp_path):
    """Once among the trials drawn at random, once among those that TPE chose."""
    assert len(table(search(plan_of(), tmp_path, max_trials(first)))) == first
    assert table(search(plan_of(), tmp_path)) == whole


@pytest.mark.parametrize(("before", "known"), [(0, 2), (4, 1)])
def test_a_trial_that_was_lost_between_two_parameters_gets_the_others(before, known, whole, tmp_path):
    search(plan_of(), tmp_path, max_trials(before))
    plan = plan_of()
    trial = open_in(tmp_path, plan).ask()
    suggest(trial, dict(list(plan.config.space.items())[:known]))
    trial.set_user_attr(OWNER, dead())
    assert table(search(plan, tmp_path)) == whole


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_other_samplers_go_on_as_well(sampler, tmp_path):
    plan = plan_of(sampler={"name": sampler, "seed": 0, "startup_trials": 3}, trials=2)
    at_once = table(search(plan, tmp_path / "at_once"))
    search(plan, tmp_path / "later", max_trials(1))
    assert table(search(plan, tmp_path / "later")) == at_once


def test_parameters_of_one_trial_are_drawn_apart(tmp_path):
    """Not one number for all of them, whatever their ranges."""
    trials = open_in(tmp_path, plan_of(trials=20))
    points = [suggest(trials.ask(), {"a": _unit(), "b": _unit()}) for _ in range(20)]
    assert abs(_correlation([p["a"] for p in points], [p["b"] for p in points])) < 0.6


def _unit():
    return replace(plan_of().config.space["model.init_scale"], kind="linear", low=0.0, high=1.0)


def _correlation(one, other):
    return np.corrcoef(one, other)[0, 1]


def test_points_to_try_first_come_first_also_after_a_kill(tmp_path, monkeypatch):
    """The process dies after it has written the first of three."""
    rates = [0.03, 0.04, 0.05]
    plan = plan_of(initial_points=[{"optimizer.learning_rate": rate} for rate in rates], trials=4)
    enqueue = optuna.Study.enqueue_trial

    def enqueue_one(self, *arguments, **keywords):
        enqueue(self, *arguments, **keywords)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "enqueue_trial", enqueue_one)
        with pytest.raises(KeyboardInterrupt):
            open_in(tmp_path, plan)
    for _ in range(2):
        trials = open_in(tmp_path, plan)
    found = [suggest(trials.ask(), plan.config.space)["optimizer.learning_rate"] for _ in range(4)]
    assert found[:3] == rates
    assert found[3] not in rates
    assert trials.ask() is None


def test_the_first_trial_runs_alone_and_the_others_are_raced_against_it(tmp_path):
    submitted: list[SeedJob] = []

    class Spied(ReplicaExecutor):
        def submit(self, job):
            submitted.append(job)
            super().submit(job)

    good = {"model.init_scale": 0.1, "optimizer.learning_rate": 0.03, "optimizer.decay_rate": 0.1}
    plan = plan_of(trials=4, initial_points=[good], experiment=network(budget=200))
    trials = open_in(tmp_path, plan)
    with ThreadExecutor("cpu") as thread:
        thread.workers = 4
        Scheduler(plan, trials, Spied(thread, search_task(), ORDER)).run()
    assert [(job.trial, job.seed_number) for job in submitted[:3]] == [(0, 0), (0, 1), (1, 0)]
    assert [math.isinf(job.context.limit) for job in submitted] == [job.trial == 0 for job in submitted]
    assert submitted[2].context.limit == pytest.approx(1.5 * 10 ** trials.ended()[0].value)
    assert {job.trial for job in submitted if job.exempt} == {0, 1}


def test_the_first_trials_and_every_nth_are_never_stopped():
    pruner = plan_of().config.pruner
    assert [number for number in range(12) if pruner.is_exempt(number)] == [0, 1, 4, 9]
    assert all(replace(pruner, name="none").is_exempt(number) for number in range(12))


@pytest.fixture
def trials_of_three_seeds(tmp_path):
    """The study's first two trials, each with what is known of its seeds."""
    seeds = {"seeds": [0, 1, 2], "split_seeds": [0, 1, 0]}
    plan = plan_of(search=seeds, confirm={"seeds": [5], "split_seeds": [2]})
    study = open_in(tmp_path, plan)

    def begun(*outcomes):
        asked = study.ask()
        for outcome in outcomes:
            save_outcome(asked, outcome)
        return ActiveTrial(asked, plan)

    return begun


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_a_trial_is_what_its_middle_seed_is(order, trials_of_three_seeds):
    """Not its mean: one of three that did not arrive is no part of the value."""
    ends = [(1.0, 0.0, GENERALIZED), (1.2, 0.1, BUDGET), (9.0, 0.5, "stagnant")]
    seeds = [outcome_of(seed, value=v, gap=g, reason=r) for seed, (v, g, r) in zip(order, ends, strict=True)]
    trial = trials_of_three_seeds(*seeds)
    assert (trial.value(), trial.gap(), trial.reason()) == (1.2, 0.1, BUDGET)
    assert trial.is_done


@pytest.mark.parametrize(("cost", "follow"), [(60.0, [1, 2]), (70.0, [1, 2]), (70.1, []), (None, [])])
def test_other_seeds_follow_one_that_cost_no_more_than_the_limit(cost, follow, trials_of_three_seeds):
    """But for the study's first trial, of which all are trained at once."""
    first = trials_of_three_seeds()
    assert first.next_seeds(limit=70.0) == [0, 1, 2]
    assert trials_of_three_seeds().next_seeds(limit=70.0) == [0]
    assert trials_of_three_seeds(outcome_of(0, cost)).next_seeds(limit=70.0) == follow


@pytest.mark.parametrize(
    ("known", "middle"), [([], None), ([4.0], 4.0), ([1.0, 2.0, 9.0], 2.0), ([1.0, 2.0, 6.0, 9.0], 4.0)]
)
def test_a_replica_is_compared_with_the_median_of_those_before_it(known, middle, tmp_path):
    plan = plan_of()
    study = open_in(tmp_path, plan)
    study.known.memorization_steps = study.known.generalization_norms = known
    context = context_of(plan.replicas({}, plan.config.search)[0].config, study.known, limit=7.0)
    assert context.limit == 7.0
    assert (context.memorization_step, context.generalization_norm) == (middle, middle)


def test_a_study_of_another_key_is_another_study(tmp_path):
    plan = plan_of()
    keys = {
        study_key(plan, "core"),
        study_key(plan, "other core"),
        study_key(plan_of(objective="flops"), "core"),
        study_key(plan_of(experiment=network(budget=50)), "core"),
        study_key(random_arm(plan), "core"),
    }
    assert len(keys) == 5
    more = plan_of(trials=9, confirm={"seeds": [7], "split_seeds": [2]})
    assert study_key(more, "core") == study_key(plan, "core")  # goes on where it was


def test_only_the_first_seed_of_a_trial_must_prove_that_it_leads(tmp_path):
    plan = plan_of(leader_hold_steps=300)
    trials = open_in(tmp_path, plan)
    scheduler, trial = Scheduler(plan, trials, executor=None), ActiveTrial(trials.ask(), plan)
    assert [scheduler._job(trial, number).leads_below for number in (0, 1)] == [math.inf, 0.0]
    trials.known.best = 2.0
    assert scheduler._job(trial, 0).leads_below == pytest.approx(100)
    assert scheduler._job(trial, 0).leader_hold_steps == 300
    assert plan_of().config.leader_hold_steps == SEARCH_HOLD_STEPS


def test_a_changed_rule_begins_a_new_study(monkeypatch):
    before = study_key(plan_of(), "core")
    monkeypatch.setattr(keys, "code_of_trials", lambda: "a stricter rule")
    assert study_key(plan_of(), "core") != before


def test_what_decides_how_a_trial_ends_imports_nothing_else_of_the_search():
    """Else a change there would go on with the trials of before. What only keeps and shares trials may."""
    for name in keys.DECIDING:
        found = imported(Path(keys.__file__).with_name(f"{name}.py"))
        own = {dotted.split(".")[2] for dotted in found if dotted.startswith("grokking.search.")}
        assert own - set(keys.DECIDING) <= {"leases", "study"}, name


def test_an_error_of_the_folder_of_studies_is_not_one_of_the_storage_option(tmp_path):
    plan = plan_of()
    (tmp_path / f"{plan.name}.lock").mkdir()
    with pytest.raises(IsADirectoryError):
        open_in(tmp_path, plan)


# Trials that change hands


def dead():
    """The owner that a process which is gone has left in its trials."""
    process = FORK.Process(target=time.sleep, args=(0.2,))
    process.start()
    owner = owned_by(process.pid)
    process.join()
    return owner


def owned_by(pid):
    return this_process() | {"pid": pid, "started": psutil.Process(pid).create_time()}


def test_seeds_that_were_finished_are_not_trained_again(whole, tmp_path, monkeypatch):
    """The first seed's outcome is as it was, seconds and all; only the second is submitted."""
    plan = plan_of(trials=1)
    trial = open_in(tmp_path, plan).ask()
    suggest(trial, plan.config.space)
    known = SeedOutcome(**whole[0][4][0], seconds=1234.5)
    assert known.cost is not None  # so that the second seed is wanted
    save_outcome(trial, known)
    trial.set_user_attr(OWNER, dead())

    submitted, submit = [], ReplicaExecutor.submit

    def spy(self, job):
        submitted.append((job.trial, job.seed_number))
        submit(self, job)

    monkeypatch.setattr(ReplicaExecutor, "submit", spy)
    trials = search(plan, tmp_path)
    assert submitted == [(0, 1)]
    assert table(trials) == whole[:1]
    assert seed_outcomes(trials.ended()[0])[0].seconds == 1234.5


def test_only_trials_of_processes_that_are_gone_are_taken_over(tmp_path, monkeypatch):
    """A zombie is gone too: nobody may ever look at what became of it. One whose clock was set is not."""
    trials = open_in(tmp_path, plan_of(trials=9))
    asked = [trials.ask() for _ in range(4)]
    living = FORK.Process(target=time.sleep, args=(60,))
    living.start()
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    clock_was_set = owned_by(living.pid)
    clock_was_set["started"] += 20
    owners = [
        clock_was_set,
        owned_by(zombie.pid),
        this_process() | {"host": "elsewhere", "pid": 1},
        dead(),
    ]
    for trial, owner in zip(asked, owners, strict=True):
        trial.set_user_attr(OWNER, owner)
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    try:
        assert [trials.ask().number for _ in range(3)] == [1, 3, 4]
        assert trials.optuna.trials[1].user_attrs[OWNER]["pid"] == os.getpid()
        monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)  # of the one elsewhere, watched since the first ask
        assert [trials.ask().number for _ in range(2)] == [2, 5]
    finally:
        living.kill()
        living.join()
        zombie.wait()


def test_of_two_points_the_runner_up_is_the_other(tmp_path):
    """Eight trials of a space of two points: of trials of one point only the first counts."""
    scales = {"model.init_scale": {"kind": "choice", "values": [0.1, 0.12]}}
    trials = search(plan_of(space=scales, trials=8), tmp_path)
    ranking = best_trials(trial_table(trials, plan_of(space=scales, trials=8)))
    points = [trials.ended()[number].params["model.init_scale"] for number in ranking]
    assert len(ranking) == 2
    assert len(set(points)) == 2


def test_a_trial_that_another_program_has_ended_is_listed_and_never_chosen(tmp_path):
    plan = plan_of(trials=3)
    opened = open_in(tmp_path, plan)
    foreign = opened.optuna.ask()
    opened.optuna.tell(foreign, -9.0)
    results.write({"search": search(plan, tmp_path)}, plan, search_task(), tmp_path / "tables")
    trials = pd.read_parquet(tmp_path / "tables/trials.parquet").set_index("trial")
    assert trials.loc[foreign.number, "reason"] == "ended by another program"
    assert trials["reason"].nunique() > 1
    assert foreign.number not in {arm["trial"] for arm in results.read_best(tmp_path / "tables").values()}


def test_a_pid_that_was_given_again_is_not_the_owner(tmp_path):
    trials = open_in(tmp_path, plan_of())
    trials.ask().set_user_attr(OWNER, this_process() | {"started": time.time() - 10**6})
    assert trials.ask().number == 0


@pytest.mark.parametrize("torn", [0, 7])
def test_a_process_killed_while_it_writes_locks_nobody_out(torn, tmp_path, monkeypatch):
    """Killed with the journal's lock in its hands and, in one case, a line of the journal half written."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path.relative_to(tmp_path) / "studies"
    writer = FORK.Process(target=_die_writing, args=(folder, torn))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL

    reader = FORK.Process(target=_go_on_after, args=(folder, tmp_path / "found"))
    reader.start()
    reader.join(20)
    hangs = reader.is_alive()
    reader.kill()
    reader.join()
    assert not hangs
    assert json.loads((tmp_path / "found").read_text()) == {"before": 1, "after": 2} | (
        {} if torn else {"during": "killed"}
    )


@pytest.mark.parametrize("damage", ["bit", "cut", "middle", "gone", "empty"])
def test_a_damaged_journal_is_refused_by_name(damage, tmp_path):
    """A digit of a number, its second half, a line in the middle, all of it but for its sum."""
    search(plan_of(), tmp_path, max_trials(2))
    journal = tmp_path / "tiny.journal"
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    digit = whole.index(b'"value":') + 10
    changed = {
        "bit": whole[:digit] + bytes([whole[digit] ^ 1]) + whole[digit + 1 :],
        "cut": whole[: len(whole) // 2],
        "middle": b"".join(lines[:3] + lines[4:]),
        "empty": b"",
        "gone": None,
    }[damage]
    journal.unlink()
    if changed is not None:
        journal.write_bytes(changed)
    with pytest.raises(ConfigError) as told:
        open_in(tmp_path, plan_of())
    assert str(told.value) == (
        f"{journal} is damaged: it is not what was written; restore it and {journal}.sum from a copy, or "
        "remove both and search again"
    )
    assert not journal.exists() or journal.read_bytes() == changed


def test_a_journal_of_earlier_code_and_lines_of_the_dashboard_are_read(whole, tmp_path):
    """Neither has a sum; from then on they have."""
    search(plan_of(), tmp_path, max_trials(2))
    journal, kept = tmp_path / "tiny.journal", tmp_path / "tiny.journal.sum"
    kept.unlink()
    assert len(open_in(tmp_path, plan_of()).optuna.trials) == 2
    journal_storage = JournalStorage(JournalFileBackend(str(journal)))
    journal_storage.set_study_user_attr(0, "note", "of the dashboard")
    assert table(search(plan_of(), tmp_path)) == whole
    journal.write_bytes(journal.read_bytes().replace(b"of the dashboard", b"of the dashboarb"))
    with pytest.raises(ConfigError, match="is damaged"):
        open_in(tmp_path, plan_of())


def _die_writing(folder, torn):
    trial = open_in(folder, plan_of()).ask()
    trial.set_user_attr("before", 1)

    def die(descriptor):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - torn)
        os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = die
    trial.set_user_attr("during", "killed")


def _go_on_after(folder, result):
    trials = open_in(folder, plan_of())
    optuna.trial.Trial(trials.optuna, 0).set_user_attr("after", 2)
    again = open_in(folder, plan_of())
    kept = again.optuna.trials[0].user_attrs
    result.write_text(json.dumps({name: value for name, value in kept.items() if name != OWNER}))


# Executors


def jobs_of_every_end():
    """Seven replicas of two shapes; some generalize, one is raced, one diverges."""
    plan = plan_of()
    points = [
        {"optimizer.learning_rate": 0.03, "optimizer.decay_rate": 0.1},
        {"optimizer.learning_rate": 0.05, "optimizer.decay_rate": 0.1},
        {"optimizer.learning_rate": 1e-4, "optimizer.decay_rate": 0.1},
        {"optimizer.learning_rate": 1e6, "optimizer.decay_rate": 0.1},
        {"optimizer.learning_rate": 0.03, "optimizer.decay_rate": 0.05},
        {"optimizer.learning_rate": 0.03, "optimizer.decay_rate": 0.1, "model.hidden_widths": [16]},
        {"optimizer.learning_rate": 0.04, "optimizer.decay_rate": 0.1, "model.hidden_widths": [16]},
    ]
    replicas = [plan.replicas(point, plan.config.search)[0] for point in points]
    known = {"exempt": False, "limit": 70.0}
    return [job_of(replace(replica, index=i), **known) for i, replica in enumerate(replicas)]


def run_jobs(executor, jobs):
    """All outcomes by trial, and how many jobs ran at once; a free worker gets a job at once."""
    waiting, found, most = list(jobs), [], 0
    while len(found) < len(jobs):
        while waiting and executor.free > 0:
            executor.submit(waiting.pop(0))
        most = max(most, len(jobs) - len(waiting) - len(found))
        found += executor.wait()
    return sorted(found, key=lambda outcome: outcome.trial), most


def test_jobs_in_this_process_have_the_outcomes_of_worker_processes(device):
    """The same bits on the CPU but for seconds; on a GPU, which rounds otherwise, the same ends."""
    jobs = jobs_of_every_end()
    with replica_executor(search_task(), ORDER) as processes:
        expected, most = run_jobs(processes, jobs)
    assert most == 1
    with ThreadExecutor(device) as thread:
        thread.workers = 3
        found, most = run_jobs(ReplicaExecutor(thread, search_task(), ORDER), jobs)
    assert most == 3
    assert [outcome.trial for outcome in found] == list(range(7))
    for one, other in zip(found, expected, strict=True):
        assert one.reason == other.reason
        assert device != "cpu" or decisive(one) == decisive(other)
    assert {"generalized", "raced", "diverged"} <= {outcome.reason for outcome in expected}


def test_a_search_in_this_process_ends_every_trial(device, tmp_path, monkeypatch):
    """The executor of a machine with a GPU, on every device there is."""
    monkeypatch.setattr(executor, "executor", lambda jobs: ThreadExecutor(device))
    plan = plan_of(trials=7)
    study = search(plan, tmp_path)
    assert sorted(t.number for t in study.ended()) == list(range(7))
    assert study.running() == []


# Several processes, and SIGKILL


def _search_and_report(plan: StudyPlan, folder, start, result):
    """In a process of its own: search, and write which trials were asked for."""
    asked, ask = [], study.SharedStudy.ask

    def spy(self):
        trial = ask(self)
        if trial is not None:
            asked.append(trial.number)
        return trial

    study.SharedStudy.ask = spy
    start.wait()
    search(plan, folder)
    result.write_text(json.dumps(asked))


def test_two_searches_share_a_study(tmp_path):
    """Started together on nothing; every trial is begun once, by one of them."""
    plan, start = plan_of(trials=8), FORK.Barrier(2)
    results = [tmp_path / "one", tmp_path / "other"]
    pair = [FORK.Process(target=_search_and_report, args=(plan, tmp_path, start, r)) for r in results]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    asked = [json.loads(result.read_text()) for result in results]
    assert sorted(asked[0] + asked[1]) == list(range(8))
    assert min(map(len, asked)) > 0
    trials = open_in(tmp_path, plan)
    assert sorted(t.number for t in trials.ended()) == list(range(8))
    assert len(trials.optuna.trials) == 8
    owners = {t.number: t.user_attrs[OWNER]["pid"] for t in trials.ended()}
    assert [{owners[number] for number in numbers} for numbers in asked] == [{p.pid} for p in pair]


def _ask_all(plan, folder, start, result):
    """Ask until there are no more, with time for the other process between looking and asking."""
    trials, asked, ask = open_in(folder, plan), [], optuna.Study.ask

    def slow(self):
        time.sleep(0.02)
        trial = ask(self)
        time.sleep(0.02)
        return trial

    optuna.Study.ask = slow
    start.wait()
    while (trial := trials.ask()) is not None:
        asked.append(trial.number)
    start.wait()  # the trials of a process that has ended are anybody's
    result.write_text(json.dumps(asked))


def test_two_processes_that_ask_at_once_ask_for_no_more_than_there_should_be(tmp_path):
    plan, start = plan_of(trials=8), FORK.Barrier(2)
    results = [tmp_path / "one", tmp_path / "other"]
    pair = [FORK.Process(target=_ask_all, args=(plan, tmp_path, start, r)) for r in results]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    asked = [number for result in results for number in json.loads(result.read_text())]
    assert sorted(asked) == list(range(8))
    assert len(open_in(tmp_path, plan).optuna.trials) == 8


def run_stage(folder, *arguments):
    """`python -m pipelines.search tiny` without the seconds that imports take."""
    os.chdir(folder)
    sys.argv = ["search", "tiny", *arguments]
    stage.main()


def _in_own_group(folder):
    os.setsid()
    run_stage(folder)
    (folder / "ended").touch()


def without_seconds(folder):
    """The tables a search wrote, but for what depends on the machine."""
    tables = {
        name: pd.read_parquet(folder / f"results/search/tiny/{name}.parquet")
        for name in ("trials", "replicas", "curves")
    }
    return {name: found.drop(columns="seconds", errors="ignore") for name, found in tables.items()}


@needs_groups
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_at_five_moments_a_search_ends_with_the_same_tables(workers, tmp_path, monkeypatch):
    """SIGKILL to driver and workers at random moments, started again each time.

    With two workers the order in which replicas end, and with it what later trials learn, is left to chance;
    that there is each trial once is not.
    """
    monkeypatch.setenv("GROKKING_PROCESSES", workers)
    moments = random.Random(0)
    stage_folder(tmp_path / "whole", trials=8)
    stage_folder(tmp_path / "killed", trials=8)
    started = time.monotonic()
    process = FORK.Process(target=run_stage, args=(tmp_path / "whole",))
    process.start()
    process.join()
    seconds = time.monotonic() - started

    kills = 0
    while not (tmp_path / "killed" / "ended").exists():
        process = FORK.Process(target=_in_own_group, args=(tmp_path / "killed",))
        process.start()
        # all waits together are less than half of the run, lest a machine that speeds up ends it too soon
        process.join(moments.uniform(0, 0.8 * seconds / KILLS) if kills < KILLS else None)
        if process.is_alive():
            _kill_group(process)
            kills += 1
        process.join()
    assert kills == KILLS
    whole, killed = without_seconds(tmp_path / "whole"), without_seconds(tmp_path / "killed")
    assert list(killed["trials"]["trial"]) == list(range(8))
    assert set(killed["trials"]["state"]) <= {"COMPLETE", "PRUNED"}
    assert not killed["replicas"].duplicated(["trial", "seed_number"]).any()
    for name in whole if workers == "1" else ():
        assert killed[name].equals(whole[name]), name


def _kill_group(process):
    """Driver and workers, also where the driver has not yet come to head a group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def test_a_trial_reported_by_a_process_that_was_killed_then_can_still_be_told():
    """Optuna takes a value once; a kill may fall between it and the trial's end."""
    own = optuna.create_study()
    trial = own.ask()
    trial.report(3.0, 0)
    again = optuna.Trial(own, trial._trial_id)
    study.end_trial(own, again, 3.0, "underfit", 1.0)
    (told,) = own.trials
    assert (told.state, told.value) == (optuna.trial.TrialState.PRUNED, 3.0)
