"""Trains the trials of a submission that have not been trained yet, and keeps what each came to."""

import hashlib
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.engine.events import CrossingDetector
from grokking.executors.executor import Executor, executor
from grokking.executors.resources import cores
from grokking.leaderboard.rehearsal import mistakes_in_one_line
from grokking.leaderboard.rule import known
from grokking.leaderboard.submission import Submission, parse
from grokking.leaderboard.trials import Trial, WithTrials
from grokking.leaderboard.workloads import Workload
from grokking.storage.runs import read_table
from grokking.storage.whole_file import whole_file
from grokking.training.fingerprint import code_hash, input_hash, same_code
from grokking.training.history import history_table, replica_row
from grokking.training.loop import train
from grokking.training.records import Observation

RUNS, CURVES = "runs.parquet", "curves.parquet"
KEY = ["workload", "study", "trial"]
STEPS = dict.fromkeys(["memorization_step", "generalization_step"], float)  # also where all are missing
MEASURED = ["seconds", "step_seconds", "processor"]  # all other columns are a function of data and code
CURVE = ["step", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "weight_norm"]

Job = tuple[Submission, Workload, Trial]
Trained = tuple[dict[str, Any], pd.DataFrame]  # a row of the table of runs, and its curve
Left = Mapping[str, int]  # by workload, how many trials are left
Show = Callable[[dict[str, Any], Left], None]  # takes the row of a trial that has ended, and what is left


class Results:
    """The table of runs and the curves of a submission in its folder; each addition is written at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows, self.curves = everything_kept(folder)
        self.rows = [row for row in rows if row["code"] in same_code()]
        self.of_other_code = len(rows) - len(self.rows)

    def forget_others(self, jobs: Sequence[Job]) -> None:
        """Forget rows of the same names that other inputs led to."""
        wanted = {trial.key: input_hash(trial.replica, workload.task) for _, workload, trial in jobs}
        self.rows = [row for row in self.rows if wanted.get(key_of(row), row["inputs"]) == row["inputs"]]

    def keep_only(self, jobs: Sequence[Job]) -> int:
        """Forget rows that are not results of these jobs, on the disk too; returns how many there were."""
        before = len(self.rows) + self.of_other_code
        names = {trial.key for _, _, trial in jobs}
        self.rows = [row for row in self.rows if key_of(row) in names]
        self.forget_others(jobs)
        if (lost := before - len(self.rows)) and self.rows:
            write(self.folder, self.rows, self.curves)
        return lost

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of the jobs that are not here."""
        known = {key_of(row) for row in self.rows}
        return [job for job in jobs if job[2].key not in known]

    def add(self, row: dict[str, Any], curve: pd.DataFrame) -> None:
        self.rows.append(row)
        self.curves[key_of(row)] = curve
        write(self.folder, self.rows, self.curves)

    def table(self, jobs: Sequence[Job]) -> pd.DataFrame:
        """The rows of these jobs that are here."""
        wanted = {trial.key for _, _, trial in jobs}
        return table_of([row for row in self.rows if key_of(row) in wanted])


def train_missing(
    submission: Submission,
    asked: Sequence[WithTrials],
    known: Sequence[WithTrials],
    folder: Path,
    show: Show = lambda row, left: None,
    show_outdated: Callable[[int], None] = lambda count: None,
) -> pd.DataFrame:
    """Train those of the trials that `folder` does not hold; returns the rows of all asked.

    What is kept and is none of the submission's `known` trials is forgotten: it is of an earlier file,
    workload or core. `show_outdated` is called with their number, if there are any.
    Each is written as soon as it has ended, so an interrupted call goes on where it was.
    """
    with alone(folder):
        results, jobs = Results(folder), _jobs(submission, asked)
        if count := results.keep_only(_jobs(submission, known)):
            show_outdated(count)
        if missing := results.missing(jobs):
            left = Counter(workload.name for _, workload, _ in missing)
            with workers_for(len(missing)) as workers:
                for row, curve in trained(missing, workers):
                    results.add(row, curve)
                    left[row["workload"]] -= 1
                    show(row, dict(left))
        return results.table(jobs)


