"""The state of training: the stack, the replicas in it, and all evaluations so far."""

from collections import defaultdict
from dataclasses import asdict, replace

import torch

from grokking.data.tasks import Task
from grokking.engine.evaluation import Evaluator
from grokking.engine.events import CrossingDetector
from grokking.engine.stack import ReplicaStack
from grokking.experiment import Replica
from grokking.training.checkpoint import SavedState
from grokking.training.records import Evaluation, Parameters


class TrainingState:
    """`replicas[i]` and `evaluators[i]` belong to position i of the stack; finished replicas are dropped."""

    def __init__(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.replicas = list(replicas)
        self.evaluators = [Evaluator(replica, task) for replica in replicas]
        self.stack = ReplicaStack(replicas, task, device)
        self.evaluations: list[Evaluation] = []
        self.seconds = 0.0  # of updates

    def select(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        if len(positions) < len(self.replicas):
            self.replicas = [self.replicas[i] for i in positions]
            self.evaluators = [self.evaluators[i] for i in positions]
            self.stack.select(positions)

    def to_checkpoint(self) -> SavedState:
        """All that is needed to go on, except what configuration and seeds give again."""
        tensors = dict(self.stack.state())
        for number, evaluation in enumerate(self.evaluations):
            for name, array in (evaluation.parameters or {}).items():
                tensors[f"snapshot/{number}/{name}"] = torch.from_numpy(array)
        rest = {
            "step": self.stack.step,
            "seconds": self.seconds,
            "replicas": [replica.index for replica in self.replicas],
            "detectors": [{k: asdict(v) for k, v in e.detectors.items()} for e in self.evaluators],
            "evaluations": [asdict(replace(e, parameters=None)) for e in self.evaluations],
        }
        return SavedState(tensors, rest)

    def restore(self, saved: SavedState) -> None:
        """Continue from the state that `to_checkpoint` returned."""
        rest = saved.rest
        snapshots: dict[int, Parameters] = defaultdict(dict)
        for key, tensor in saved.tensors.items():
            if key.startswith("snapshot/"):
                _, number, name = key.split("/", 2)
                snapshots[int(number)][name] = tensor.numpy()
        for i, entry in enumerate(rest["evaluations"]):
            self.evaluations.append(Evaluation(**entry | {"parameters": snapshots.get(i)}))
        self.select([i for i, replica in enumerate(self.replicas) if replica.index in rest["replicas"]])
        for evaluator, states in zip(self.evaluators, rest["detectors"], strict=True):
            evaluator.detectors = {part: CrossingDetector(**fields) for part, fields in states.items()}
        for name, tensor in self.stack.state().items():
            tensor.copy_(saved.tensors[name])
        self.stack.step, self.seconds = rest["step"], rest["seconds"]
