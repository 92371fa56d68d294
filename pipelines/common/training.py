"""What the stages that train share: an experiment's task, and its replicas from start to files."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from grokking.catalogue import Catalogue
from grokking.data import tasks
from grokking.data.identifiability import warning
from grokking.data.tasks import Task
from grokking.experiment import Replica, require_fit
from grokking.progress import Progress
from grokking.tracking.stream import Stream
from grokking.training import run_folder
from grokking.training.fingerprint import fingerprint
from grokking.training.history import headline
from grokking.training.workers import train_all
from pipelines.common.paths import CHECKPOINTS, SPLITS


def read_task(catalogue: Catalogue, replicas: Sequence[Replica], where: str) -> Task:
    """The task of these replicas from its files; refuses what cannot be trained on it, warns of the rest."""
    name = replicas[0].config.task
    catalogue.entry("tasks", name)  # an unknown name is told with the known ones
    task = tasks.read(SPLITS / name)
    for replica in replicas:
        require_fit(replica, task, where)
    if text := warning(tasks.read_meta(SPLITS / name)):
        print(f"warning: {where}: {text}", file=sys.stderr)
    return task


def train(
    name: str, group: str, replicas: list[Replica], task: Task, folder: Path, snapshots: bool = True
) -> pd.DataFrame:
    """Train every replica and write its files, networks only where `snapshots` are wanted; the replica table.

    An interrupted call goes on from its checkpoints when it is repeated.
    """
    key = fingerprint(replicas, task)
    checkpoints = CHECKPOINTS / key
    with Progress(name, replicas) as progress, Stream(name, group, replicas, key) as stream:
        evaluations = train_all(replicas, task, [progress.show, stream.send], checkpoints)
    if not snapshots:
        evaluations = [replace(evaluation, parameters=None) for evaluation in evaluations]
    table = run_folder.save(folder, replicas, evaluations, task)
    shutil.rmtree(checkpoints, ignore_errors=True)
    print(headline(name, table), flush=True)
    return table
