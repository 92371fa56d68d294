"""The MLflow store, and writing to its runs: the same write again changes nothing."""

import contextlib
import gc
import getpass
import importlib
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from grokking.config import ConfigError
from grokking.tracking import database, identity, server
from grokking.tracking.server_lock import ServerLock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow's limits for one batch are a hundred parameters, a hundred tags, and a thousand things in all
METRICS_PER_REQUEST, PARAMS_PER_REQUEST = 800, 100

LOGGED_IMAGES = "mlflow.loggedImages"  # MLflow's tag of a run with pictures

Points = Sequence[tuple[int, Mapping[str, Any]]]  # step, metrics


def root() -> Path:
    """The repository, also from a DVC experiment's temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT", Path.cwd())).resolve()


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite store in the repository's mlruns folder."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlruns' / 'mlflow.db'}"
    file = database.file_of(uri)
    if file is not None and "~" in file.parts:
        raise ConfigError(
            f"`MLFLOW_TRACKING_URI` must name the folder in full, as ~ means nothing in it, but got {uri}"
        )
    return uri


def connect() -> "MlflowClient":
    """A client of the store, which is created if need be."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # MLflow's defaults block for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for each run
    from mlflow import MlflowClient

    # it tells of each step, and writes the traceback of each error before it raises it
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = tracking_uri()
    file = database.file_of(uri)
    if file is not None:
        return database.connect(uri, file, identity.EXPERIMENTS)
    try:
        return MlflowClient(uri)
    except Exception as error:
        reason = database.one_line(error)
        raise ConfigError(f"`MLFLOW_TRACKING_URI` cannot be opened: {reason}; mend it or unset it") from None


def load_mlflow() -> None:
    """Import MLflow with what it writes to a database, which takes a second or two."""
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


@cache
def process_client() -> "MlflowClient":
    """The client of this process, for much to be published: no two processes may share a connection."""
    gc.set_threshold(100_000, 20)  # MLflow makes millions of small objects, and none of them lives on
    return connect()


@contextlib.contextmanager
def publishing() -> Iterator[None]:
    """One `publish` at a time: a second one waits, and then finds everything there. Errors get one line."""
    folder = root() / "mlruns"
    try:
        folder.mkdir(exist_ok=True)
        with FileLock(folder / ".publish.lock"), _publishing_alone():
            yield
    except ConfigError:
        raise
    except Exception as error:  # of MLflow, the disk or the network
        message = f"not everything was published: {reason(error)}; run it again, it goes on"
        raise ConfigError(message) from error


def _publishing_alone() -> contextlib.AbstractContextManager[Any]:
    """Held against the publishers of other machines, where the store is a server."""
    if server.is_server(tracking_uri()):
        return ServerLock(connect(), "publishing")
    return contextlib.nullcontext()


def reason(error: Exception) -> str:
    """Why a write to the store failed, in one line and without passwords."""
    uri = tracking_uri()
    refused = server.refusal(error, uri) if server.is_server(uri) else None
    return refused or database.reason(error)


def creating(client: "MlflowClient") -> contextlib.AbstractContextManager[Any]:
    """Held while something is looked up and created, so that two processes do not both create it.

    Not by one that holds it already.
    """
    uri = tracking_uri()
    if server.is_server(uri):
        return ServerLock(client, "creating")
    file = database.file_of(uri)
    return database.lock(file) if file else contextlib.nullcontext()


def experiment_id(client: "MlflowClient", name: str) -> str:
    """Get or create the MLflow experiment of one kind of work; one that was deleted comes back."""
    file = database.file_of(tracking_uri())
    artifacts = (file.parent.resolve() / database.ARTIFACTS).as_uri() if file else None
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "deleted":
        return found.experiment_id
    with creating(client):
        found = client.get_experiment_by_name(name)
        if found is None:
            return client.create_experiment(name, artifacts)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id


def ensure_run(
    client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None
) -> "Run":
    """The run with `tags["key"]`, which is created if need be."""
    query = f"tags.key = '{tags['key']}'"
    if found := client.search_runs([experiment], query, max_results=1):
        return found[0]
    with creating(client):
        found = client.search_runs([experiment], query, max_results=1)
        return found[0] if found else create_run(client, experiment, name, tags, parent)


def ensure_children(
    client: "MlflowClient", experiment: str, parent: str, wanted: Sequence[tuple[str, Mapping[str, str]]]
) -> list["Run"]:
    """The runs below a run, by names and tags; those that are missing are created.

    Runs whose parent was deleted come below this one.
    """
    keys = [tags["key"] for _, tags in wanted]
    found = children(client, experiment, parent)
    if found.keys() >= set(keys):
        return [found[key] for key in keys]
    with creating(client):
        found = children(client, experiment, parent)
        if not found.keys() >= set(keys):
            found |= _adopted(client, experiment, parent, set(keys) - found.keys())
        return [
            found.get(tags["key"]) or create_run(client, experiment, name, tags, parent)
            for name, tags in wanted
        ]


