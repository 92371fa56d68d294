"""A store that was deleted, copied, broken, fought over or left running: `publish` mends it or says so."""

import getpass
import multiprocessing
import os
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from examples import experiment
from stores import PARENT, runs_of

from grokking.config import ConfigError
from grokking.experiment import expand
from grokking.tracking import database, identity, store, stream, views
from grokking.tracking.publish import publish
from pipelines import ui

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn


def test_a_deleted_run_and_a_deleted_experiment_are_filled_again(client, trained):
    publish(client, trained)
    wanted = sorted(run.info.run_name for run in runs_of(client))
    child = next(run for run in runs_of(client) if run.info.run_name == "seed 1")
    client.delete_run(child.info.run_id)
    assert publish(client, trained)
    assert sorted(run.info.run_name for run in runs_of(client)) == wanted
    (again,) = [run for run in runs_of(client) if run.info.run_name == "seed 1"]
    assert again.data.metrics == child.data.metrics
    client.delete_experiment(store.experiment_id(client, identity.TRAINED))
    publish(client, trained)
    assert {run.info.run_name for run in runs_of(client)} == set(wanted)


def test_entries_of_equal_configuration_are_two_runs(client, trained):
    publish(client, trained)
    publish(client, replace(trained, name="twin"))
    names = sorted(run.info.run_name for run in runs_of(client))
    assert names == ["seed 0"] * 2 + ["seed 1"] * 2 + [PARENT, PARENT.replace("small", "twin")]
    assert not publish(client, trained)


@pytest.mark.parametrize("original_stays", [True, False])
def test_a_store_survives_a_copied_and_a_moved_checkout(
    client,
    trained,
    tmp_path,
    monkeypatch,
    original_stays,
):
    publish(client, trained)
    original, other = tmp_path / "mlruns", tmp_path / "with space"
    other.mkdir()
    (shutil.copytree if original_stays else shutil.move)(original, other / "mlruns")
    before = contents(original) if original_stays else {}

    monkeypatch.setenv("DVC_ROOT", str(other))
    moved = store.connect()
    (parent,) = [run for run in runs_of(moved) if run.info.run_name == PARENT]
    assert parent.info.artifact_uri.startswith(other.as_uri())
    assert "A small network." in Path(moved.download_artifacts(parent.info.run_id, "summary.md")).read_text()
    assert not publish(moved, trained)
    assert publish(moved, replace(trained, name="new"))
    assert (contents(original) if original_stays else {}) == before
    assert original.exists() == original_stays

    if original_stays:
        monkeypatch.setenv("DVC_ROOT", str(tmp_path))
        still = store.connect()
        (parent,) = [run for run in runs_of(still) if run.info.run_name == PARENT]
        assert parent.info.artifact_uri.startswith(original.as_uri())


