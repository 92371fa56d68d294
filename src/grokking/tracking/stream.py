"""Stream the evaluations of a running experiment to MLflow, so that a long run can be watched.

A thread of the driver sends them; training runs in worker processes and never waits. `publish` later writes
the same points and more, so the two do not disturb each other.
"""

import os
import socket
import sys
import threading
import time
from collections import defaultdict
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from grokking.analysis.results import varying
from grokking.executors.environment import seconds
from grokking.executors.liveness import is_running, started
from grokking.experiment import Replica
from grokking.tracking import identity, metrics, store
from grokking.training.records import Evaluation

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STREAM_AFTER_SECONDS = 60.0  # a shorter experiment is over before anyone could look
STREAM_EVERY_SECONDS = 5.0
SILENT_SECONDS = 300.0  # after which a run of another host counts as dead
PATIENCE_SECONDS = 5.0  # that the end of training waits for the store


class Stream:
    """Sends evaluations from a thread; a store error is printed once and never stops training."""

    def __init__(self, name: str, group: str, replicas: list[Replica], fingerprint: str) -> None:
        self.name = name
        self.rows = {replica.index: replica.row() for replica in replicas}
        self.group = group
        self.tags = identity.parent_tags(name, group, fingerprint, replicas[0].row())
        self.after = seconds("GROKKING_STREAM_AFTER", STREAM_AFTER_SECONDS)
        self.queue: SimpleQueue[Evaluation] = SimpleQueue()
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closed.set()
        self.thread.join(PATIENCE_SECONDS)
        if self.thread.is_alive():
            self._print("the store does not answer")

    def send(self, evaluation: Evaluation) -> None:
        """Queue an evaluation; returns at once."""
        self.queue.put(evaluation)

    def _run(self) -> None:
        if self.closed.wait(min(self.after, threading.TIMEOUT_MAX)):
            return
        try:
            client = store.connect()
            reap(client)
            runs = self._open_runs(client)
            while not self.closed.wait(STREAM_EVERY_SECONDS):
                self._flush(client, runs)
        except Exception as error:  # whatever it is, training goes on and `publish` writes all points later
            self._print(store.reason(error))

    def _print(self, reason: str) -> None:
        message = f"{self.name}: not streamed to MLflow: {reason}; `make publish` completes it after training"
        print(message, file=sys.stderr)

    def _open_runs(self, client: "MlflowClient") -> dict[int, "Run"]:
        """Open a run per replica as RUNNING, and their parent; replicas by number, the parent as -1."""
        experiment = store.experiment_id(client, identity.experiment_of(self.group))
        first = next(iter(self.rows.values()))
        name, axes = (
            identity.parent_name(self.name, self.group, first),
            varying(pd.DataFrame(self.rows.values())),
        )
        parent = store.ensure_run(client, experiment, name, self.tags)
        wanted = [
            (identity.child_name(row, axes), identity.child_tags(self.tags, index))
            for index, row in self.rows.items()
        ]
        opened = store.ensure_children(client, experiment, parent.info.run_id, wanted)
        runs = dict(zip([*self.rows, -1], [*opened, parent], strict=True))
        for run in runs.values():
            client.update_run(run.info.run_id, status="RUNNING")
            store.log(client, run, {}, [], alive())
        return runs

    def _flush(self, client: "MlflowClient", runs: dict[int, "Run"]) -> None:
        points: dict[int, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        while not self.queue.empty():
            evaluation = self.queue.get_nowait()
            points[evaluation.replica].append((evaluation.step, metrics.of_evaluation(evaluation.metrics)))
        for replica, new in points.items():
            store.log(client, runs[replica], {}, new)
        store.log(client, runs[-1], {}, [], alive())


def alive() -> dict[str, str]:
    """Tags by which another process tells that this one still streams."""
    return {
        "host": socket.gethostname(),
        "process": f"{os.getpid()} since {started(os.getpid()):.0f}",
        "heartbeat": f"{time.time():.0f}",
    }


def reap(client: "MlflowClient") -> None:
    """Mark runs as KILLED that nobody streams any more; MLflow would show them running for ever."""
    for name in identity.EXPERIMENTS:
        experiment = store.experiment_id(client, name)
        running = store.search(client, experiment, "attributes.status = 'RUNNING'")
        by_id = {run.info.run_id: run for run in running}
        for run in running:
            # only a parent has a heartbeat that goes on
            above = by_id.get(run.data.tags.get("mlflow.parentRunId", ""), run)
            if not is_alive(above.data.tags):
                client.set_tag(run.info.run_id, "reaped", "true")
                client.set_terminated(run.info.run_id, "KILLED")


def is_alive(tags: dict[str, str]) -> bool:
    """Whether the process that streams a run is there; of another host, whether it was heard of lately."""
    if tags.get("host") != socket.gethostname():
        return time.time() - float(tags.get("heartbeat", 0)) < SILENT_SECONDS
    pid, _, since = tags.get("process", "").partition(" since ")
    try:
        return is_running(int(pid), float(since))
    except ValueError:  # it did not say
        return False
