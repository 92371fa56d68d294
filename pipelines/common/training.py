"""What the stages that train share: an experiment's task, and its replicas from start to files."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grokking.catalogue import Catalogue
from grokking.data.tasks import Task
from grokking.experiment import Replica, require_fit
from grokking.identifiability import warning
from grokking.progress import Progress
from grokking.storage import task_files
from grokking.storage.run_folder import RunFolder
from grokking.tracking.stream import Stream
from grokking.training.fingerprint import fingerprint
from grokking.training.workers import train_all
from pipelines.common.paths import CHECKPOINTS, SPLITS


def read_task(catalogue: Catalogue, replicas: Sequence[Replica], where: str) -> Task:
    """The task of these replicas from its files; refuses what cannot be trained on it, warns of the rest."""
    task = named_task(catalogue, replicas[0].config.task, where)
    for replica in replicas:
        require_fit(replica, task, where)
    return task


def named_task(catalogue: Catalogue, name: str, where: str) -> Task:
    """A task from its files, with a warning where a perfect network may not exist on it."""
    catalogue.entry("tasks", name)  # the error for an unknown name lists the known ones
    task = task_files.read(SPLITS / name)
    if text := warning(task_files.read_meta(SPLITS / name)):
        print(f"warning: {where}: {text}", file=sys.stderr)
    return task


def train(
    name: str,
    group: str,
    replicas: list[Replica],
    task: Task,
    folder: Path,
    snapshots: Path | None = None,
    tables_suffice: bool = False,
) -> pd.DataFrame:
    """Train every replica that is not finished and write its files; the table of all replicas.

    An interrupted call goes on from its checkpoints when it is repeated. A replica whose results are in the
    folder is finished; without `tables_suffice` its networks must be there, too, where `snapshots` says that
    they are wanted.
    """
    kept = RunFolder(folder, replicas, task, snapshots)
    todo = kept.unfinished(tables_suffice)
    if todo:
        checkpoints = CHECKPOINTS / fingerprint(replicas, task)
        with Progress(name, todo) as progress, Stream(name, group, replicas, kept.fingerprint()) as stream:
            for evaluations in train_all(todo, task, [progress.show, stream.send], checkpoints):
                kept.add(evaluations)
        shutil.rmtree(checkpoints, ignore_errors=True)
    table = kept.close()
    print(headline(name, table, len(todo)), flush=True)
    return table


def headline(name: str, table: pd.DataFrame, trained: int) -> str:
    """One line on a trained experiment for the terminal; `trained` of its replicas were trained just now."""
    steps = table["generalization_step"].dropna().astype(int)
    when = f" at steps {', '.join(f'{step:,}' for step in steps)}" if 0 < len(steps) <= 10 else ""
    earlier = f" ({len(table) - trained} were trained before)" if trained < len(table) else ""
    return f"{name}: {len(steps)} of {len(table)} replicas generalized{when}{earlier}"
