"""What a replica answers and holds at each of its snapshots, as small arrays that a page can show."""

# S snapshots, P equations, V answers, D embedding width, n tokens of the cyclic order, K frequencies
# F frequencies shown, N neurons, M neurons shown

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grokking.diagnostics import circuit_progress, fourier
from grokking.diagnostics.measured_network import NEEDS, MeasuredNetwork
from grokking.diagnostics.snapshots import ReplicaSnapshots
from grokking.executors.executor import executor

CIRCLES = 4  # F
NEURONS = 64  # M
CERTAINTY_LEVELS = 15
RADIUS = 1.5  # a coordinate of this size is the largest that fits; a perfect circle has a radius of 1
LARGEST = 127  # the byte of that coordinate


@dataclass(frozen=True)
class ReplicaFrames:
    """One replica: the steps of its snapshots, and arrays with a row per snapshot.

    `answers` (S, P), the answer with the largest logit; `certainty` (S, P), its share of the softmax in
    fifteenths. Where the operation is that of a cyclic group, and the network has embeddings and neurons:
    `circles` (S, F, n, 2), the tokens in the planes of the last network's strongest `frequencies`;
    `neuron_power` (S, M, K), each neuron's share of power at each frequency; `logit_power` (S, K), the share
    of the logits' energy that is a function of a + b of that frequency.
    """

    replica: int
    steps: list[int]
    frequencies: list[int]
    arrays: dict[str, np.ndarray]


def frames(todo: Sequence[ReplicaSnapshots]) -> list[ReplicaFrames]:
    """Those of each replica, one process per core."""
    with executor(len(todo), "cpu") as workers:
        found = [workers.submit(of_replica, each) for each in todo]
        return [each.result() for each in found]


def of_replica(snapshots: ReplicaSnapshots) -> ReplicaFrames:
    context, steps = snapshots.context(), sorted(snapshots.files)
    last = MeasuredNetwork(snapshots.arrays(steps[-1]), context)
    circuit, parts = _Circuit.of(last), []
    for step in steps:
        net = MeasuredNetwork(snapshots.arrays(step), context)
        parts.append(_answers(net.arrays.logits_PV) | (circuit.rows(net) if circuit else {}))
    arrays = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    return ReplicaFrames(snapshots.replica.index, steps, circuit.frequencies if circuit else [], arrays)


def coordinates(bytes_n2: np.ndarray) -> np.ndarray:
    """Coordinates from an array of `circles`."""
    return bytes_n2 * (RADIUS / LARGEST)


def _answers(logits_PV: np.ndarray) -> dict[str, np.ndarray]:
    """The answers given, and how sure the network is of them."""
    finite_PV = np.nan_to_num(logits_PV.astype(float))
    share_P = 1 / np.exp(finite_PV - finite_PV.max(1, keepdims=True)).sum(1)
    return {
        "answers": finite_PV.argmax(1).astype(np.min_scalar_type(logits_PV.shape[1])),
        "certainty": np.rint(CERTAINTY_LEVELS * share_P).astype(np.uint8),
    }


@dataclass(frozen=True)
class _Circuit:
    """Where to look in every network of a replica: what the last one uses."""

    frequencies: list[int]  # the embedding's strongest
    planes: list[np.ndarray]  # (D, 2) each: the plane in which its tokens lie on a circle
    neurons: np.ndarray  # columns of the power of neurons, by their main frequency

    @classmethod
    def of(cls, last: MeasuredNetwork) -> "_Circuit | None":
        if not last.arrays.is_finite() or not all(
            NEEDS[need](last) for need in ("order", "embedding", "neurons")
        ):
            return None
        frequencies = fourier.key_frequencies(last.embedding_power_K, CIRCLES).tolist()
        power_KN = last.neuron_power_KN
        strongest = np.argsort(-power_KN.sum(0), kind="stable")[:NEURONS]
        by_frequency = strongest[np.argsort(power_KN[:, strongest].argmax(0), kind="stable")]
        return cls(frequencies, [_plane(last.embedding_TD, k) for k in frequencies], by_frequency)

    def rows(self, net: MeasuredNetwork) -> dict[str, np.ndarray]:
        circles_Fn2 = np.stack([net.embedding_TD @ plane_D2 for plane_D2 in self.planes])
        power_KM = net.neuron_power_KN[:, self.neurons]
        share_KM = power_KM / np.maximum(power_KM.sum(0), 1e-30)
        energy = np.square(fourier.double_centred(net.logits_nnV)).sum()
        share_K = circuit_progress.sum_power(net.logits_nnV) / max(float(energy), 1e-30)
        return {
            "circles": np.rint(circles_Fn2.clip(-RADIUS, RADIUS) * LARGEST / RADIUS).astype(np.int8),
            "neuron_power": _whole(share_KM.T, np.uint8),
            "logit_power": _whole(share_K, np.uint16),
        }


def _plane(embedding_TD: np.ndarray, frequency: int) -> np.ndarray:
    """(D, 2): takes embeddings to the coordinates of `geometry.plane`; a perfect circle has radius 1 there.

    It is that of the last network for all, so that one sees the circle form.
    """
    angle_T = 2 * np.pi * frequency * np.arange(len(embedding_TD)) / len(embedding_TD)
    waves_2T = 2 / len(embedding_TD) * np.stack([np.cos(angle_T), np.sin(angle_T)])
    return np.linalg.pinv(waves_2T @ embedding_TD)


def _whole(shares: np.ndarray, kind: type[np.unsignedinteger]) -> np.ndarray:
    """Shares from 0 to 1 as whole numbers, the largest of which stands for 1."""
    return np.rint(np.iinfo(kind).max * shares).astype(kind)
