"""A server of MLflow for a team: what members publish, what readers cannot, two at once, and every refusal.

The commands are those of docs/mlflow.md.
"""

import json
import multiprocessing
import os
import stat
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from conftest import make_task
from searches import stage_folder
from stores import PARENT, runs_of
from team_server import PAGE, PASSWORDS, ROOT, block, outside, shell

from grokking.api.checkout import here
from grokking.config import ConfigError
from grokking.tracking import identity, server, server_lock, store, stream, views
from grokking.tracking.publish import publish
from grokking.tracking.server_lock import ServerLock
from grokking.training.loop import train
from pipelines.common import serving
from pipelines.common.reports import DRAWN

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn
SPAWN = multiprocessing.get_context("spawn")
PUBLISH, SHOW = "python -m pipelines.publish", "python -m pipelines.ui"
TABLES, SEARCH = block("pipelines.search")[-2:]
# what is published here of the committed results: a run, a sweep, a model
COMMITTED = (
    "params.yaml", "dvc.lock", "extended/params.yaml", "extended/dvc.lock", "results/splits",
    "results/runs/systems/embedding_mlp", "results/sweeps/held_norm", "results/zoo",
)  # fmt: skip


@pytest.fixture
def as_user(team, monkeypatch, tmp_path):
    """Become a user in this process; a client."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.address)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def become(user: str | None, password: str | None = None):
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in team.of(user, password).items():
            monkeypatch.setenv(name, value)
        return store.connect()

    return become


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A part of what is committed, to be published soon."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COMMITTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def published(client) -> dict[str, int]:
    """How many runs there are, by key."""
    found = [
        run.data.tags["key"]
        for name in identity.EXPERIMENTS
        for run in store.search(client, store.experiment_id(client, name), "tags.kind != ''")
    ]
    return {key: found.count(key) for key in found}


def test_the_server_asks_for_a_password_and_listens_on_this_machine_only(team):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{team.address}/api/2.0/mlflow/experiments/search?max_results=1")
    processes = [team.process, *team.process.children(recursive=True)]
    listening = [
        place.laddr.ip
        for process in processes
        for place in process.net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_what_is_secret_is_closed_to_others(team):
    for file in (team.folder / "server.env", team.folder / "mlruns" / "users.ini"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list((team.folder / "artifacts").rglob("*.ini"))  # users can read what is there


def test_publishing_twice_makes_the_same_runs_and_a_reader_sees_them(team, checkout, as_user, tmp_path):
    assert {PUBLISH, SHOW} <= set(block("pipelines.publish"))
    first = team.run("admin", PUBLISH, cwd=checkout)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    own = {f"{name}:" for name in here().own_runs()}  # of whoever works in this folder
    names = [line.split()[3] for line in lines]
    assert [name for name in names if name not in own] == ["embedding_mlp:", "sweep", "model"]
    assert all(line.endswith(": published") for line in lines)
    before = published(as_user("dave"))
    assert set(before.values()) == {1}

    second = team.run("carol", PUBLISH, cwd=checkout)
    assert second.returncode == 0, second.stderr
    assert [line.replace(": already", ":") for line in second.stdout.splitlines()] == lines
    assert second.stdout.count("already published") == len(lines)
    assert published(as_user("dave")) == before

    reader = as_user("dave")
    (parent,) = [
        run
        for run in runs_of(reader)
        if run.data.tags["kind"] == "experiment" and run.data.tags["experiment"] == "embedding_mlp"
    ]
    for artifact, file in {
        "figures/curves.png": checkout / DRAWN / "embedding_mlp" / "curves.png",
        "history.parquet": ROOT / "results" / "runs" / "systems" / "embedding_mlp" / "history.parquet",
    }.items():
        copy = reader.download_artifacts(parent.info.run_id, artifact, str(tmp_path))
        assert Path(copy).read_bytes() == file.read_bytes()
    (model,) = reader.search_registered_models()
    assert model.aliases == {"best": "1"}
    shown = team.run("dave", SHOW, cwd=checkout)
    assert len(shown.stdout.splitlines()) == len(views.VIEWS)
    assert f"{team.address}/#/experiments/" in shown.stdout
    banner = reader.get_experiment_by_name(identity.TRAINED).tags
    assert f"{views.TAG}leaderboard" in banner


def test_a_reader_writes_nothing(as_user, trained, tmp_path):
    publish(as_user("carol"), trained)
    reader = as_user("dave")
    run = next(run for run in runs_of(reader) if run.info.run_name == PARENT)
    file = tmp_path / "file.txt"
    file.write_text("by dave")
    for attempt in (
        lambda: reader.set_tag(run.info.run_id, "a", "b"),
        lambda: reader.log_artifact(run.info.run_id, str(file)),
        lambda: reader.delete_run(run.info.run_id),
        lambda: reader.create_run(run.info.experiment_id),
    ):
        with pytest.raises(Exception, match=r"Permission denied|403") as refused:
            attempt()
        assert server.refusal(refused.value, "http://s").startswith("http://s lets the user `dave` read and")
    assert not [file for file in reader.list_artifacts(run.info.run_id) if file.path == "file.txt"]


def test_two_members_publish_at_once_and_nothing_is_doubled(team, as_user, trained, tmp_path):
    folders = [tmp_path / user for user in ("carol", "admin")]  # of two machines: no lock is shared
    barrier = SPAWN.Barrier(2)
    processes = [
        SPAWN.Process(target=publish_as, args=(team.address, team.of(folder.name), folder, trained, barrier))
        for folder in folders
    ]
    run_all(processes)
    names = sorted(
        run.info.run_name for run in runs_of(as_user("dave")) if run.data.tags["experiment"] == "at_once"
    )
    assert names == ["seed 0", "seed 1", PARENT.replace("small", "at_once")]


def publish_as(address, user, folder, trained, barrier) -> None:
    become(address, user, folder)
    begin_together(barrier)
    with store.publishing():
        client = store.connect()
        views.publish(client)
        publish(client, replace(trained, name="at_once"))


def become(address, user, folder) -> None:
    folder.mkdir()
    os.environ |= {"MLFLOW_TRACKING_URI": address, "DVC_ROOT": str(folder), **user}


def begin_together(barrier):
    """A client whose first request, which takes long, is over."""
    client = store.connect()
    client.search_experiments()
    barrier.wait(timeout=120)
    return client


def run_all(processes) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_three_that_look_up_and_create_the_same_run_at_once_create_one(team, as_user, tmp_path):
    """As trainings do that stream: they do not wait for each other's publishing."""
    barrier = SPAWN.Barrier(3)
    users = ["carol", "admin", "carol"]
    processes = [
        SPAWN.Process(target=create_as, args=(team.address, team.of(user), tmp_path / str(n), barrier))
        for n, user in enumerate(users)
    ]
    run_all(processes)
    client = as_user("dave")
    assert len(client.search_runs([client.get_experiment_by_name("race").experiment_id])) == 1


