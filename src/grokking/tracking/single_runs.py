"""A run without children: it is published again only where its files or its form have changed."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from grokking.tracking import metrics, store
from grokking.tracking.descriptions import NOTE

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Logged(NamedTuple):
    """What a run shows beside its files."""

    params: Mapping[str, Any]
    found: Mapping[str, Any]  # numbers, by the names of metrics without their section
    note: str


def content(form: str, files: Sequence[Path]) -> str:
    """Hash of the files and of `form`, which stands for all else that the run shows."""
    digest = hashlib.sha256(form.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def publish(
    client: "MlflowClient",
    place: tuple[str, str],
    tags: Mapping[str, str],
    form: str,
    files: Sequence[Path],
    logged: Callable[[], Logged],
) -> bool:
    """Publish a run of an experiment under a name, its place; False where the store holds just this."""
    experiment, name = place
    current = content(form, files)
    run = store.ensure_run(client, store.experiment_id(client, experiment), name, dict(tags))
    if run.data.tags.get("published") == current:
        return False
    shown = logged()
    found = metrics.prefixed(dict(shown.found))
    store.log(client, run, dict(shown.params), [(0, found)], {NOTE: shown.note})
    for file in files:
        client.log_artifact(run.info.run_id, str(file))
    store.finish(client, run, 0.0)
    client.set_tag(run.info.run_id, "published", current)
    return True
