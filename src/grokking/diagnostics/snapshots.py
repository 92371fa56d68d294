"""Diagnostics of a trained experiment: its snapshots read, networks rebuilt, the suite run in processes."""

# V classes

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from grokking.data.tasks import Task
from grokking.diagnostics import fourier, geometry, suite
from grokking.diagnostics.cyclic import Order
from grokking.diagnostics.differentiable import differentiable
from grokking.diagnostics.measured_network import (
    NEEDS,
    MeasuredNetwork,
    MeasurementContext,
    key_frequencies,
)
from grokking.diagnostics.network_arrays import NetworkArrays, arrays_of
from grokking.engine.answers import answers
from grokking.executors.executor import executor
from grokking.experiment import Replica
from grokking.storage.snapshots import files
from grokking.training.fingerprint import input_hash

CIRCLES = 4  # strongest frequencies of an embedding that a portrait shows


@dataclass(frozen=True)
class ReplicaSnapshots:
    """One replica and the files of its snapshots by step."""

    replica: Replica
    task: Task
    order: Order | None
    files: dict[int, Path]

    def context(self) -> MeasurementContext:
        mask_P = self.task.train_mask(self.replica.split_seed)
        return MeasurementContext(self.task, mask_P, answers(self.replica, self.task), self.order)

    def arrays(self, step: int) -> NetworkArrays:
        return arrays_of(self.replica, self.task, load_file(self.files[step]))

    def rows(self) -> list[dict[str, float]]:
        """A row per snapshot. Key frequencies are the last network's, so they are known in hindsight only."""
        steps, context = sorted(self.files), self.context()
        ends = {step: self.arrays(step) for step in (steps[0], steps[-1])}
        keys, initial_PN = key_frequencies(ends[steps[-1]], context), ends[steps[0]].features_PN
        rows = []
        for before_last, step in enumerate(reversed(steps)):
            arrays = ends[step] if step in ends else self.arrays(step)
            net = MeasuredNetwork(arrays, context, keys, initial_PN)
            row = {
                "replica": self.replica.index,
                "step": step,
                "keys": np.nan if keys is None else float(len(keys)),
            }
            rows.append(row | suite.measure(net, before_last))
        return rows[::-1]

    def single_steps(self) -> list[int]:
        last_first = sorted(self.files, reverse=True)
        return [last_first[before] for before in suite.SINGLE_SNAPSHOTS if before < len(last_first)]

    def single(self, step: int) -> dict[str, float]:
        """What is measured at a few snapshots of one replica only."""
        network = differentiable(self.replica, self.task, load_file(self.files[step]))
        return suite.measure_single(network, self.context())


def of_folder(
    folder: Path, replicas: Sequence[Replica], task: Task, order: Order | None
) -> list[ReplicaSnapshots]:
    """Those of each replica, from the folder that training has written them to."""
    return [
        ReplicaSnapshots(replica, task, order, files(folder / input_hash(replica, task)))
        for replica in replicas
    ]


def diagnose(todo: Sequence[ReplicaSnapshots], portrayed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The table of these replicas; one of them is portrayed and, at some snapshots, measured further.

    One process per core with one thread each: two threads beside a busy core took ten times as long. What a
    replica's rows are does not depend on where they are computed.
    """
    chosen = todo[portrayed]
    with executor(len(todo), "cpu") as workers:
        all_rows = [workers.submit(each.rows) for each in todo]
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


def portrait(chosen: ReplicaSnapshots) -> dict[str, np.ndarray]:
    """One replica's frequencies before and after training, for a picture.

    `embedding_power` (2, K) and `neuron_power` (2, K, N) of the first and last snapshot,
    `logit_spectrum` (2, n, n), and the tokens' places in the planes of the last one's strongest `frequencies`
    (F,), `plane` (2, F, n, 2). Empty where a network lacks one of these, as one that has diverged does.
    """
    context, steps = chosen.context(), sorted(chosen.files)
    ends = [MeasuredNetwork(chosen.arrays(step), context) for step in (steps[0], steps[-1])]
    if not all(_can_be_portrayed(end) for end in ends):
        return {}
    frequencies = fourier.key_frequencies(ends[1].embedding_power_K, CIRCLES)
    plane_2Fn = np.array([[geometry.plane(end.embedding_TD, int(k)) for k in frequencies] for end in ends])
    arrays = {
        "replica": np.array([chosen.replica.index]),
        "steps": np.array([steps[0], steps[-1]]),
        "embedding_power": np.stack([end.embedding_power_K for end in ends]),
        "neuron_power": np.stack([end.neuron_power_KN for end in ends]),
        "logit_spectrum": np.stack([fourier.spectrum_2d(end.logits_nnV) for end in ends]),
        "frequencies": frequencies,
        "plane": np.stack([plane_2Fn.real, plane_2Fn.imag], axis=-1),
    }
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _can_be_portrayed(net: MeasuredNetwork) -> bool:
    return net.arrays.is_finite() and all(NEEDS[need](net) for need in ("order", "embedding", "neurons"))
