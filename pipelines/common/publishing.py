"""Runs and studies as `publish` shows them in MLflow."""

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grokking.analysis.nested import flat
from grokking.catalogue import Catalogue
from grokking.executors.processes import ProcessExecutor
from grokking.executors.resources import processes
from grokking.storage import runs, task_files
from grokking.tracking import registry, store, stream, views
from grokking.tracking import studies as study_runs
from grokking.tracking import submissions as submission_runs
from grokking.tracking import sweeps as sweep_runs
from grokking.tracking.publish import Trained, publish, split_digest
from grokking.tracking.studies import Searched
from grokking.tracking.submissions import Submitted
from pipelines.common import describing
from pipelines.common.on_disk import OnDisk, RunOnDisk, draw
from pipelines.common.paths import DIAGNOSTICS, SPLITS
from pipelines.common.reports import DIAGNOSTICS_TABLE, EXPLORED, NETWORK

Published = Iterator[tuple[str, bool]]  # the name of each thing, and whether it was not there before

LOCKS = (Path("extended/dvc.lock"), Path("dvc.lock"))


@contextmanager
def published_runs(catalogue: Catalogue, found: OnDisk) -> Iterator[Published]:
    """Publish all trained runs, which are most of the work, in worker processes; yields them as they end.

    MLflow's store lets its writers write in turn. What they compute for it takes more of their time.
    """
    store.load_mlflow()  # here, so that forked workers have it
    study_of = {arm: searched for searched, arms in found.studies for arm in arms}
    with ProcessExecutor(processes(None)) as workers:
        names = {
            workers.submit(_publish_run, catalogue, run, study_of.get(run)): run.name
            for run in found.all_runs
        }
        yield ((names[job], job.result()) for job in as_completed(names))


def publish_models(found: OnDisk) -> Published:
    """Register the best networks, each of which is of a run that is there; then tidy up."""
    client = store.process_client()
    for model in found.models:
        yield f"model {model.name}", registry.publish(client, model)
    stream.reap(client)  # what is streamed no longer and was not published either


def publish_others(found: OnDisk, submissions: Sequence[Submitted]) -> Published:
    """Publish views, studies, sweeps, submissions and own runs."""
    client = store.process_client()
    views.publish(client)
    for searched, _ in found.studies:
        yield f"study {searched.study.name}", study_runs.publish(client, searched)
    for swept in found.sweeps:
        yield f"sweep {swept.name}", sweep_runs.publish(client, swept)
    for submitted in submissions:
        yield submitted.name, submission_runs.publish(client, submitted)
    for own in found.own:
        yield own.name, publish(client, own)


def _publish_run(catalogue: Catalogue, run: RunOnDisk, searched: Searched | None) -> bool:
    """Publish a run, below that of the study whose arm it is; its figure is drawn if need be."""
    client = store.process_client()
    if not run.figure.exists():
        draw(run)
    parent = None if searched is None else study_runs.ensure_parent(client, searched).info.run_id
    return publish(client, _trained(catalogue, run), parent)


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
        name, group, folder, run, split, found.figure, diagnosed / DIAGNOSTICS_TABLE, diagnosed / NETWORK,
        about, _data(catalogue, task, beside.text), beside.numbers,
        {"study": entry} if group == "studies" else {}, _pictures(name) if group == "systems" else {},
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
