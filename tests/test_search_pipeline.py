"""The stages search and confirm from params.yaml to files, and a search whose trials are in PostgreSQL."""

import itertools
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from searches import network, plan_of, search_task, stage_folder
from searches import search as run_study
from sqlalchemy import Engine, event

from grokking.catalogue import read_catalogue
from grokking.search import results, sustain
from grokking.search.executor import ReplicaExecutor
from grokking.search.tables import best_trials
from grokking.search.trial_outcomes import all_seeds_generalized, seed_outcomes
from grokking.storage import runs
from pipelines import confirm, report_search, search
from pipelines.common.on_disk import searched_studies
from pipelines.common.stage import run

ROOT = Path(__file__).parents[1]
FORK = multiprocessing.get_context("fork")
STUDY = {
    "experiment": network(budget=120),
    "trials": 5,
    "published": {"optimizer.learning_rate": 0.03, "optimizer.weight_decay": 2.0},
    "random_baseline": True,
}


def run_stage(stage, folder, *arguments):
    """A stage in this folder, as `run` ends it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [stage.__name__, "tiny", *arguments])
        patch.setenv("GROKKING_DEVICE", "cpu")
        patch.setenv("GROKKING_PROCESSES", "1")
        run(stage.main)


def read(folder, name):
    return pd.read_parquet(folder / f"results/search/tiny/{name}.parquet")


def bits(folder):
    """Every file under results/search, and when it was written."""
    files = [file for file in (folder / "results/search").rglob("*") if file.is_file()]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A study that was searched and confirmed."""
    folder = stage_folder(tmp_path_factory.mktemp("done"), **STUDY)
    run_stage(search, folder)
    run_stage(confirm, folder)
    return folder


def test_a_search_writes_its_tables(done):
    trials, replicas, curves = (read(done, name) for name in ("trials", "replicas", "curves"))
    of_search = trials[trials["arm"] == "search"]
    assert list(of_search["trial"]) == list(range(5))
    assert set(trials["arm"]) == {"search", "random"}
    assert set(trials["state"]) <= {"COMPLETE", "PRUNED"}
    assert trials["value"].notna().all()
    assert (trials["confirmable"] == (trials["generalized"] == 2)).all()
    keys = ["arm", "trial", "seed_number"]
    costs = replicas.groupby(keys[:2])["cost"].median()
    chosen = trials[trials["confirmable"]].set_index(keys[:2])["cost"]
    pd.testing.assert_series_equal(chosen, costs[chosen.index])
    assert replicas.groupby(keys[:2]).size().sum() == trials["seeds"].sum() == len(replicas)
    assert replicas["seconds"].sum() == pytest.approx(trials["seconds"].sum())
    last = curves.groupby(keys)["step"].max().reset_index()
    assert (last["step"].to_numpy() == replicas.sort_values(keys)["steps_run"].to_numpy()).all()
    for _, trial in of_search.iterrows():
        assert 0.02 <= trial["params/optimizer.learning_rate"] <= 0.06


def test_a_study_is_published_under_the_key_it_was_searched_under(done, monkeypatch):
    """Code that was rewritten since, and accepted, has another: MLflow would get the same study twice."""
    monkeypatch.chdir(done)
    monkeypatch.setattr("grokking.search.results.study_key", lambda *given: "of later code")
    monkeypatch.setattr("grokking.training.fingerprint.fingerprint", lambda *given: "of later code")
    (searched,) = searched_studies(read_catalogue())
    assert len(searched.key) == 64
    assert f'"tiny-{searched.key[:12]}"' in Path("studies/tiny.journal").read_text()


def test_best_are_the_first_of_the_ranking_whose_crossings_are_sustained(done):
    trials = read(done, "trials")
    best = YAML(typ="safe").load((done / "results/search/tiny/best.yaml").read_text())
    for arm, of, rank in (("winner", "search", 0), ("runner_up", "search", 1), ("random_best", "random", 0)):
        of_study = trials[trials["confirmable"] & (trials["arm"] == of)]
        ranking = of_study.sort_values(["value", "mean_value", "trial"])
        row = ranking[ranking["sustained"] == True].iloc[rank]  # noqa: E712  (None: not tried)
        assert best[arm]["trial"] == row["trial"]
        assert best[arm]["searched_cost"] == pytest.approx(row["cost"])
        for key, value in best[arm]["values"].items():
            assert value == row[f"params/{key}"]
    assert set(best) == {"winner", "runner_up", "random_best"}


