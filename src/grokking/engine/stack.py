"""R replicas of a torch model trained as one: a module whose parameters have a replica dimension in front."""

# R replicas, n parameters of one replica, P equations, N training equations, B examples in a batch
# S examples in a slice, E equations measured, V classes

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.batches import Batches
from grokking.data.seeds import INITIALISATION, stream
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.evaluation import EquationMetrics, weight_norms
from grokking.engine.flat_parameters import FlatParameters
from grokking.engine.graph import Graph
from grokking.engine.update_rule import UpdateRule
from grokking.experiment import Replica
from grokking.models import FAMILIES, Model
from grokking.models.layers import Dense
from grokking.updates.losses import LOSSES
from grokking.updates.schedules import factor

FACTORS = {"full": None, "bfloat16": torch.bfloat16}  # what factors of matrix products are rounded to
SLICE_CPU = 1024  # examples per pass: activations stay in cache; shorter passes cost calls (docs/log.md)
SLICE_GPU = 2**20  # examples of all replicas per pass: what a GPU's memory holds with room to spare


class ReplicaStack:
    """Replicas that differ in values only (`experiment.VALUES`), each with its own number of updates."""

    def __init__(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.config, self.task, self.device = replicas[0].config, task, device
        self.dtype = getattr(torch, self.config.precision)
        self.loss_dtype = getattr(torch, self.config.loss_precision)
        columns = torch.tensor(task.equations[["a", "b"]].to_numpy(), device=device)
        self.a_P, self.b_P = columns.T.contiguous()

        count = len(replicas)
        self.module = _initialised(replicas[0], task)
        for layer in self.module.modules():
            if isinstance(layer, Dense):
                layer.factors = FACTORS[self.config.matmul_precision]
        self.parameters = FlatParameters(dict(self.module.named_parameters()), count, self.dtype, device)
        self.gradients = FlatParameters(dict(self.module.named_parameters()), count, self.dtype, device)
        self.constants = FlatParameters(dict(self.module.named_buffers()), count, self.dtype, device)
        self.rule = UpdateRule(self.config, self.module, self.parameters)
        self.steps = [0] * count
        self.answer_RP = torch.tensor(np.stack([answers(r, task) for r in replicas]), device=device)
        self.batches = Batches(self.config.batch, self._train_rows(replicas), [r.seed for r in replicas])
        for position, replica in enumerate(replicas):
            self.put(position, replica)
        self._attach()

    @property
    def model(self) -> Model:
        return cast(Model, self.module)

    def update(self, count: int) -> None:
        """So many optimizer steps of every replica."""
        for _ in range(count):
            self.steps = [step + 1 for step in self.steps]
            factors = [factor(self.config.schedule, step, self.config.budget) for step in self.steps]
            self.rule.set_clock(self.steps, factors)
            self.index_RB.copy_(self.batches.at(self.steps))
            self.step()

    def _step(self) -> None:
        self._accumulate_gradients()
        self.rule.apply(self.gradients.data, self.of_named, self.named)

    def _accumulate_gradients(self) -> None:
        """Gradients of each replica's mean loss, slice by slice; the tables are computed once for all."""
        self.gradients.data.zero_()
        with torch.set_grad_enabled(self.model.by_autograd):
            tables = self.model.tables()
        of_tables = tuple(torch.zeros_like(table) for table in tables)
        answer_RB = self.answer_RP.gather(1, self.index_RB)
        for index_RS, answer_RS in zip(*self._slices(self.index_RB, answer_RB), strict=True):
            of_logits = partial(self._logit_gradient, answer_RS)
            pairs = self.a_P[index_RS], self.b_P[index_RS]
            self.model.backpropagate(tables, *pairs, of_logits, of_tables, self.of_named)
        self.model.backpropagate_tables(tables, of_tables, self.of_named)

    def _logit_gradient(self, answer_RS: Tensor, logits_RSV: Tensor) -> Tensor:
        of_sum_RSV = LOSSES[self.config.loss].gradient(logits_RSV, answer_RS, self.loss_dtype)
        return of_sum_RSV.div_(self.index_RB.shape[1])

    @torch.no_grad()
    def measure(self, positions: list[int], index_RE: np.ndarray) -> EquationMetrics:
        """Loss, correctness and logits of the replicas at these positions, each on its own equations."""
        index = torch.as_tensor(index_RE, device=self.device)
        answer_RE = self.answer_RP[positions].gather(1, index)
        parts = []
        with self._showing(positions):
            tables = self.model.tables()
            for index_RS, answer_RS in zip(*self._slices(index, answer_RE), strict=True):
                logits_RSV = self.model.logits(tables, self.a_P[index_RS], self.b_P[index_RS])
                loss_RS = LOSSES[self.config.loss].value(logits_RSV, answer_RS, self.loss_dtype)
                parts.append(EquationMetrics.of(logits_RSV, answer_RS, loss_RS))
        return EquationMetrics.joined(parts)

    def norms(self, positions: list[int]) -> dict[str, Tensor]:
        """Weight norms of the replicas at these positions, (R,) each."""
        return weight_norms(self.parameters.views(self.parameters.data[positions]))

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions of the stack only."""
        for flat in (self.parameters, self.gradients, self.constants):
            flat.data = flat.data[positions]
        self.rule.keep(positions)
        self.steps = [self.steps[position] for position in positions]
        self.answer_RP = self.answer_RP[positions]
        self.batches.keep(positions)
        self._attach()

    def put(self, position: int, replica: Replica) -> None:
        """A fresh replica takes this position and starts at step 0."""
        fresh = _initialised(replica, self.task)
        self.parameters.put(position, fresh.parameters())
        self.constants.put(position, fresh.buffers())
        self.rule.put(position, replica.config)
        self.steps[position] = 0
        self.answer_RP[position] = torch.tensor(answers(replica, self.task), device=self.device)
        self.batches.put(position, self._train_rows([replica])[0], replica.seed)

    def snapshot(self, position: int) -> dict[str, np.ndarray]:
        """The parameters of one replica."""
        views = self.parameters.views(self.parameters.data[position : position + 1])
        return {name: view[0].cpu().numpy().copy() for name, view in views.items()}

    def tensors(self) -> dict[str, Tensor]:
        """What training has changed, apart from `steps`, for a checkpoint; to be copied into."""
        return {"parameters": self.parameters.data} | self.rule.state

    def _attach(self) -> None:
        """Let the module show the flat tensors, and prepare a step of this many replicas."""
        self._show(self.parameters.data, self.constants.data)
        self.named, self.of_named = dict(self.module.named_parameters()), self.gradients.views()
        self.index_RB = torch.empty(len(self.steps), self.batches.size, dtype=torch.int64, device=self.device)
        self.step = Graph(self._step, self.tensors().values(), self.device)

    def _show(self, parameters_Rn: Tensor, constants_Rm: Tensor) -> None:
        parameters, constants = self.parameters.views(parameters_Rn), self.constants.views(constants_Rm)
        for name, parameter in self.module.named_parameters():
            parameter.data = parameters[name]
        for name, constant in self.module.named_buffers():
            constant.data = constants[name]

    @contextmanager
    def _showing(self, positions: list[int]) -> Iterator[None]:
        """Let the module be that of some of the replicas for a while."""
        if positions == list(range(len(self.steps))):
            yield
            return
        self._show(self.parameters.data[positions], self.constants.data[positions])
        yield
        self._show(self.parameters.data, self.constants.data)

    def _slices(self, *tensors_RE: Tensor) -> list[tuple[Tensor, ...]]:
        replicas, examples = tensors_RE[0].shape
        size = SLICE_CPU if self.device == "cpu" else max(1, SLICE_GPU // replicas)
        return [tensor.chunk(math.ceil(examples / size), dim=1) for tensor in tensors_RE]

    def _train_rows(self, replicas: list[Replica]) -> Tensor:
        masks = [self.task.train_mask(replica.split_seed) for replica in replicas]
        return torch.tensor(np.stack([np.flatnonzero(mask) for mask in masks]), device=self.device)


def _initialised(replica: Replica, task: Task) -> nn.Module:
    """A fresh model from the replica's own stream, leaving the global generator untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(replica.seed, INITIALISATION))
        return FAMILIES[replica.config.model.family](replica.config.model, task.sizes)
