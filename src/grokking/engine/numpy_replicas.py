"""Replicas of the NumPy MLP: the same interface as ReplicaStack, each network a dictionary of arrays."""

# R replicas, P equations, E equations measured, B examples, V classes

from typing import cast

import numpy as np
import torch
from torch import Tensor

from grokking.data.batches import Batches
from grokking.data.seeds import INITIALISATION, stream
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.evaluation import EquationMetrics, weight_norms
from grokking.experiment import Replica
from grokking.models import numpy_mlp
from grokking.models.numpy_mlp import NumpyMLPConfig, Parameters
from grokking.updates.losses import cross_entropy
from grokking.updates.optimizers import SGDConfig
from grokking.updates.schedules import factor


class Network:
    """One replica: parameters, momenta, hyperparameters and answers."""

    def __init__(self, replica: Replica, task: Task) -> None:
        self.config = replica.config
        self.optimizer = cast(SGDConfig, replica.config.optimizer)  # ExperimentConfig checks
        self.parameters = _initialised(replica, task)
        self.momenta = {name: np.zeros_like(p) for name, p in self.parameters.items()}
        self.answer_P = answers(replica, task)

    def update(self, a_B: np.ndarray, b_B: np.ndarray, answer_B: np.ndarray, rate_factor: float) -> None:
        """One step of SGD with momentum and coupled L2."""
        passed = numpy_mlp.forward(self.parameters, a_B, b_B)
        logit_gradient_BV = numpy_mlp.cross_entropy_gradient(
            passed.logits_BV, answer_B, self.config.loss_precision
        )
        gradients = numpy_mlp.backward(self.parameters, passed, logit_gradient_BV, a_B, b_B)
        for name, parameter in self.parameters.items():
            momentum = self.momenta[name]
            momentum *= self.optimizer.momentum
            momentum += gradients[name]
            momentum += self.optimizer.weight_decay * parameter
            parameter -= self.optimizer.learning_rate * rate_factor * momentum


class NumpyReplicas:
    """Networks trained by hand; always on the CPU."""

    def __init__(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.config, self.task = replicas[0].config, task
        self.a_P, self.b_P = task.equations[["a", "b"]].to_numpy().T.copy()
        rows = np.stack([_train_rows(replica, task) for replica in replicas])
        self.batches = Batches(self.config.batch, torch.as_tensor(rows), [r.seed for r in replicas])
        self.networks = [Network(replica, task) for replica in replicas]
        self.steps = [0] * len(replicas)

    def update(self, count: int) -> None:
        """So many SGD steps of every replica."""
        for _ in range(count):
            self.steps = [step + 1 for step in self.steps]
            batches = self.batches.at(self.steps).numpy()
            for network, step, index_B in zip(self.networks, self.steps, batches, strict=True):
                rate_factor = factor(self.config.schedule, step, self.config.budget)
                answer_B = network.answer_P[index_B]
                network.update(self.a_P[index_B], self.b_P[index_B], answer_B, rate_factor)

    def measure(self, positions: list[int], index_RE: np.ndarray) -> EquationMetrics:
        """Loss, correctness and logits of the replicas at these positions, each on its own equations."""
        networks = [self.networks[position] for position in positions]
        pairs = zip(networks, index_RE, strict=True)
        logits = [numpy_mlp.forward(n.parameters, self.a_P[i], self.b_P[i]).logits_BV for n, i in pairs]
        logits_REV = torch.as_tensor(np.stack(logits))
        pairs = zip(networks, index_RE, strict=True)
        answer_RE = torch.as_tensor(np.stack([network.answer_P[index] for network, index in pairs]))
        loss_RE = cross_entropy(logits_REV, answer_RE, getattr(torch, self.config.loss_precision))
        return EquationMetrics.of(logits_REV, answer_RE, loss_RE)

    def norms(self, positions: list[int]) -> dict[str, Tensor]:
        """Weight norms of the replicas at these positions, (R,) each."""
        networks = [self.networks[position].parameters for position in positions]
        return weight_norms(
            {name: torch.as_tensor(np.stack([n[name] for n in networks])) for name in networks[0]}
        )

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.networks = [self.networks[position] for position in positions]
        self.steps = [self.steps[position] for position in positions]
        self.batches.keep(positions)

    def put(self, position: int, replica: Replica) -> None:
        """A fresh replica takes this position and starts at step 0."""
        self.networks[position] = Network(replica, self.task)
        self.steps[position] = 0
        rows = torch.as_tensor(_train_rows(replica, self.task))
        self.batches.put(position, rows, replica.seed)

    def snapshot(self, position: int) -> Parameters:
        """The parameters of one replica."""
        return {name: p.copy() for name, p in self.networks[position].parameters.items()}

    def tensors(self) -> dict[str, Tensor]:
        """What training has changed, apart from `steps`, for a checkpoint; to be copied into."""
        return {
            f"{position}/{kind}/{name}": torch.from_numpy(array)
            for position, network in enumerate(self.networks)
            for kind, arrays in (("parameters", network.parameters), ("momenta", network.momenta))
            for name, array in arrays.items()
        }


def _train_rows(replica: Replica, task: Task) -> np.ndarray:
    return np.flatnonzero(task.train_mask(replica.split_seed))


def _initialised(replica: Replica, task: Task) -> Parameters:
    seed = stream(replica.seed, INITIALISATION)
    model = cast(NumpyMLPConfig, replica.config.model)
    return numpy_mlp.initialise(model, task.sizes, seed, replica.config.precision)