@pytest.mark.parametrize("lost", [None, "own", "further"])
def test_a_trial_is_sustained_if_all_its_seeds_keep_their_crossings(lost, monkeypatch, tmp_path):
    """Against histories by hand: kept, lost and found again, lost for ever; further seeds only if need be."""
    plan, task = plan_of(), search_task()
    ended = run_study(plan, tmp_path).ended()
    best = next(trial for trial in ended if all_seeds_generalized(trial, 2))
    seen = next(outcome.step for outcome in seed_outcomes(best) if outcome.seed_number == 1)
    for step in (1.2 * seen + 1, None):
        own, further = [1, seen], [1.2 * 30] * 4
        if lost is not None:
            {"own": own, "further": further}[lost][-1] = step
        tables = [
            *(pd.DataFrame({"first_crossing_step": [1], "generalization_step": [step]}) for step in own),
            pd.DataFrame({"first_crossing_step": [30] * 4, "generalization_step": further}),
        ]
        monkeypatch.setattr(sustain, "train_all", lambda *given: [])
        monkeypatch.setattr(sustain.history, "replica_table", lambda *given, left=tables: left.pop(0))
        median = sustain.sustained_median(best, plan, task)
        assert median == (36.0 if lost is None else None)
        assert len(tables) == (lost == "own")


@pytest.mark.parametrize(("lost", "lasts"), [(0, True), (1, True), (2, False)])
def test_one_of_six_further_seeds_may_lose_its_crossing(lost, lasts, monkeypatch, tmp_path):
    best = run_study(plan_of(), tmp_path).ended()[0]
    seen = [outcome.step for outcome in seed_outcomes(best)]
    own = pd.DataFrame({"first_crossing_step": seen, "generalization_step": seen})
    sustained = [30] * (6 - lost) + [None, 90][:lost]
    tables = [
        own[:1],
        own[1:],
        pd.DataFrame({"first_crossing_step": [30] * 6, "generalization_step": sustained}),
    ]
    monkeypatch.setattr(sustain, "_replica_table", lambda *given: tables.pop(0))
    median = sustain.sustained_median(best, plan_of(), search_task())
    assert median == (30.0 if lasts else None)


def test_further_seeds_are_those_of_the_proof(monkeypatch, tmp_path):
    """On the splits that params.yaml gives them, with the trial's own values."""
    plan, task = plan_of(), search_task()
    best = run_study(plan, tmp_path).ended()[0]
    trained = []
    monkeypatch.setattr(
        sustain,
        "_replica_table",
        lambda replicas, task: (
            trained.append(replicas)
            or pd.DataFrame(
                {"first_crossing_step": [1] * len(replicas), "generalization_step": [1] * len(replicas)}
            )
        ),
    )
    sustain.sustained_median(best, plan, task)
    fewer = len(trained)
    assert sustain.sustained_median(best, plan, task, seeds=2) == math.inf  # those of the search only
    assert sustain.sustained_median(best, plan, task, seeds=1) == math.inf
    assert [len(part) for part in trained[fewer:]] == [1, 1, 1]
    del trained[fewer:]
    assert [[(r.seed, r.split_seed) for r in part] for part in trained] == [[(0, 0)], [(1, 1)], [(3, 1)]]
    rates = {replica.config.optimizer.learning_rate for part in trained for replica in part}
    assert rates == {best.params["optimizer.learning_rate"]}


def test_a_ranking_is_tried_until_enough_are_sustained(monkeypatch, tmp_path):
    ended = run_study(plan_of(), tmp_path).ended()
    medians = {1: 50.0, 3: 40.0, 4: 30.0}
    monkeypatch.setattr(sustain, "sustained_median", lambda trial, *given: medians.get(trial.number))
    assert sustain.check_in_order(ended, 2, plan_of(), search_task()) == {
        0: None,
        1: 50.0,
        2: None,
        3: 40.0,
    }


