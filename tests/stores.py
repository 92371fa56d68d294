"""A store of MLflow, empty, and a small trained experiment to publish to it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import make_task
from examples import experiment

from grokking import figures
from grokking.diagnostics import cyclic, snapshots
from grokking.experiment import expand
from grokking.storage import runs
from grokking.storage.run_folder import RunFolder
from grokking.tracking import identity, store
from grokking.tracking.descriptions import About
from grokking.tracking.publish import Trained
from grokking.training import history
from grokking.training.loop import train

PARENT = "system 0 · small · our recipe"


def runs_of(client):
    return client.search_runs([store.experiment_id(client, identity.TRAINED)])


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """A store created once; creating one takes seconds, copying it does not."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        store.connect()
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "mlflow.db"


@pytest.fixture
def client(migrated, tmp_path, monkeypatch):
    (tmp_path / "mlruns").mkdir()
    shutil.copy(migrated, tmp_path / "mlruns" / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return store.connect()


@pytest.fixture(scope="session")
def replicas():
    return expand(experiment(seeds=(0, 1), budget=12), "e")


@pytest.fixture(scope="session")
def trained(replicas, tmp_path_factory) -> Trained:
    folder, task = tmp_path_factory.mktemp("runs") / "small", make_task()
    evaluations = [e for replica in replicas for e in train([replica], task, "cpu")]
    networks = folder.with_name("snapshots")
    run = RunFolder(folder, replicas, task, networks)
    run.add(evaluations)
    table = run.close()
    figures.curves(history.history_table(evaluations), table, "small", folder / "curves.png")
    split = store.Split("test", folder, "0" * 32 + ".dir", 121)
    diagnosed = snapshots.of_folder(networks, replicas, task, cyclic.find_order("add", 11))
    of_snapshots = snapshots.table([row for each in diagnosed for row in each.rows()])
    of_snapshots.to_parquet(folder / "diagnostics.parquet", index=False)
    (folder / "network.safetensors").write_bytes(b"weights")
    about = About("A small network.", "Like `large`, but budget 12 (there 100).", "reports/table.md")
    return Trained(
        "small", "systems", folder, runs.read(folder), split, folder / "curves.png",
        folder / "diagnostics.parquet", folder / "network.safetensors", about, {"data.modulus": 11},
    )  # fmt: skip
