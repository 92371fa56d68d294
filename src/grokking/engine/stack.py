"""R replicas trained as one network whose parameters have a replica dimension in front."""

# R replicas, n parameters of one replica, P equations, N training equations, B examples in a batch
# M examples in one forward pass, E equations measured, V classes

from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from grokking.data.batches import Batches
from grokking.data.seeds import INITIALISATION, derived_seed
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.cuda_graph import CudaGraph
from grokking.engine.flat_tensors import FlatTensors
from grokking.engine.metrics import EquationMetrics
from grokking.engine.update_rule import UpdateRule
from grokking.experiment import Replica
from grokking.models import FAMILIES
from grokking.models.model import Model
from grokking.updates.losses import LOSSES

# What inputs and results of products are rounded to
MATMUL_DTYPES = {"full": None, "bfloat16": torch.bfloat16}
# Examples that go through the network at a time, which bounds memory; fewer are slower
CHUNK_OF_EACH_ON_CPU = 8192  # of each replica
CHUNK_OF_ALL_ON_GPU = 2**20  # of all replicas together


class ReplicaStack:
    """Replicas of one configuration, with tensors of equal shapes, at the same step."""

    def __init__(self, replicas: list[Replica], task: Task, device: str) -> None:
        self.config, self.device = replicas[0].config, device
        self.step = 0
        self.loss = LOSSES[self.config.loss]
        self.loss_dtype = getattr(torch, self.config.loss_precision)
        dtype = getattr(torch, self.config.precision)
        models = [initial_model(replica, task) for replica in replicas]
        self.model = models[0]  # `_attach` makes its parameters those of all replicas
        self.params = FlatTensors([dict(m.named_parameters()) for m in models], dtype, device)
        self.buffers = FlatTensors([dict(m.named_buffers()) for m in models], dtype, device)
        self.update_rule = UpdateRule(replicas, self.model, self.params)
        self.a_P, self.b_P = torch.tensor(task.equations[["a", "b"]].to_numpy().T.copy(), device=device)
        self.answer_RP = torch.tensor(np.stack([answers(r, task) for r in replicas]), device=device)
        train_RN = np.stack([np.flatnonzero(task.train_mask(r.split_seed)) for r in replicas])
        seeds = [replica.seed for replica in replicas]
        self.batches = Batches(self.config.batch, torch.tensor(train_RN, device=device), seeds)
        self._attach()

    def update(self, count: int) -> None:
        """Make `count` updates of every replica."""
        for _ in range(count):
            self.step += 1
            self.update_rule.set_step(self.step)
            self.update_on_batch(self.batches.at(self.step))

    @torch.no_grad()
    def measure(self, positions: list[int], index_RE: np.ndarray) -> EquationMetrics:
        """What the replicas at these positions come to, each on its own equations."""
        params, buffers = self.params.data[positions], self.buffers.data[positions]
        tensors = self.params.views(params) | self.buffers.views(buffers)
        parts = []
        for index_RM in self._chunks(torch.as_tensor(index_RE, device=self.device)):
            answer_RM = self.answer_RP[positions].gather(1, index_RM)
            pairs = self.a_P.take(index_RM), self.b_P.take(index_RM)
            logits_RMV = functional_call(self.model, tensors, pairs)
            loss_RM = self.loss(logits_RMV, answer_RM, self.loss_dtype)
            parts.append(EquationMetrics.of(logits_RMV, answer_RM, loss_RM))
        return EquationMetrics(*(torch.cat(of_chunks, dim=1) for of_chunks in zip(*parts, strict=True)))

    def select(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.params.data, self.buffers.data = self.params.data[positions], self.buffers.data[positions]
        self.answer_RP = self.answer_RP[positions]
        self.update_rule.select(positions)
        self.batches.select(positions)
        self._attach()

    def snapshot(self, position: int) -> dict[str, np.ndarray]:
        """A copy of the parameters of one replica."""
        views = self.params.views(self.params.data[position : position + 1])
        return {name: view[0].cpu().numpy().copy() for name, view in views.items()}

    def state(self) -> dict[str, Tensor]:
        """The tensors that training changes, not copies: save from them, or `copy_` saved ones into them."""
        return {"parameters": self.params.data} | self.update_rule.state

    def _forward_backward_apply(self, index_RB: Tensor) -> None:
        """Make one update of every replica on these examples."""
        self.model.zero_grad()
        for index_RM in self._chunks(index_RB):
            logits_RMV = self.model(self.a_P.take(index_RM), self.b_P.take(index_RM))
            loss_RM = self.loss(logits_RMV, self.answer_RP.gather(1, index_RM), self.loss_dtype)
            (loss_RM.sum() / index_RB.shape[1]).backward()
        # Gradients are copied: as views of `grad_Rn` they would have gaps between replicas, of which torch
        # warns, and nothing would be faster.
        grads = [cast(Tensor, param.grad).flatten(1) for param in self.model.parameters()]
        torch.cat(grads, dim=1, out=self.update_rule.grad_Rn)
        self.update_rule.apply()

    def _attach(self) -> None:
        """Make the model's parameters and buffers views (R, ...) of the flat tensors.

        On a GPU an update is recorded again, as addresses have changed. `measure` needs some of the replicas
        only, and so passes its tensors to the model instead.
        """
        update = self._forward_backward_apply
        self.update_on_batch = CudaGraph(update) if self.device == "cuda" else update
        params, buffers = self.params.views(self.params.data), self.buffers.views(self.buffers.data)
        for name, parameter in self.model.named_parameters():
            parameter.data, parameter.grad = params[name], None
        for name, buffer in self.model.named_buffers():
            buffer.data = buffers[name]

    def _chunks(self, index_RE: Tensor) -> tuple[Tensor, ...]:
        """The examples (R, E) in parts (R, M) that fit into memory."""
        size = CHUNK_OF_EACH_ON_CPU if self.device == "cpu" else max(1, CHUNK_OF_ALL_ON_GPU // len(index_RE))
        return index_RE.split(size, dim=1)


def initial_model(replica: Replica, task: Task) -> Model:
    """A new model from the replica's own random stream; the global generator stays as it was."""
    config = replica.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(replica.seed, INITIALISATION))
        model = FAMILIES[config.model.family](config.model, task.sizes)
    model.set_matmul_dtype(MATMUL_DTYPES[config.matmul_precision])
    return model