def test_ties_go_to_the_lower_mean_over_seeds_then_to_the_earlier():
    columns = {"trial": range(5), "value": [2.0, 1.0, 1.0, 1.0, 0.5], "mean_value": [1.0, 3.0, 2.0, 2.0, 0.5]}
    trials = pd.DataFrame(columns).assign(confirmable=[True] * 4 + [False])
    assert best_trials(trials) == [2, 3, 1, 0]


def test_a_point_that_was_tried_twice_is_ranked_once():
    columns = {"trial": range(4), "value": [1.0, 0.5, 0.5, 2.0], "mean_value": [1.0, 0.5, 0.5, 2.0]}
    points = {"params/loss": ["a", "b", "b", "a"], "params/optimizer.beta1": [None, 0.9, 0.9, 0.8]}
    trials = pd.DataFrame(columns | points).assign(confirmable=True)
    assert best_trials(trials) == [1, 0, 3]


def test_the_random_arm_costs_as_much_as_the_search_within_one_trial(done):
    trials = read(done, "trials")
    flops = {arm: part.sort_values("trial")["flops"] for arm, part in trials.groupby("arm")}
    assert flops["random"].sum() >= flops["search"].sum()
    assert flops["random"].iloc[:-1].sum() < flops["search"].sum()
    both = [set(part["exempt"]) for _, part in trials.groupby("arm")]
    assert both == [{True, False}] * 2  # the rules are those of the search
    learning_rates = trials["params/optimizer.learning_rate"]
    assert learning_rates.is_unique  # nor are the first trials those of the search


def test_confirm_trains_each_arm_on_fresh_seeds_and_all_validation(done):
    folder = done / "results/confirm/tiny"
    assert {path.name for path in folder.iterdir()} == {"winner", "runner_up", "random_best", "published"}
    best = YAML(typ="safe").load((done / "results/search/tiny/best.yaml").read_text())
    for arm in folder.iterdir():
        (row,) = pd.read_parquet(arm / "replicas.parquet").to_dict("records")
        assert (row["seed"], row["split_seed"]) == (5, 2)
        wanted = best[arm.name]["values"] if arm.name in best else STUDY["published"]
        assert row["optimizer.learning_rate"] == wanted["optimizer.learning_rate"]
        decay = row["optimizer.learning_rate"] * row["optimizer.weight_decay"]
        assert decay == pytest.approx(wanted.get("optimizer.decay_rate", 0.06))
        accuracy = pd.read_parquet(arm / "history.parquet")["validation_accuracy"]
        wrong = (1 - accuracy) * 24  # 97 of 121 equations are trained on; a monitor part would have 12
        assert wrong.to_numpy() == pytest.approx(wrong.round().to_numpy(), abs=1e-6)
        assert (wrong.round() % 2 == 1).any()


def test_a_finished_search_trains_nothing_and_writes_the_same(done, monkeypatch):
    before = bits(done)

    def submit(self, job):
        raise AssertionError(f"trains {job}")

    monkeypatch.setattr(ReplicaExecutor, "submit", submit)
    run_stage(search, done)
    assert bits(done) == before


def test_more_trials_go_on_from_those_there_are(done, tmp_path):
    """`trials` is no part of what a study is."""
    folder = shutil.copytree(done, tmp_path / "more")
    stage_folder(folder, **STUDY | {"trials": 6})
    run_stage(search, folder)
    tables = (read(at, "trials").query("arm == 'search'") for at in (done, folder))
    before, after = (trials.drop(columns="sustained") for trials in tables)  # the best may be others now
    assert list(after["trial"]) == list(range(6))
    assert after.iloc[:5].equals(before)


def test_where_nothing_generalized_the_search_ends_with_one_line(tmp_path, capsys):
    folder = stage_folder(tmp_path / "short", experiment=network(budget=4), trials=1)
    with pytest.raises(SystemExit) as ended:
        run_stage(search, folder)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert re.fullmatch(r"error: no trial generalized with the seeds of `studies.tiny`; raise .*\n", told)
    assert len(read(folder, "trials")) == 1
    assert not (folder / "results/search/tiny/best.yaml").exists()


