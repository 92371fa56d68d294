"""R replicas of a torch model trained as one: a module whose parameters have a replica dimension in front."""

# R replicas, P equations, N training equations, B examples, V classes

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.tasks import Task
from grokking.models import FAMILIES, Model
from grokking.training.batches import Batches
from grokking.training.evaluation import measure, weight_norms
from grokking.training.experiment import VALUES, Replica
from grokking.training.losses import LOSSES
from grokking.training.optimizers import OPTIMIZERS
from grokking.training.schedules import factor
from grokking.training.seeds import INITIALISATION, stream

SLICE = 1024  # examples per forward and backward pass: activations of a slice stay in the processor's cache


class TorchReplicas:
    """Replicas that differ in values only: seeds, splits and hyperparameters of `VALUES`."""

    def __init__(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.config = replicas[0].config
        self.loss_dtype = getattr(torch, self.config.loss_precision)
        columns = torch.tensor(task.equations[["a", "b", "c"]].to_numpy(), device=device)
        self.a_P, self.b_P, self.answer_P = columns.T.contiguous()
        masks = [torch.tensor(task.train_mask(r.split_seed), device=device) for r in replicas]
        self.train_RP = torch.stack(masks)
        train_RN = torch.stack([mask.nonzero().squeeze(1) for mask in masks])
        self.batches = Batches(self.config.batch, train_RN, [r.seed for r in replicas])
        dtype = getattr(torch, self.config.precision)
        self.module = stack([_initialised(r, task).to(device, dtype) for r in replicas])
        self.parameters = dict(self.module.named_parameters())
        slots = OPTIMIZERS[self.config.optimizer.name].state
        self.state = {
            name: {slot: torch.zeros_like(parameter) for slot in slots}
            for name, parameter in self.parameters.items()
        }
        self.values = _values([r.config.optimizer for r in replicas], dtype, device)

    @property
    def model(self) -> Model:
        return cast(Model, self.module)

    def update(self, step: int) -> None:
        """One optimizer step of every replica; `step` counts from 1."""
        self._accumulate_gradients(self.batches.next())
        self._apply(step)

    def _accumulate_gradients(self, index_RB: Tensor) -> None:
        """Gradients of each replica's mean loss, slice by slice; the tables are computed once for all."""
        self.module.zero_grad()
        tables = self.model.tables()
        leaves = tuple(table.detach().requires_grad_() for table in tables)
        for index_RS in index_RB.split(SLICE, dim=1):
            logits_RSV = self.model.logits(leaves, self.a_P[index_RS], self.b_P[index_RS])
            loss_RS = LOSSES[self.config.loss](logits_RSV.to(self.loss_dtype), self.answer_P[index_RS])
            (loss_RS.sum() / index_RB.shape[1]).backward()
        torch.autograd.backward(tables, [leaf.grad for leaf in leaves])

    @torch.no_grad()
    def _apply(self, step: int) -> None:
        optimizer = OPTIMIZERS[self.config.optimizer.name]
        rate_factor = factor(self.config.schedule, step, self.config.budget)
        values = self.values | {"learning_rate": self.values["learning_rate"] * rate_factor}
        for name, parameter in self.parameters.items():
            shaped = {key: v_R.view(-1, *[1] * (parameter.dim() - 1)) for key, v_R in values.items()}
            optimizer.update(parameter, cast(Tensor, parameter.grad), self.state[name], step, shaped)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Tensor]:
        """Metrics of every replica on all equations, (R,) each."""
        tables, replicas = self.model.tables(), len(self.train_RP)
        slices = zip(self.a_P.split(SLICE), self.b_P.split(SLICE), strict=True)
        logits = [
            self.model.logits(tables, a.expand(replicas, -1), b.expand(replicas, -1)) for a, b in slices
        ]
        measured = measure(
            torch.cat(logits, dim=1), self.answer_P, self.train_RP, self.config.loss, self.loss_dtype
        )
        return measured | weight_norms(self.parameters)

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions of the stack only."""
        for tensor in [*self.module.parameters(), *self.module.buffers()]:
            tensor.data = tensor.data[positions]
        self.module.zero_grad()
        self.state = {k: {s: t[positions] for s, t in slots.items()} for k, slots in self.state.items()}
        self.values = {key: value_R[positions] for key, value_R in self.values.items()}
        self.train_RP = self.train_RP[positions]
        self.batches.keep(positions)

    def snapshot(self, position: int) -> dict[str, np.ndarray]:
        """The parameters of one replica."""
        return {name: p[position].detach().cpu().numpy().copy() for name, p in self.parameters.items()}


def stack(models: list[nn.Module]) -> nn.Module:
    """The first model with every parameter and buffer replaced by those of all models, stacked in front."""
    stacked, *_ = models
    tensors = zip(*([*m.parameters(), *m.buffers()] for m in models), strict=True)
    for tensor, of_each in zip([*stacked.parameters(), *stacked.buffers()], list(tensors), strict=True):
        tensor.data = torch.stack([one.data for one in of_each])
    return stacked


def _initialised(replica: Replica, task: Task) -> nn.Module:
    """A fresh model from the replica's own stream, leaving the global generator untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(replica.seed, INITIALISATION))
        return FAMILIES[replica.config.model.family](replica.config.model, task.sizes)


def _values(optimizers: list[Any], dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """The one conversion of optimizer hyperparameters to (R,) tensors."""
    names = [name for name in VALUES["optimizer"] if hasattr(optimizers[0], name)]
    return {
        name: torch.tensor([getattr(o, name) for o in optimizers], dtype=dtype, device=device)
        for name in names
    }