def create_run(
    client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None
) -> "Run":
    own = {"mlflow.user": _user()} | ({"mlflow.parentRunId": parent} if parent else {})
    return client.create_run(experiment, run_name=name, tags={**tags, **own})


def _user() -> str:
    """Who runs this; a container may give a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def children(client: "MlflowClient", experiment: str, parent: str) -> dict[str, "Run"]:
    """The runs below a run, by their key; those that a user added have none."""
    found = search(client, experiment, f"tags.mlflow.parentRunId = '{parent}'")
    return {run.data.tags["key"]: run for run in found if "key" in run.data.tags}


def _adopted(client: "MlflowClient", experiment: str, parent: str, keys: set[str]) -> dict[str, "Run"]:
    """Runs with these keys wherever they are, put below this parent."""
    begin = next(iter(keys)).rpartition("/")[0]  # group and entry
    found = {run.data.tags["key"]: run for run in search(client, experiment, f"tags.key LIKE '{begin}%'")}
    adopted = {key: run for key, run in found.items() if key in keys}
    for run in adopted.values():
        client.set_tag(run.info.run_id, "mlflow.parentRunId", parent)
    return adopted


def search(client: "MlflowClient", experiment: str, query: str) -> list["Run"]:
    """All runs that answer a query, page by page."""
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], query, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def rename(client: "MlflowClient", run: "Run", name: str) -> None:
    """Give a run the name that it has now."""
    if run.info.run_name != name:
        client.update_run(run.info.run_id, name=name)


def log(
    client: "MlflowClient",
    run: "Run",
    params: Mapping[str, Any],
    points: Points,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log parameters, metrics at steps and tags; missing values are left out.

    The time of a point depends on the step only, so that it can be logged again. Values that are not finite
    are left out: MLflow would store infinity as 1.8e308 and ruin the axis. A parameter that the run has stays
    as it is: MLflow lets none change, and what was trained or searched is in the run's key.
    """
    from mlflow.entities import Metric, Param, RunTag

    began = run.info.start_time
    metrics = [
        Metric(key, float(value), began + step, step)
        for step, values in points
        for key, value in values.items()
        if present(value) and math.isfinite(value)
    ]
    fresh = {key: value for key, value in params.items() if key not in run.data.params}
    given = [Param(key, str(value)) for key, value in fresh.items() if present(value)]
    run_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
    size, few = METRICS_PER_REQUEST, PARAMS_PER_REQUEST
    for n in range(max(-(-len(metrics) // size), -(-len(given) // few), 1 if run_tags else 0)):
        client.log_batch(
            run.info.run_id,
            metrics=metrics[n * size : (n + 1) * size],
            params=given[n * few : (n + 1) * few],
            tags=[] if n else run_tags,
        )


def present(value: Any) -> bool:
    """Whether a table cell holds a value."""
    return value is not None and value == value


@dataclass(frozen=True)
class Split:
    """The data a run was trained on; `digest` is DVC's hash of the folder, or "unknown"."""

    task: str
    folder: Path
    digest: str
    rows: int  # equations

    schema = (("a", "long"), ("b", "long"), ("c", "long"))  # the table of equations


def log_split(client: "MlflowClient", run_id: str, split: Split) -> None:
    """Name the split as the run's input."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        split.task,
        split.digest,
        source_type="local",
        source=json.dumps({"uri": str(split.folder)}),
        schema=json.dumps({"mlflow_colspec": [{"name": name, "type": kind} for name, kind in split.schema]}),
        profile=json.dumps({"num_rows": split.rows}),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_pictures(client: "MlflowClient", run: "Run", pictures: Mapping[int, Path]) -> None:
    """Pictures by the step they show, under a slider in the UI; earlier ones of the run are removed."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from PIL import Image

    if LOGGED_IMAGES in run.data.tags:
        get_artifact_repository(run.info.artifact_uri).delete_artifacts("images")
    for step, file in pictures.items():
        with Image.open(file) as picture:
            client.log_image(
                run.info.run_id, picture.convert("RGB"), key="network", step=step, synchronous=True
            )


def finish(client: "MlflowClient", run: "Run", seconds: float) -> None:
    """Close a run as FINISHED; its duration is the training time."""
    client.set_terminated(run.info.run_id, "FINISHED", end_time=run.info.start_time + round(1000 * seconds))
