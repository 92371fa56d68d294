"""Stages after training are killed at their changes of files, and given errors of the disk there.

Afterwards the same command ends with the result of a call that nothing disturbed. `make test` tries a few
changes of each stage, evenly spread, `make test-all` up to sixty, and `GROKKING_CHANGES=1000 pytest
tests/test_every_write_of_stages.py` all. Commits of a database are changes, too.
"""

import importlib
import os
import shutil
import signal
import sqlite3
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from injector import DISK_ERRORS, DONE, FAILED, attempt
from laboratory import python, untrained

from grokking.ops import numba_kernels
from pipelines import confirm, diagnose, publish, search

CHANGES = int(os.environ.get("GROKKING_CHANGES", "4"))  # of each stage that are tried, or all
IMPORTED_BY_STAGES = ("mlflow.artifacts", "mlflow.store.tracking.sqlalchemy_store", "optuna_dashboard")
OF_EACH_CALL = {"seconds", "processor", "started", "ended", "process", "host"}
pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True)
class Stage:
    main: Callable[[], None]
    name: tuple[str, ...]  # of the entry, where the stage works on one
    result: Callable[[Path], Any]


def tables(*folders: str) -> Callable[[Path], dict[str, Any]]:
    """The files of these folders: tables without what differs from call to call, bytes of the others."""

    def read(checkout: Path) -> dict[str, Any]:
        files = [file for folder in folders for file in sorted((checkout / folder).rglob("*.*"))]
        kept = [file for file in files if file.name != "run.json"]  # checksums of the rest
        return {str(file.relative_to(checkout)): _content(file) for file in kept}

    return read


def _content(file: Path) -> Any:
    if file.suffix != ".parquet":
        return file.read_bytes()
    table = pd.read_parquet(file)
    return table.drop(columns=OF_EACH_CALL & set(table)).map(repr).to_dict("list")  # NaN differs from itself


def store(checkout: Path) -> list[tuple[Any, ...]]:
    """Of every run: experiment, name, status, and how many points and parameters it has."""
    count = "(SELECT count(*) FROM {} t WHERE t.run_uuid = r.run_uuid)"
    query = f"""SELECT e.name, r.name, r.status, {count.format("metrics")}, {count.format("params")}
        FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
        WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2, 3, 4, 5"""
    with closing(sqlite3.connect(checkout / "mlruns" / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


STAGES = {
    "diagnose": Stage(diagnose.main, ("wide_mlp",), tables("results/diagnostics")),
    "search": Stage(search.main, ("quick",), tables("results/search")),
    "confirm": Stage(confirm.main, ("quick",), tables("results/confirm")),
    "publish": Stage(publish.main, (), store),
}


def work(stage: Stage, checkout: Path) -> Callable[[], None]:
    def do() -> None:
        os.chdir(checkout)
        sys.argv = ["stage", *stage.name]
        stage.main()

    return do


@pytest.fixture(scope="module", autouse=True)
def settings():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.setenv("GROKKING_PROCESSES", "1")
        numba_kernels.load()  # this and the imports once, for all forks
        with warnings.catch_warnings(action="ignore"):  # they are errors in tests, not for users
            for name in IMPORTED_BY_STAGES:
                importlib.import_module(name)
        yield


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> dict[str, Path]:
    """The checkout before each stage, and after all, with one experiment and one study."""
    folder = untrained(tmp_path_factory.mktemp("checkout") / "first", "")
    python(folder, "-m", "pipelines.split", "small")
    _keep_one_of_each(folder / "params.yaml")
    python(folder, "-m", "pipelines.train", "wide_mlp")
    found = {}
    for number, (name, stage) in enumerate(STAGES.items()):
        found[name] = folder
        folder = shutil.copytree(folder, folder.with_name(f"{number}_{name}_done"))
        code, changes = attempt(folder, work(stage, folder))
        assert code == DONE, name
        (folder / f"changes_{name}").write_text(str(changes))
    return found | {"": folder}


def _keep_one_of_each(params: Path) -> None:
    """One experiment, and a study of two trials without a baseline, so that a call takes seconds."""
    head, _, rest = params.read_text().partition("\nexperiments:\n")
    one = rest[rest.index("  wide_mlp:\n") : rest.index("  wide_mlp_grid:\n")]
    study = (
        rest[rest.index("studies:") :]
        .replace("trials: 4", "trials: 2")
        .replace("baseline: true", "baseline: false")
    )
    params.write_text(f"{head}\nexperiments:\n{one}{study}")


def faults(before: dict[str, Path], name: str) -> range:
    """The changes of a stage at which it is disturbed."""
    changes = int((before[""] / f"changes_{name}").read_text())
    return range(1, changes + 1, max(1, changes // CHANGES))


@pytest.mark.parametrize("name", STAGES)
def test_killed_at_a_write_it_ends_with_the_same_result(name, before, tmp_path):
    stage, points = STAGES[name], faults(before, name)
    expected = stage.result(before[""])
    for at in points:
        checkout = shutil.copytree(before[name], tmp_path / str(at))
        code, made = attempt(checkout, work(stage, checkout), at)
        assert code == -signal.SIGKILL or made < at, at  # one that waits for another's lock opens it again
        assert attempt(checkout, work(stage, checkout))[0] == DONE, at
        assert stage.result(checkout) == expected, at
        shutil.rmtree(checkout)
    print(f"{name}: killed at {len(points)} of {points.stop - 1} changes")


def test_three_processes_publish_the_same_as_one(before, tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKING_PROCESSES", "3")
    checkout = shutil.copytree(before["publish"], tmp_path / "three")
    assert attempt(checkout, work(STAGES["publish"], checkout))[0] == DONE
    assert store(checkout) == store(before[""])


@pytest.mark.parametrize("name", STAGES)
def test_an_error_of_the_disk_at_a_write_loses_nothing(name, before, tmp_path):
    stage = STAGES[name]
    expected = stage.result(before[""])
    for at in faults(before, name):
        checkout = shutil.copytree(before[name], tmp_path / str(at))
        code, _ = attempt(checkout, work(stage, checkout), at, DISK_ERRORS[at % len(DISK_ERRORS)])
        assert code in (DONE, FAILED), at
        assert attempt(checkout, work(stage, checkout))[0] == DONE, at
        assert stage.result(checkout) == expected, at
        shutil.rmtree(checkout)