def create_as(address, user, folder, barrier) -> None:
    become(address, user, folder)
    client = begin_together(barrier)
    store.ensure_run(client, store.experiment_id(client, "race"), "a run", {"key": "one"})


def test_a_lock_whose_holder_is_gone_is_taken_over_and_one_whose_holder_lives_is_not(as_user, monkeypatch):
    monkeypatch.setattr(server_lock, "SILENT_SECONDS", 2.0)
    monkeypatch.setattr(server_lock, "RENEW_SECONDS", 0.3)
    client = as_user("admin")
    killed = ServerLock(client, "test")
    assert killed._take()
    began = time.monotonic()
    with ServerLock(as_user("carol"), "test"):
        assert time.monotonic() - began >= 2
        held = client.get_registered_model("lock-test")
        time.sleep(4)  # twice as long as a silent one would keep it
        other = ServerLock(client, "test")
        assert not other._take()
        assert client.get_registered_model("lock-test").creation_timestamp == held.creation_timestamp
        assert client.get_registered_model("lock-test").tags != held.tags
    assert not client.search_registered_models("name = 'lock-test'")


def test_a_run_is_streamed_to_the_server(as_user, replicas, trained, monkeypatch, capsys):
    monkeypatch.setenv("GROKKING_STREAM_AFTER", "0")
    monkeypatch.setattr(stream, "STREAM_EVERY_SECONDS", 0.2)
    client = as_user("carol")
    with stream.Stream("streamed", "systems", replicas, "f") as streaming:
        for evaluation in train(replicas[:1], make_task(), "cpu"):
            streaming.send(evaluation)
        deadline = time.monotonic() + 60
        while not points_of_streamed(client) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert points_of_streamed(client) == len(trained.run.history.query("replica == 0"))
    assert capsys.readouterr().err == ""
    as_user("dave")
    with stream.Stream("by_dave", "systems", replicas, "g") as streaming:
        streaming.thread.join(timeout=60)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("by_dave: not streamed to MLflow: ")
    assert "lets the user `dave` read and not write" in line


def points_of_streamed(client) -> int:
    runs = [run for run in runs_of(client) if run.data.tags["experiment"] == "streamed"]
    own = [run for run in runs if run.data.tags.get("replica") == "0"]
    return sum(len(client.get_metric_history(run.info.run_id, "accuracy/validation")) for run in own)


@pytest.mark.parametrize(
    ("user", "password", "told"),
    [
        ("carol", "wrong-secretpw", "knows no such user or password; set `MLFLOW_TRACKING_USERNAME` and"),
        ("carol", "", "knows no such user or password; set `MLFLOW_TRACKING_USERNAME` and"),
        (None, None, "knows no such user or password; set `MLFLOW_TRACKING_USERNAME` and"),
        ("dave", None, "lets the user `dave` read and not write; ask its administrator to make you a member"),
    ],
)
def test_who_may_not_publish_is_told_in_one_line(as_user, trained, user, password, told):
    as_user(user, password)
    with pytest.raises(ConfigError) as refused, store.publishing():
        publish(store.connect(), replace(trained, name="refused"))
    line = str(refused.value)
    assert line.startswith("not everything was published: http://127.0.0.1:")
    assert told in line
    assert "\n" not in line
    assert "secretpw" not in line


