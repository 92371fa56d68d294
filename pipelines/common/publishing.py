"""Runs and studies as `publish` shows them in MLflow."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from grokking.analysis.nested import flat
from grokking.catalogue import Catalogue
from grokking.storage import runs, task_files
from grokking.tracking import registry, store, stream, views
from grokking.tracking import studies as study_runs
from grokking.tracking import submissions as submission_runs
from grokking.tracking import sweeps as sweep_runs
from grokking.tracking.publish import Trained, publish, split_digest
from grokking.tracking.submissions import Submitted
from pipelines.common import describing
from pipelines.common.on_disk import OnDisk, RunOnDisk
from pipelines.common.paths import DIAGNOSTICS, SPLITS
from pipelines.common.reports import DIAGNOSTICS_TABLE, EXPLORED, NETWORK

LOCKS = (Path("extended/dvc.lock"), Path("dvc.lock"))


def publish_in_turn(
    catalogue: Catalogue,
    found: OnDisk,
    submissions: Sequence[Submitted],
    wait_for_figure: Callable[[RunOnDisk], None],
) -> Iterator[tuple[str, bool]]:
    """Publish everything; the name of each thing, and whether it was not there before."""
    client = store.connect()
    views.publish(client)

    def publish_run(run: RunOnDisk, below: str | None = None) -> tuple[str, bool]:
        wait_for_figure(run)
        return run.name, publish(client, _trained(catalogue, run), below)

    for run in found.runs:
        yield publish_run(run)
    for searched, arms in found.studies:
        yield f"study {searched.study.name}", study_runs.publish(client, searched)
        parent = study_runs.ensure_parent(client, searched).info.run_id
        for arm in arms:
            yield publish_run(arm, parent)
    for swept in found.sweeps:
        yield f"sweep {swept.name}", sweep_runs.publish(client, swept)
    for submitted in submissions:
        yield submitted.name, submission_runs.publish(client, submitted)
    for own in found.own:
        yield own.name, publish(client, own)
    for model in found.models:
        yield f"model {model.name}", registry.publish(client, model)
    stream.reap(client)  # what is streamed no longer and was not published either


def _trained(catalogue: Catalogue, found: RunOnDisk) -> Trained:
    name, entry, group, folder = found.name, found.entry, found.group, found.folder
    run = runs.read(folder)
    task = str(run.replicas["task"].iloc[0])
    meta = task_files.read_meta(SPLITS / task)
    split = store.Split(task, SPLITS / task, split_digest(task, LOCKS), int(meta["equations"]))
    beside = describing.published(name, run)
    about = describing.about(
        catalogue, entry, group, name, run.replicas, str(meta["formula"]), beside.verdict
    )
    diagnosed = DIAGNOSTICS / group / name
    return Trained(
        name, group, folder, split, found.figure, diagnosed / DIAGNOSTICS_TABLE, diagnosed / NETWORK, about,
        _data(catalogue, task, beside.text), beside.numbers, {"study": entry} if group == "studies" else {},
        _pictures(name) if group == "systems" else {},
    )  # fmt: skip


def _pictures(name: str) -> dict[int, Path]:
    """Every second one that the explorer has drawn of an experiment's network, by step, the last among them.

    All of them would take four seconds to publish.
    """
    files = (EXPLORED / name).glob("step_*.png")
    by_step = sorted((int(file.stem.removeprefix("step_")), file) for file in files)
    return dict(by_step[::-2][::-1])


def _data(catalogue: Catalogue, task: str, published: str) -> dict[str, Any]:
    """A task's operation, labels and split as parameters, so that runs can be compared by them.

    So is the published number, as text: as a metric it would lose that it is a bound.
    """
    entry = catalogue.entry("tasks", task)
    data = {f"data.{key}": value for key, value in flat(entry).items() if key != "split_seeds"}
    return data | ({"published": published} if published else {})