def _jobs(submission: Submission, chosen: Sequence[WithTrials]) -> list[Job]:
    return [(submission, workload, trial) for workload, own in chosen for trial in own]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse a second call on a folder: each writes all of the rows that it knows."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    try:
        with FileLock(Path(tempfile.gettempdir()) / f"grokking-bench-{name}.lock", timeout=0):
            yield
    except Timeout:
        raise ConfigError(f"another `grokking bench` is writing to {folder}; wait for it") from None


def workers_for(jobs: int) -> Executor:
    """A worker per core, or per job where there are fewer."""
    return executor(jobs if 0 < jobs < cores() else None, "cpu")


def trained(jobs: Sequence[Job], workers: Executor, deadline: float = math.inf) -> Iterator[Trained]:
    """Train these trials side by side; each is returned as soon as it has ended.

    After the deadline, by `time.monotonic`, no more are begun.
    """
    waiting, running = list(reversed(jobs)), set[Future[Trained]]()
    most = len(jobs) if deadline == math.inf else workers.workers
    while True:
        while waiting and len(running) < most and time.monotonic() < deadline:
            own, workload, trial = waiting.pop()
            job = own.name, own.source, trial, workload.task, workers.device
            running.add(workers.submit(train_trial, *job))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def train_trial(name: str, source: str, trial: Trial, task: Task, device: str) -> Trained:
    """Train one network by the rule of this source until it has generalized for good, or to its budget."""
    submission = parse(name, source, name)
    with known(submission), mistakes_in_one_line(submission, trial.replica.config.update_hparams()):
        decided = Decided(trial.limit)
        evaluations = list(train([trial.replica], task, device, stop=decided, snapshots=False))
    row = replica_row(trial.replica, evaluations, task)
    steps = max(1, evaluations[-1].step)
    own: dict[str, Any] = {
        "workload": trial.workload,
        "study": trial.study,
        "trial": trial.number,
        "seed": trial.replica.seed,
        "submission": submission.sha256,
        "inputs": input_hash(trial.replica, task),
        "code": code_hash(),
        "point": json.dumps(trial.point, sort_keys=True),
        "budget": trial.limit,
        "step_seconds": evaluations[-1].seconds / steps,
        "processor": evaluations[-1].processor,
    }
    events = ["memorization_step", "generalization_step", "observed", "steps_run", "diverged", "seconds"]
    finals = ["final_train_accuracy", "final_validation_accuracy"]
    curve = history_table(evaluations)[CURVE].assign(**{key: own[key] for key in KEY})
    return own | {key: row[key] for key in events + finals}, curve


class Decided:
    """Stops a training after its budget unless a crossing is pending; when it memorized does not matter."""

    def __init__(self, budget: int) -> None:
        self.generalization = CrossingDetector(budget)

    def __call__(self, observation: Observation) -> bool:
        self.generalization.update(observation.step, observation.metrics["validation_accuracy"])
        return observation.step >= self.generalization.budget and not self.generalization.is_pending


def everything_kept(folder: Path) -> tuple[list[dict[str, Any]], dict[tuple[Any, ...], pd.DataFrame]]:
    """The rows of earlier calls, whatever code they are of, and their curves."""
    if not (folder / RUNS).exists():
        return [], {}
    rows: list[Any] = read_table(folder / RUNS).to_dict("records")
    return rows, {tuple(key): curve for key, curve in read_table(folder / CURVES).groupby(KEY)}


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype(STEPS).sort_values(KEY, ignore_index=True)


def write(folder: Path, rows: list[dict[str, Any]], curves: dict[tuple[Any, ...], pd.DataFrame]) -> None:
    """Write both tables, curves first: the table of runs says what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    known = sorted(key_of(row) for row in rows)
    tables = {
        CURVES: pd.concat([curves[key] for key in known], ignore_index=True),
        RUNS: table_of(rows),
    }
    for name, table in tables.items():
        with whole_file(folder / name) as unfinished:
            table.to_parquet(unfinished, index=False, compression="zstd")


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in KEY)
