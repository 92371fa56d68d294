"""Diagnostics of a trained experiment: its snapshots read, networks rebuilt, the suite run in processes."""

# V classes

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from grokking.data.tasks import Task
from grokking.diagnostics import fourier, geometry, suite
from grokking.diagnostics.cyclic import Order
from grokking.diagnostics.plain import plain
from grokking.diagnostics.suite import Setting, Subject
from grokking.diagnostics.view import View, view
from grokking.engine.answers import answers
from grokking.experiment import Replica
from grokking.training.pool import processes, worker_pool

NAME = re.compile(r"replica_(\d+)_step_(\d+)\.safetensors")
CIRCLES = 4  # strongest frequencies of an embedding that a portrait shows


@dataclass(frozen=True)
class Job:
    """One replica and its snapshots by step."""

    replica: Replica
    task: Task
    order: Order | None
    files: dict[int, Path]

    def setting(self) -> Setting:
        mask_P = self.task.train_mask(self.replica.split_seed)
        return Setting(self.task, mask_P, answers(self.replica, self.task), self.order)

    def view(self, step: int) -> View:
        return view(self.replica, self.task, load_file(self.files[step]))

    def rows(self) -> list[dict[str, float]]:
        """A row per snapshot. Key frequencies are the last network's, so they are known in hindsight only."""
        steps, setting = sorted(self.files), self.setting()
        last = self.view(steps[-1])
        keys = suite.key_frequencies(last, setting)
        rows = []
        for before_last, step in enumerate(reversed(steps)):
            subject = Subject(self.view(step) if before_last else last, setting, keys)
            row = {"replica": self.replica.index, "step": step, "keys": np.nan if keys is None else len(keys)}
            rows.append(row | suite.measure(subject, before_last))
        return rows[::-1]

    def single_steps(self) -> list[int]:
        last_first = sorted(self.files, reverse=True)
        return [last_first[before] for before in suite.SINGLE if before < len(last_first)]

    def single(self, step: int) -> dict[str, float]:
        """What is measured at a few snapshots of one replica only."""
        network = plain(self.replica, self.task, load_file(self.files[step]))
        return suite.measure_single(network, self.setting())


def jobs(folder: Path, replicas: Sequence[Replica], task: Task, order: Order | None) -> list[Job]:
    """A job per replica of a trained experiment's folder."""
    files: dict[int, dict[int, Path]] = {replica.index: {} for replica in replicas}
    for file in (folder / "snapshots").iterdir():
        if found := NAME.fullmatch(file.name):
            files[int(found[1])][int(found[2])] = file
    return [Job(replica, task, order, files[replica.index]) for replica in replicas]


def diagnose(todo: Sequence[Job], portrayed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The table of these jobs; one of them is portrayed and, at some snapshots, measured further.

    One process per core with one thread each: two threads beside a busy core took ten times as long. What a
    replica's rows are does not depend on where they are computed.
    """
    chosen = todo[portrayed]
    with worker_pool(processes(len(todo))) as workers:
        all_rows = [workers.submit(job.rows) for job in todo]
        own = chosen.replica.index
        singles = {(own, step): workers.submit(chosen.single, step) for step in chosen.single_steps()}
        portrait_of_one = workers.submit(portrait, chosen)
        rows = [row for of_replica in all_rows for row in of_replica.result()]
        found = {where: single.result() for where, single in singles.items()}
        complete = [row | found.get((int(row["replica"]), int(row["step"])), {}) for row in rows]
        return table(complete), portrait_of_one.result()


def table(rows: Sequence[dict[str, float]]) -> pd.DataFrame:
    """Every diagnostic of every snapshot: replica, step, `suite.NAMES`, norms; NaN: undefined or not due."""
    found = pd.DataFrame(rows)
    norms = [name for name in found if str(name).startswith("norm/")]
    return found.reindex(columns=["replica", "step", "keys", *suite.NAMES, *norms])


def portrait(job: Job) -> dict[str, np.ndarray]:
    """One replica's frequencies before and after training, for a picture; empty without a cyclic order.

    `embedding_power` (2, K) and `neuron_power` (2, K, N) of the first and last snapshot,
    `logit_spectrum` (2, n, n), and the tokens' places in the planes of the last one's strongest `frequencies`
    (F,), `plane` (2, F, n, 2).
    """
    if job.order is None:
        return {}
    setting, steps = job.setting(), sorted(job.files)
    ends = [Subject(job.view(step), setting, None) for step in (steps[0], steps[-1])]
    powers = [end.embedding_power_KD.sum(1) for end in ends]
    frequencies = fourier.key_frequencies(powers[1], CIRCLES)
    tables = [setting.tokens(end.view.embedding_a_TD) for end in ends]
    plane_2Fn = np.array([[geometry.plane(table_TD, int(k)) for k in frequencies] for table_TD in tables])
    arrays = {
        "replica": np.array([job.replica.index]),
        "steps": np.array([steps[0], steps[-1]]),
        "embedding_power": np.stack(powers),
        "neuron_power": np.stack([end.neuron_power_KN for end in ends]),
        "logit_spectrum": np.stack([fourier.spectrum_2d(end.logits_nnV) for end in ends]),
        "frequencies": frequencies,
        "plane": np.stack([plane_2Fn.real, plane_2Fn.imag], axis=-1),
    }
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
