"""R replicas of a torch model trained as one: parameters stacked, the model mapped over the stack."""

# R replicas, P equations, N training equations, B examples, V classes

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from grokking.data.tasks import Task
from grokking.models import FAMILIES
from grokking.training.batches import Batches
from grokking.training.evaluation import measure, weight_norms
from grokking.training.experiment import VALUES, Replica
from grokking.training.losses import LOSSES
from grokking.training.optimizers import OPTIMIZERS
from grokking.training.schedules import factor
from grokking.training.seeds import INITIALISATION, stream

EVALUATION_SLICE = 4096  # equations per forward pass of an evaluation, which bounds its memory


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
        self._stack(replicas, task, device)
        self.values = _values([r.config.optimizer for r in replicas], self.dtype, device)

    def _stack(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.dtype = getattr(torch, self.config.precision)
        models = [_initialised(r, task).to(device, self.dtype) for r in replicas]
        self.model = models[0]
        self.parameters, self.buffers = stack_module_state(models)
        slots = OPTIMIZERS[self.config.optimizer.name].state
        self.state = {
            name: {slot: torch.zeros_like(parameter) for slot in slots}
            for name, parameter in self.parameters.items()
        }

    def update(self, step: int) -> None:
        """One optimizer step of every replica; `step` counts from 1."""
        index_RB = self.batches.next()
        logits_RBV = self._logits(self.a_P[index_RB], self.b_P[index_RB], batch_dim=0)
        loss_RB = LOSSES[self.config.loss](logits_RBV.to(self.loss_dtype), self.answer_P[index_RB])
        gradients = torch.autograd.grad(loss_RB.mean(-1).sum(), list(self.parameters.values()))
        self._apply(dict(zip(self.parameters, gradients, strict=True)), step)

    @torch.no_grad()
    def _apply(self, gradients: dict[str, Tensor], step: int) -> None:
        optimizer = OPTIMIZERS[self.config.optimizer.name]
        rate_factor = factor(self.config.schedule, step, self.config.budget)
        values = self.values | {"learning_rate": self.values["learning_rate"] * rate_factor}
        for name, parameter in self.parameters.items():
            shaped = {key: v_R.view(-1, *[1] * (parameter.dim() - 1)) for key, v_R in values.items()}
            optimizer.update(parameter, gradients[name], self.state[name], step, shaped)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Tensor]:
        """Metrics of every replica on all equations, (R,) each."""
        slices = zip(self.a_P.split(EVALUATION_SLICE), self.b_P.split(EVALUATION_SLICE), strict=True)
        logits_RPV = torch.cat([self._logits(a, b, batch_dim=None) for a, b in slices], dim=1)
        measured = measure(logits_RPV, self.answer_P, self.train_RP, self.config.loss, self.loss_dtype)
        return measured | weight_norms(self.parameters)

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions of the stack only."""
        self.parameters = {k: v[positions].detach().requires_grad_() for k, v in self.parameters.items()}
        self.buffers = {k: v[positions] for k, v in self.buffers.items()}
        self.state = {k: {s: t[positions] for s, t in slots.items()} for k, slots in self.state.items()}
        self.values = {key: value_R[positions] for key, value_R in self.values.items()}
        self.train_RP = self.train_RP[positions]
        self.batches.keep(positions)

    def snapshot(self, position: int) -> dict[str, np.ndarray]:
        """The parameters of one replica."""
        return {name: p[position].detach().cpu().numpy().copy() for name, p in self.parameters.items()}

    def _logits(self, a: Tensor, b: Tensor, batch_dim: int | None) -> Tensor:
        def of_one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], a_B: Tensor, b_B: Tensor
        ) -> Any:
            return functional_call(self.model, (parameters, buffers), (a_B, b_B))

        return vmap(of_one, in_dims=(0, 0, batch_dim, batch_dim))(self.parameters, self.buffers, a, b)


def _initialised(replica: Replica, task: Task) -> torch.nn.Module:
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
