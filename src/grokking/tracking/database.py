"""The SQLite file of the MLflow store: made whole or not at all, and right wherever the checkout lies."""

import contextlib
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from grokking.config import ConfigError
from grokking.storage.addresses import without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAKING = ".making-"
ARTIFACTS = "artifacts"  # beside the database
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def file_of(uri: str) -> Path | None:
    """The database of a tracking URI; None where the store is no SQLite file."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix).partition("?")[0]) if uri.startswith(prefix) else None


def lock(database: Path) -> FileLock:
    """Held while the store is made, and while a run is looked up and created."""
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(database.parent / ".init.lock")


def connect(uri: str, database: Path, own: tuple[str, ...]) -> "MlflowClient":
    """A client of the store at `uri`, which is made if need be; `own` names the project's experiments.

    Two processes that create an SQLite store at once corrupt it, hence the lock.
    """
    from mlflow import MlflowClient

    with lock(database):
        if not database.exists():
            _make(database)
        _spare_the_disk(database)
        try:
            _require_whole(database)
            client = MlflowClient(uri)
            _bring_home(database, own)
        except Exception as error:
            raise ConfigError(_trouble(database, error)) from None
    return client


def _make(database: Path) -> None:
    """Make the store under another name and move it into place: a kill in between leaves none, not a part."""
    for left in database.parent.glob(f"{MAKING}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix=MAKING, dir=database.parent) as folder:
            fresh = Path(folder) / database.name
            _fill(fresh)
            fresh.rename(database)
        _write_ahead_log(database)
    except Exception as error:
        raise ConfigError(f"cannot make {database}: {one_line(error)}") from None


def _fill(database: Path) -> None:
    """MLflow's tables, without its empty experiment "Default"."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    client.delete_experiment("0")


def _write_ahead_log(database: Path) -> None:
    """Let the UI read while a run is written; the setting is kept in the file."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


@cache
def _spare_the_disk(database: Path) -> None:
    """Commit without waiting for the disk, thousands of times: what a power cut loses is published again."""
    from sqlalchemy import Engine, event

    def set_synchronous(connection: Any, record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
            if file == str(database):
                connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(Engine, "connect", set_synchronous)


def _require_whole(database: Path) -> None:
    """Refuse what is no store before MLflow tries to mend it: a file of something else, or a part of one."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        if not connection.execute("SELECT version_num FROM alembic_version").fetchall():
            raise ConfigError("it was not made to its end")


def _bring_home(database: Path, own: tuple[str, ...]) -> None:
    """MLflow stores absolute paths: after a checkout was moved or copied, they lead to where it was."""
    home = database.parent.resolve().as_uri()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        names = ", ".join("?" * len(own))
        rows = connection.execute(f"SELECT artifact_location FROM experiments WHERE name IN ({names})", own)
        for former in {location.removesuffix(f"/{ARTIFACTS}") for (location,) in rows} - {home}:
            for table, column in PATHS:
                after = len(former) + 1  # SQL counts characters from 1
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (home, after, after, f"{former}/"),
                )


def reason(error: Exception) -> str:
    """Why a write to the store failed."""
    if "database is locked" in str(error):
        return "another process has held the store for too long"
    return one_line(error)


def _trouble(database: Path, error: Exception) -> str:
    if "locked" in str(error):
        return f"{database}: {reason(error)}; end that process, or wait and try again"
    return (
        f"{database} cannot be used: {one_line(error)}; it only shows what is in results/: "
        f"delete it (rm {database}*) and run `make publish`"
    )


def one_line(error: Exception) -> str:
    """The first line of an error's message, without passwords, or its kind."""
    lines = without_passwords(str(error)).splitlines()
    return next((line.strip() for line in lines if line.strip()), type(error).__name__)