@pytest.mark.parametrize(
    ("name", "summed"),
    [
        ("trials.parquet", True),
        ("replicas.parquet", True),
        ("curves.parquet", True),
        ("best.yaml", True),
        ("trials.parquet", False),
        ("curves.parquet", False),
    ],
)
def test_a_damaged_file_of_a_search_is_refused_where_it_is_read(name, summed, done, tmp_path, capsys):
    """By its sum; a table without one, of earlier code, where it cannot be read."""
    folder = shutil.copytree(done, tmp_path / "damaged")
    file = folder / "results/search/tiny" / name
    whole = file.read_bytes()
    flipped = whole[:90] + bytes([whole[90] ^ 1]) + whole[91:]
    file.write_bytes(flipped if summed else whole[:-60])
    if not summed:
        facts = json.loads((file.parent / "run.json").read_text())
        (file.parent / "run.json").write_text(json.dumps({"fingerprint": facts["fingerprint"]}))
    with pytest.raises(SystemExit):
        run_stage(confirm if name == "best.yaml" else report_search, folder)
    told = capsys.readouterr().err
    assert told.startswith(f"error: results/search/tiny/{name} is missing or damaged; restore it (tables: ")
    assert told.count("\n") == 1


def started(folder, **more):
    """The stage in a process of its own, as from another terminal."""
    own = {"GROKKING_PROCESSES": "1", "GROKKING_DEVICE": "cpu", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"} | more
    command = [sys.executable, "-m", "pipelines.search", "tiny"]
    return subprocess.Popen(command, cwd=folder, env=os.environ | own)


def test_a_search_is_shared_with_a_process_from_another_terminal(tmp_path):
    """Both write the same tables, whole ones, whoever is last."""
    folder = stage_folder(tmp_path / "shared", trials=12)
    pair = [started(folder) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0]
    assert sorted(read(folder, "trials")["trial"]) == list(range(12))
    names = {"trials.parquet", "replicas.parquet", "curves.parquet", "best.yaml", "run.json"}
    assert set(bits(folder)) == names
    assert runs.checksums(folder / "results/search/tiny", ["trials.parquet"]).items() <= (
        json.loads((folder / "results/search/tiny/run.json").read_text())["sha256"].items()
    )


def test_a_search_goes_on_in_an_experiments_temporary_copy(tmp_path, monkeypatch):
    """DVC starts it in a copy of the repository, whose place is in DVC_ROOT; the copy is thrown away."""
    home, copy = stage_folder(tmp_path / "home", trials=3), stage_folder(tmp_path / "copy", trials=3)
    assert started(copy, DVC_ROOT=str(home)).wait() == 0
    assert {path.name for path in (home / "studies").iterdir()} >= {"tiny.journal", "tiny.journal.sum"}
    assert not (copy / "studies").exists()
    assert not (home / "results/search").exists()
    monkeypatch.setattr(ReplicaExecutor, "submit", lambda *given: pytest.fail("trains again"))
    run_stage(search, home)
    assert bits(home) == bits(copy)


def test_confirm_without_a_search_names_the_stage_to_run(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_stage(confirm, stage_folder(tmp_path / "empty"))
    told = capsys.readouterr().err
    assert told == "error: results/search/tiny/best.yaml does not exist; run `dvc repro search@tiny` first\n"


def test_splits_of_the_confirmation_are_needed_before_the_search(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_stage(search, stage_folder(tmp_path / "f", confirm={"seeds": [5], "split_seeds": [7]}))
    told = capsys.readouterr().err
    assert told.startswith("error: `studies.tiny.confirm.split_seeds` names 7, but the task is split with ")
    assert "split with seeds 0, 1, 2; " in told
    assert not (tmp_path / "f" / "studies").exists()


def test_a_later_round_needs_splits_of_its_own(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_stage(search, stage_folder(tmp_path / "f", confirm={"seeds": [5], "split_seeds": [2]}, round=2))
    told = capsys.readouterr().err
    assert told.startswith("error: `studies.tiny.confirm (round 2).split_seeds` names 3, but the task is")


def test_a_point_that_does_not_fit_the_task_is_refused_before_the_search(tmp_path, capsys):
    batch = {"sampling": "with_replacement", "size": 8}
    space = {"batch.size": {"kind": "integer", "low": 8, "high": 1000}}
    with pytest.raises(SystemExit):
        run_stage(search, stage_folder(tmp_path / "f", experiment=network(batch=batch), space=space))
    assert capsys.readouterr().err.startswith(
        "error: `studies.tiny.space.batch.size` sets `batch.size`, which is 1000, "
        "but the task has 97 training equations; "
    )
    assert not (tmp_path / "f" / "studies").exists()


def test_a_storage_that_cannot_be_opened_is_told_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_stage(search, stage_folder(tmp_path / "f"), "--storage", "sqlite:////nowhere/study.db")
    told = capsys.readouterr().err
    assert told.startswith("error: `--storage` sqlite:////nowhere/study.db cannot be opened: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg2://u:secretpw@no.such.host/x", "postgresql+psycopg2://u:***@no.such.host/x"),
        ("nothing://u:s/e@cretpw@no.host/x", "nothing://u:***@no.host/x"),
        ("nothing://u:secretpw@no.such.host/x", "nothing://u:***@no.such.host/x"),
        ("redis://:secretpw@localhost:1/x", "redis://:***@localhost:1/x"),
        (
            "postgresql+psycopg2://no.such.host/x?user=u&password=secretpw&sslmode=require",
            "postgresql+psycopg2://no.such.host/x?user=u&password=***&sslmode=require",
        ),
    ],
)
def test_a_storage_is_told_without_its_password(url, shown, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_stage(search, stage_folder(tmp_path / "f"), "--storage", url)
    told = "".join(capsys.readouterr())
    assert told.startswith(f"error: `--storage` {shown} cannot be opened: ")
    assert "cretpw" not in told
    assert told.count("\n") == 1


# PostgreSQL


def in_own_process(stage, folder, *arguments):
    """So that its connections end with it; the exit status."""
    process = FORK.Process(target=run_stage, args=(stage, folder, *arguments))
    process.start()
    process.join()
    return process.exitcode


@contextmanager
def killed_at_commit(number):
    """Searches begun here are killed with this transaction open: everything written, rows locked."""
    commits = itertools.count(1)

    def kill(connection):
        if next(commits) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", kill)
    try:
        yield
    finally:
        event.remove(Engine, "commit", kill)


def test_a_search_in_postgresql_goes_on(postgres, tmp_path):
    """Two trials, then four with kills inside transactions; the same as those of a search in a file."""
    known = {"experiment": network(budget=120), "random_baseline": False}
    folder, in_file = tmp_path / "server", tmp_path / "file"
    stage_folder(folder, **known, trials=2)
    assert in_own_process(search, folder, "--storage", postgres) == 0
    first = read(folder, "trials")
    assert list(first["trial"]) == [0, 1]

    stage_folder(folder, **known, trials=4)
    for number in (45, 12):
        with killed_at_commit(number):
            assert in_own_process(search, folder, "--storage", postgres) == -signal.SIGKILL
    assert in_own_process(search, folder, "--storage", postgres) == 0
    second = read(folder, "trials")
    assert second.iloc[:2].drop(columns="sustained").equals(first.drop(columns="sustained"))
    assert not list((folder / "studies").glob("*.journal"))
    assert in_own_process(search, stage_folder(in_file, **known, trials=4)) == 0
    expected = read(in_file, "trials").drop(columns="seconds")
    assert second[expected.columns].equals(expected)


def test_what_a_killed_process_was_writing_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    killed = FORK.Process(target=os._exit, args=(0,))
    killed.start()
    killed.join()
    host = socket.gethostname()
    kept = {f".best.yaml.{host}.{os.getpid()}", f".best.yaml.another.{killed.pid}", "best.yaml"}
    for name in {*kept, f".best.yaml.{host}.{killed.pid}"}:
        (tmp_path / name).touch()
    results._remove_left_behind(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == kept
