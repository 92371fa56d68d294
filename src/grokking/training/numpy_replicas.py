"""Replicas of the NumPy MLP: the same interface as TorchReplicas, each network a dictionary of arrays."""

# R replicas, P equations, B examples, V classes

from typing import cast

import numpy as np
import torch
from torch import Tensor

from grokking.data.tasks import Task
from grokking.models import numpy_mlp
from grokking.models.numpy_mlp import NumpyMLPConfig, Parameters
from grokking.training.batches import Batches
from grokking.training.evaluation import measure, weight_norms
from grokking.training.experiment import Replica
from grokking.training.optimizers import SGDConfig
from grokking.training.schedules import factor
from grokking.training.seeds import INITIALISATION, stream


class NumpyReplicas:
    """Networks trained with SGD, momentum and coupled L2, all by hand; always on the CPU."""

    def __init__(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.config = replicas[0].config
        self.optimizers = [cast(SGDConfig, r.config.optimizer) for r in replicas]  # ExperimentConfig checks
        self.a_P, self.b_P, self.answer_P = task.equations[["a", "b", "c"]].to_numpy().T.copy()
        masks = [task.train_mask(r.split_seed) for r in replicas]
        self.train_RP = torch.as_tensor(np.stack(masks))
        train_RN = torch.as_tensor(np.stack([np.flatnonzero(mask) for mask in masks]))
        self.batches = Batches(self.config.batch, train_RN, [r.seed for r in replicas])
        self.networks = [_initialised(r, task) for r in replicas]
        self.momenta = [{k: np.zeros_like(v) for k, v in network.items()} for network in self.networks]

    def update(self, step: int) -> None:
        """One SGD step of every replica; `step` counts from 1."""
        rate_factor = factor(self.config.schedule, step, self.config.budget)
        for position, index_B in enumerate(self.batches.next().numpy()):
            gradients = self._gradients(self.networks[position], index_B)
            self._apply(position, gradients, rate_factor)

    def _gradients(self, network: Parameters, index_B: np.ndarray) -> Parameters:
        a_B, b_B = self.a_P[index_B], self.b_P[index_B]
        passed = numpy_mlp.forward(network, a_B, b_B)
        logit_gradient_BV = numpy_mlp.cross_entropy_gradient(
            passed.logits_BV.astype(self.config.loss_precision), self.answer_P[index_B]
        ).astype(self.config.precision)
        return numpy_mlp.backward(network, passed, logit_gradient_BV, a_B, b_B)

    def _apply(self, position: int, gradients: Parameters, rate_factor: float) -> None:
        optimizer, momenta = self.optimizers[position], self.momenta[position]
        for name, parameter in self.networks[position].items():
            momenta[name] *= optimizer.momentum
            momenta[name] += gradients[name]
            momenta[name] += optimizer.weight_decay * parameter
            parameter -= optimizer.learning_rate * rate_factor * momenta[name]

    def evaluate(self) -> dict[str, Tensor]:
        """Metrics of every replica on all equations, (R,) each."""
        logits = [numpy_mlp.forward(network, self.a_P, self.b_P).logits_BV for network in self.networks]
        dtype = getattr(torch, self.config.loss_precision)
        answer_P = torch.as_tensor(self.answer_P)
        measured = measure(torch.as_tensor(np.stack(logits)), answer_P, self.train_RP, "cross_entropy", dtype)
        stacked = {
            name: torch.as_tensor(np.stack([network[name] for network in self.networks]))
            for name in self.networks[0]
        }
        return measured | weight_norms(stacked)

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.networks = [self.networks[position] for position in positions]
        self.momenta = [self.momenta[position] for position in positions]
        self.optimizers = [self.optimizers[position] for position in positions]
        self.train_RP = self.train_RP[positions]
        self.batches.keep(positions)

    def snapshot(self, position: int) -> Parameters:
        """The parameters of one replica."""
        return {name: p.copy() for name, p in self.networks[position].items()}


def _initialised(replica: Replica, task: Task) -> Parameters:
    seed = stream(replica.seed, INITIALISATION)
    model = cast(NumpyMLPConfig, replica.config.model)
    return numpy_mlp.initialise(model, task.sizes, seed, replica.config.precision)