def contents(folder: Path) -> dict[str, bytes]:
    """All files but what SQLite keeps beside a database, and the locks."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"]
    return {str(file): file.read_bytes() for file in files if not file.name.endswith(("-wal", "-shm"))}


def test_the_store_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_fill", fail)
        with pytest.raises(ConfigError, match=r"cannot make .*No space left"):
            store.connect()
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    left = tmp_path / "mlruns" / f"{database.MAKING}killed"
    left.mkdir()
    made = store.connect()
    assert not left.exists()
    assert [each.name for each in made.search_experiments()] == []  # and no "Default"


SQL = {
    "unfinished": "DELETE FROM alembic_version",
    "newer": "UPDATE alembic_version SET version_num = 'of_the_future'",
}


@pytest.mark.parametrize("damage", ["text", "empty", "unfinished", "newer"])
def test_a_broken_store_is_told_in_one_line_with_the_way_out(migrated, tmp_path, monkeypatch, damage):
    file = tmp_path / "mlflow.db"
    shutil.copy(migrated, file)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    if damage in SQL:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(SQL[damage])
    else:
        file.write_bytes(b"no database at all" * 100 if damage == "text" else b"")
    with pytest.raises(ConfigError, match=r"delete it .* and run `make publish`") as error:
        store.connect()
    assert "\n" not in str(error.value)


def test_any_error_of_publish_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    told = "not everything was published: the disk is full; run it again"
    with pytest.raises(ConfigError, match=told), store.publishing():
        raise OSError("the disk is full\nand more")


def test_four_publish_at_once_on_an_empty_store(trained, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=publish_once, args=(trained,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sorted(run.info.run_name for run in runs_of(store.connect())) == ["seed 0", "seed 1", PARENT]


def publish_once(trained) -> None:
    with store.publishing():
        client = store.connect()
        views.publish(client)
        publish(client, trained)


HERE = {"host": socket.gethostname()}
NOW = "now"  # the time at which the test runs
STARTED = psutil.Process().create_time()


@pytest.mark.parametrize(
    ("tags", "alive"),
    [
        (stream.alive() | {"heartbeat": NOW}, True),
        (HERE, False),  # no process
        (HERE | {"process": f"{2**22 + 1} since {NOW}"}, False),  # one that is gone
        (HERE | {"process": f"{os.getpid()} since 17"}, False),  # its number is used again
        (HERE | {"process": f"{os.getpid()} since {STARTED + 20}"}, True),  # the clock was set
        ({"host": "another", "process": "1 since 2", "heartbeat": NOW}, True),
        ({"host": "another", "process": "1 since 2", "heartbeat": "17"}, False),
        ({"host": "another"}, False),
        ({}, False),
    ],
)
def test_runs_that_nobody_streams_any_more_are_ended(client, tags, alive):
    experiment = store.experiment_id(client, identity.TRAINED)
    now = f"{time.time():.0f}"
    parent = client.create_run(experiment, tags={key: value.replace(NOW, now) for key, value in tags.items()})
    child = client.create_run(experiment, tags={**HERE, "mlflow.parentRunId": parent.info.run_id})
    stream.reap(client)
    for run in (parent, child):
        assert client.get_run(run.info.run_id).info.status == ("RUNNING" if alive else "KILLED")


def test_a_user_without_a_name_can_publish(client, monkeypatch):
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    run = store.create_run(client, store.experiment_id(client, identity.TRAINED), "a run", {})
    assert run.data.tags["mlflow.user"].isdecimal()


@pytest.fixture
def silent_server():
    """The address of a server that accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_store_that_never_answers_does_not_hold_training(
    silent_server, replicas, trained, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setenv("GROKKING_STREAM_AFTER", "0")
    monkeypatch.setattr(stream, "PATIENCE_SECONDS", 0.1)
    with stream.Stream("small", "systems", replicas, "0"):
        began = time.monotonic()
        time.sleep(0.5)  # training
    assert time.monotonic() - began < 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("small: not streamed to MLflow: the store does not answer; `make publish`")


def test_publish_to_a_store_that_never_answers_ends_in_one_line(silent_server, trained, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match="not everything was published: ") as error, store.publishing():
        publish(store.connect(), trained)
    assert "\n" not in str(error.value)


def test_a_locked_store_is_told_in_one_line(client, trained, tmp_path, monkeypatch, capfd):
    file = tmp_path / "mlruns" / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}?timeout=0.1")
    told = "not everything was published: another process has held the store for too long; run it again"
    impatient = store.connect()
    publish(impatient, trained)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        capfd.readouterr()
        with pytest.raises(ConfigError, match=told), store.publishing():
            publish(impatient, replace(trained, name="new"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("written", ["1m", "-1", "nan"])
def test_a_time_that_is_no_number_of_seconds_is_refused(written, replicas, monkeypatch):
    monkeypatch.setenv("GROKKING_STREAM_AFTER", written)
    with pytest.raises(ConfigError, match=f"GROKKING_STREAM_AFTER must .* but got '{written}'"):
        stream.Stream("small", "systems", replicas, "0")


def test_a_run_may_be_streamed_never(replicas, monkeypatch):
    monkeypatch.setenv("GROKKING_STREAM_AFTER", "inf")
    with stream.Stream("small", "systems", replicas, "0") as never:
        never.thread.join(0.3)  # an error would end it at once
        assert never.thread.is_alive()


@pytest.mark.parametrize("uri", ["sqlite:///own.db", "sqlite:///{folder}/own.db?timeout=30"])
def test_a_store_may_be_named_relatively_or_with_options(uri, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
    publish(store.connect(), trained)
    assert (tmp_path / "own.db").stat().st_size > 0
    assert not [file.name for file in tmp_path.iterdir() if "?" in file.name]


@pytest.mark.parametrize(
    "uri", ["./folder", "postgresql+nodriver://u@127.0.0.1/x", "mysql+pymysql://u@127.0.0.1/x", "foo://bar"]
)
def test_a_store_of_another_kind_that_cannot_be_opened_is_told_in_one_line(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(
        ConfigError, match=r"`MLFLOW_TRACKING_URI` cannot be opened: .*; mend it or unset it"
    ) as error:
        store.connect()
    assert "\n" not in str(error.value)


def test_a_home_folder_written_as_a_tilde_is_refused_and_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///~/own.db")
    with pytest.raises(ConfigError, match=r"must name the folder in full, .*but got sqlite:///~/own\.db"):
        store.connect()
    assert list(tmp_path.iterdir()) == []


def test_the_children_of_a_deleted_parent_come_below_the_new_one(client, trained):
    publish(client, trained)
    (parent,) = [run for run in runs_of(client) if run.info.run_name == PARENT]
    client.delete_run(parent.info.run_id)
    publish(client, trained)
    runs = runs_of(client)
    assert sorted(run.info.run_name for run in runs) == ["seed 0", "seed 1", PARENT]
    (again,) = [run for run in runs if run.info.run_name == PARENT]
    below = {run.data.tags["mlflow.parentRunId"] for run in runs if run.info.run_name != PARENT}
    assert below == {again.info.run_id}


def refused(*given, **named):
    """What MLflow raises where it cannot use its address, which it may print."""
    raise ValueError("no store at https://u:secretpw@no.such.host/x?token=secretpw")


def test_a_store_is_told_without_its_password(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(ConfigError) as told, store.publishing():
        refused()
    assert "no store at https://u:***@no.such.host/x?token=***; run it again" in str(told.value)
    monkeypatch.setenv("GROKKING_STREAM_AFTER", "0")
    monkeypatch.setattr(store, "connect", refused)
    with stream.Stream("small", "systems", expand(experiment(), "x"), "f") as sent:
        sent.thread.join()
    assert "no store at https://u:***@no.such.host/x?token=***" in capsys.readouterr().err


def test_the_ui_is_not_given_the_store_on_its_command_line(client, monkeypatch):
    """Which everybody on the machine can read, and with it a password."""
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("sys.argv", ["ui"])
    monkeypatch.setattr(ui, "free_port", str)
    opened = []
    monkeypatch.setattr(os, "execv", lambda program, command: opened.extend(command))
    ui.main()
    assert opened[1:4] == ["-m", "mlflow", "ui"]
    assert not any(store.tracking_uri() in word for word in opened)
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == store.tracking_uri()