def test_a_server_that_is_down_is_told_in_one_line(team, checkout, monkeypatch):
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_TRACKING_URI": "http://u:secretpw@127.0.0.1:9"}
    for line in (PUBLISH, SHOW):
        done = team.run("carol", line, cwd=checkout, **quick)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "http://127.0.0.1:9 does not answer; start it, or mend or unset `MLFLOW_TRACK" in done.stderr
        assert "secretpw" not in done.stdout + done.stderr


def test_a_user_who_was_removed_is_unknown(team, as_user):
    line, own = "python -m pipelines.member frank", "frank-secretpw-1"
    assert team.run("admin", line, f"{own}\n").stdout == "frank may read and publish.\n"
    as_user("frank", own).search_experiments()
    assert team.run("admin", f"{line} --remove").stdout == "frank is no user any more.\n"
    with pytest.raises(Exception, match="not authenticated"):
        as_user("frank", own).search_experiments()
    refused = team.run("carol", line, f"{own}\n")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: `frank` stays as it was: ")
    assert refused.stderr.count("\n") == 1


def test_two_processes_search_in_one_study_on_the_same_server(team, tmp_path):
    folders = [stage_folder(tmp_path / name, trials=4) for name in ("here", "there")]
    line = SEARCH.replace("quick", "tiny")
    tables = shell(TABLES, team.environment | password("optuna"))
    assert tables.returncode == 0, tables.stderr
    processes = [
        SPAWN.Process(target=search_in, args=(line, team.environment | password("optuna"), folder))
        for folder in folders
    ]
    run_all(processes)
    here, there = (pd.read_parquet(folder / "results/search/tiny/trials.parquet") for folder in folders)
    assert sorted(here["trial"]) == list(range(4))
    assert set(there["trial"]) == set(here["trial"])
    assert not list(tmp_path.rglob("*.journal"))


def password(role: str, given: str | None = None) -> dict[str, str]:
    return {"PGPASSWORD": PASSWORDS[role] if given is None else given}


def search_in(line, environment, folder) -> None:
    done = shell(line, environment | {"GROKKING_PROCESSES": "1"}, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("role", "given", "told"),
    [
        ("optuna", "wrong-secretpw", 'password authentication failed for user "optuna"'),
        ("mlflow", None, 'permission denied for database "optuna"'),
    ],
)
def test_a_storage_that_refuses_is_told_in_one_line(team, tmp_path, role, given, told):
    line = SEARCH.replace("quick", "tiny").replace("//optuna@", f"//{role}@")
    done = shell(line, team.environment | password(role, given), cwd=stage_folder(tmp_path / "f"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: `--storage` ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secretpw" not in done.stdout + done.stderr


@pytest.fixture
def settings(team, monkeypatch):
    """Those of the running server, in this process."""
    found = {
        serving.RUNS: "postgresql+psycopg2://mlflow@127.0.0.1/mlflow",
        serving.USERS: "postgresql+psycopg2://mlflow@127.0.0.1/mlflow_users",
        serving.FOLDER: str(team.folder / "artifacts"),
        serving.PASSWORD: PASSWORDS["admin"],
        "PGPASSWORD": PASSWORDS["mlflow"],
        "PGPORT": team.environment["PGPORT"],
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        *((name, "", f"`{name}` is not set, but must be the ") for name in serving.NEEDED),
        (serving.PASSWORD, "password1234", "is the one that MLflow once came with; take one of your own"),
        (serving.PASSWORD, "secretpw", "must have 12 characters or more; take a longer one"),
        ("PGPASSWORD", "secretpw", 'password authentication failed for user "mlflow"'),
        (serving.USERS, "postgresql+psycopg2://mlflow:secretpw@127.0.0.1/optuna", "cannot be opened: "),
        (serving.USERS, "postgresql+psycopg2://mlflow@127.0.0.1/none", 'database "none" does not exist'),
    ],
)
def test_a_server_does_not_start_with_a_wrong_setting(settings, monkeypatch, name, value, told):
    require_all()
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        require_all()
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secretpw" not in str(refused.value)


def require_all() -> None:
    serving.require_settings()
    serving.require_databases()


def test_a_server_without_settings_is_one_line(tmp_path):
    done = shell("python -m pipelines.server", outside(), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `MLFLOW_BACKEND_STORE_URI` is not set, but must be the database")
    assert done.stderr.count("\n") == 1


def test_no_password_is_anywhere(team, as_user, checkout):
    """In no log, no command line, no run and no file but the two that are closed; the last test."""
    for process in [team.process, *team.process.children(recursive=True)]:
        assert "secretpw" not in " ".join(process.cmdline())
    secret = {"server.env"}
    files = [file for folder in (team.folder, checkout) for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert {file.name for file in files if b"secretpw" in file.read_bytes()} == secret
    client = as_user("carol")
    told = [run.to_dictionary() for run in runs_of(client)]
    assert told
    assert "secretpw" not in json.dumps(told)
    assert "secretpw" not in PAGE
