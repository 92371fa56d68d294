"""Networks trained once, which no rule stopped: a search by any rule is replayed on them.

A rule stops a network and changes nothing else. So what it would have done follows from the evaluations
of the network that was left alone, and what the search would have paid is exact.
"""

import gzip
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from grokking.data.tasks import Task
from grokking.diagnostics.cyclic import Order
from grokking.search.executor import SEARCH_STEPS
from grokking.search.seed_job import SeedJob, SeedOutcome
from grokking.search.trial_monitor import TrialMonitor
from grokking.training.fingerprint import code_hash, input_hash
from grokking.training.loop import train
from grokking.training.records import Observation

METRICS = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "weight_norm", "logit_rms",
)  # fmt: skip
MEDIAN = "median"  # the reason of a stop by Optuna's MedianPruner


@dataclass(frozen=True)
class Recording:
    """Every evaluation of one network, and its structure at the checks, by step."""

    evaluations: list[list[float]]  # step, seconds, METRICS
    structure: dict[int, dict[str, float]]


class Recorder(TrialMonitor):
    """Lets a network train to its generalization or its budget, and keeps what a rule may ask for."""

    def __init__(self, job: SeedJob, task: Task, order: Order | None) -> None:
        context = replace(job.context, limit=math.inf)  # so that no check comes early
        super().__init__(replace(job, exempt=True, context=context), task, order)
        self.recording = Recording([], {})

    def _record(self, observation: Observation) -> None:
        super()._record(observation)
        values = [observation.metrics[name] for name in METRICS]
        self.recording.evaluations.append([observation.step, observation.seconds, *values])

    def _structure(self, observation: Observation) -> dict[str, float]:
        found = self.recording.structure[observation.step] = super()._structure(observation)
        return found


class Recordings:
    """A folder of recordings; a network that is not there is trained."""

    def __init__(self, folder: Path, task: Task, order: Order | None) -> None:
        self.folder, self.task, self.order = folder / code_hash(), task, order
        self.folder.mkdir(parents=True, exist_ok=True)
        self.read: dict[str, Recording] = {}

    def of(self, job: SeedJob) -> Recording:
        """The recording of a job's replica."""
        name = input_hash(replace(job.replica, index=0), self.task)
        if name not in self.read:
            file = self.folder / f"{name}.json.gz"
            if not file.exists():
                self._write(file, self._train(job))
            kept = json.loads(gzip.decompress(file.read_bytes()))
            structure = {int(step): found for step, found in kept["structure"].items()}
            self.read[name] = Recording(kept["evaluations"], structure)
        return self.read[name]

    def _train(self, job: SeedJob) -> Recording:
        recorder = Recorder(job, self.task, self.order)
        watch_training(recorder, job, self.task)
        return recorder.recording

    def _write(self, file: Path, recording: Recording) -> None:
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(gzip.compress(json.dumps(vars(recording)).encode()))
        fresh.replace(file)


def watch_training(monitor: TrialMonitor, job: SeedJob, task: Task) -> None:
    """Train a job's replica on the CPU until the monitor stops it."""
    for _ in train([job.replica], task, "cpu", stop=monitor, evaluated_at=SEARCH_STEPS, snapshots=False):
        pass


class Replay(TrialMonitor):
    """A network's recording, watched by the rules of a study."""

    def __init__(self, job: SeedJob, recordings: Recordings) -> None:
        super().__init__(job, recordings.task, recordings.order)
        self.recording = recordings.of(job)

    def run(self) -> SeedOutcome:
        """How the job ends."""
        for step, seconds, *values in self.recording.evaluations:
            metrics = dict(zip(METRICS, values, strict=True))
            if self(Observation(self.job.replica, int(step), seconds, metrics, dict)):
                break
        return self.outcome()

    def _structure(self, observation: Observation) -> dict[str, float]:
        """At a step that was none of the recorder's checks, that of the check before."""
        kept = self.recording.structure
        return kept[max((step for step in kept if step <= observation.step), default=min(kept))]


class NoRule(Replay):
    """Stops nothing."""

    def __init__(self, job: SeedJob, recordings: Recordings) -> None:
        super().__init__(replace(job, exempt=True), recordings)


class CostCap(NoRule):
    """Stops what costs more than the limit, and nothing else."""

    def _is_pruned(self, observation: Observation) -> bool:
        super()._is_pruned(observation)
        if self._cost(observation) > self.job.context.limit:
            self.reason = "raced"
            return True
        return False


class Median(TrialMonitor):
    """Optuna's MedianPruner on the accuracy of the monitor equations; a trial of its own for each network.

    It stops most networks early, so it trains them itself, and no further.
    """

    def __init__(self, job: SeedJob, recordings: Recordings, study: optuna.Study) -> None:
        super().__init__(replace(job, exempt=True), recordings.task, recordings.order)
        self.study, self.trial = study, study.ask()

    def run(self) -> SeedOutcome:
        """How the job ends."""
        watch_training(self, self.job, self.task)
        outcome = self.outcome()
        if outcome.reason == MEDIAN:
            self.study.tell(self.trial, state=TrialState.PRUNED)
        else:
            self.study.tell(self.trial, self.rows[-1][-1])
        return outcome

    def _is_pruned(self, observation: Observation) -> bool:
        super()._is_pruned(observation)
        self.trial.report(observation.metrics["validation_accuracy"], observation.step)
        if self.trial.should_prune():
            self.reason = MEDIAN
            return True
        return False


class RecordedWorker:
    """One worker that replays its jobs by one rule, and takes no time."""

    def __init__(self, recordings: Recordings, rule: str) -> None:
        self.recordings, self.rule, self.jobs = recordings, rule, list[SeedJob]()
        self.medians = optuna.create_study(direction="maximize", pruner=MedianPruner())

    @property
    def free(self) -> int:
        return 1 - len(self.jobs)

    def submit(self, job: SeedJob) -> None:
        self.jobs.append(job)

    def wait(self, seconds: float | None = None) -> list[SeedOutcome]:
        jobs, self.jobs = self.jobs, []
        return [self._replay(job).run() for job in jobs]

    def _replay(self, job: SeedJob) -> Replay | Median:
        if self.rule == MEDIAN:
            return Median(job, self.recordings, self.medians)
        rules: dict[str, Any] = {"ours": Replay, "cost cap": CostCap, "none": NoRule}
        found: Replay = rules[self.rule](job, self.recordings)
        return found
