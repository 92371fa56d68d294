"""Stream the evaluations of a running experiment to MLflow, so that a long run can be watched.

A thread of the driver sends them; training runs in worker processes and never waits. `publish` later writes
the same points and more, so the two do not disturb each other.
"""

import os
import socket
import sys
import threading
from collections import defaultdict
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import psutil

from grokking.experiment import Replica
from grokking.tracking import identity, store
from grokking.training.records import Evaluation

if TYPE_CHECKING:
    from mlflow import MlflowClient

STREAM_AFTER_SECONDS = 60.0  # a shorter experiment is over before anyone could look
STREAM_EVERY_SECONDS = 5.0


class Stream:
    """Sends evaluations from a thread; a store error is printed once and never stops training."""

    def __init__(self, name: str, group: str, replicas: list[Replica], fingerprint: str) -> None:
        self.name = name
        self.rows = {replica.index: replica.row() for replica in replicas}
        self.tags = identity.parent_tags(name, group, fingerprint, replicas[0].row())
        self.queue: SimpleQueue[Evaluation] = SimpleQueue()
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closed.set()
        self.thread.join()

    def send(self, evaluation: Evaluation) -> None:
        """Queue an evaluation; returns at once."""
        self.queue.put(evaluation)

    def _run(self) -> None:
        if self.closed.wait(float(os.environ.get("GROKKING_STREAM_AFTER", STREAM_AFTER_SECONDS))):
            return
        try:
            client = store.connect()
            reap(client)
            runs = self._open_runs(client)
            while not self.closed.wait(STREAM_EVERY_SECONDS):
                self._flush(client, runs)
        except Exception as error:  # whatever it is, training goes on and `publish` writes all points later
            print(f"{self.name}: not streamed to MLflow ({type(error).__name__}: {error})", file=sys.stderr)

    def _open_runs(self, client: "MlflowClient") -> dict[int, str]:
        """Open a run per replica as RUNNING; their ids by replica."""
        experiment = store.experiment_id(client, identity.KIND)
        alive = {"pid": str(os.getpid())}
        parent = store.ensure_run(client, experiment, self.name, self.tags | alive)
        runs = {}
        for index, row in self.rows.items():
            name, tags = identity.child_name(self.name, row), identity.child_tags(self.tags, index) | alive
            runs[index] = store.ensure_run(client, experiment, name, tags, parent)
        for run_id in [parent, *runs.values()]:
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, "pid", alive["pid"])
        return runs

    def _flush(self, client: "MlflowClient", runs: dict[int, str]) -> None:
        points: dict[int, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        while not self.queue.empty():
            evaluation = self.queue.get_nowait()
            points[evaluation.replica].append((evaluation.step, evaluation.metrics))
        for replica, new in points.items():
            store.log_points(client, runs[replica], new)


def reap(client: "MlflowClient") -> None:
    """Mark runs of this host as KILLED whose process is gone; MLflow would show them running for ever."""
    experiment = store.experiment_id(client, identity.KIND)
    query = f"attributes.status = 'RUNNING' and tags.host = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], query):
        pid = run.data.tags.get("pid")
        if pid is not None and not psutil.pid_exists(int(pid)):
            client.set_tag(run.info.run_id, "reaped", "true")
            client.set_terminated(run.info.run_id, "KILLED")
