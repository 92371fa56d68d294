"""The MLflow store, and writing to its runs: the same write again changes nothing."""

import contextlib
import getpass
import json
import math
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS_PER_REQUEST = 1000  # MLflow's limits for one batch
PARAMS_PER_REQUEST = 100

Points = Sequence[tuple[int, Mapping[str, Any]]]  # step, metrics


def root() -> Path:
    """The repository, also from a DVC experiment's temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT", Path.cwd())).resolve()


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite store in the repository's mlruns folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlruns' / 'mlflow.db'}"


def connect() -> "MlflowClient":
    """A client of the store, which is created if need be.

    Two processes that create an SQLite store at once corrupt it, hence the lock.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # MLflow's default blocks for minutes
    from mlflow import MlflowClient

    uri = tracking_uri()
    database = _sqlite_file(uri)
    if database is None:
        return MlflowClient(uri)
    with _creation_lock(database):
        fresh = not database.exists()
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)  # creates or migrates the tables
        if fresh:
            _write_ahead_log(database)
    return client


def experiment_id(client: "MlflowClient", name: str) -> str:
    """Get or create the MLflow experiment of one kind of work."""
    database = _sqlite_file(tracking_uri())
    artifacts = (database.parent / "artifacts").as_uri() if database else None
    with _creation_lock(database) if database else contextlib.nullcontext():
        found = client.get_experiment_by_name(name)
        return found.experiment_id if found else client.create_experiment(name, artifacts)


def _sqlite_file(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None


def _creation_lock(database: Path) -> FileLock:
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(database.parent / ".init.lock")


def _write_ahead_log(database: Path) -> None:
    """Let the UI read while a run is written; the setting is kept in the file."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def ensure_run(
    client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None
) -> str:
    """The id of the run with `tags["fingerprint"]`, which is created if need be."""
    found = client.search_runs([experiment], f"tags.fingerprint = '{tags['fingerprint']}'", max_results=1)
    if found:
        return found[0].info.run_id
    return create_run(client, experiment, name, tags, parent).info.run_id


def create_run(
    client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None
) -> "Run":
    own = {"mlflow.user": getpass.getuser()} | ({"mlflow.parentRunId": parent} if parent else {})
    return client.create_run(experiment, run_name=name, tags={**tags, **own})


def children(client: "MlflowClient", experiment: str, parent: str) -> dict[str, "Run"]:
    """The runs below a run, by their fingerprint."""
    found: dict[str, Run] = {}
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'", page_token=token)
        found |= {run.data.tags["fingerprint"]: run for run in page}
        token = page.token
        if not token:
            return found


def log_params(client: "MlflowClient", run_id: str, params: Mapping[str, Any]) -> None:
    """Log parameters; missing values are left out."""
    from mlflow.entities import Param

    entities = [Param(key, str(value)) for key, value in params.items() if present(value)]
    for start in range(0, len(entities), PARAMS_PER_REQUEST):
        client.log_batch(run_id, params=entities[start : start + PARAMS_PER_REQUEST])


def log_points(client: "MlflowClient", run_id: str, points: Points) -> None:
    """Log metrics at steps, each at a time that depends on the step only.

    Values that are not finite are left out: MLflow would store infinity as 1.8e308 and ruin the axis.
    """
    from mlflow.entities import Metric

    began = client.get_run(run_id).info.start_time
    metrics = [
        Metric(key, float(value), began + step, step)
        for step, values in points
        for key, value in values.items()
        if present(value) and math.isfinite(value)
    ]
    for start in range(0, len(metrics), METRICS_PER_REQUEST):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])


def present(value: Any) -> bool:
    """Whether a table cell holds a value."""
    return value is not None and value == value


@dataclass(frozen=True)
class Split:
    """The data a run was trained on; `digest` is DVC's hash of the folder, or "unknown"."""

    task: str
    folder: Path
    digest: str


def log_split(client: "MlflowClient", run_id: str, split: Split) -> None:
    """Name the split as the run's input."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": str(split.folder)})
    dataset = Dataset(split.task, split.digest, source_type="local", source=source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def finish(client: "MlflowClient", run_id: str, seconds: float) -> None:
    """Close a run as FINISHED; its duration is the training time."""
    start = client.get_run(run_id).info.start_time
    client.set_terminated(run_id, "FINISHED", end_time=start + round(1000 * seconds))
