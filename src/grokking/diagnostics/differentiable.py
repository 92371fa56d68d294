"""A replica's network with the parameters of a snapshot, as a function that autograd differentiates twice."""

# B pairs, D embedding width

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokking import ops
from grokking.data.tasks import Task
from grokking.diagnostics.internals import Parameters, internals_of, rebuild
from grokking.experiment import Replica
from grokking.updates.losses import LOSSES


@dataclass(frozen=True)
class DifferentiableNetwork:
    """A network whose parameters are leaves of autograd."""

    parameters: Sequence[Tensor]
    logits: Callable[[Tensor, Tensor], Tensor]  # of pairs (a, b), each (B,): (B, V)
    loss: Callable[[Tensor, Tensor, torch.dtype], Tensor]
    operand_tables: tuple[Tensor, Tensor] | None  # see Internals

    def mean_loss(self, a_B: Tensor, b_B: Tensor, answer_B: Tensor) -> Tensor:
        """Over these pairs; in float64 from the logits on, so that sure answers have a loss and a slope."""
        return self.loss(self.logits(a_B, b_B), answer_B, torch.float64).mean()

    def operand_grads(self, a_B: Tensor, b_B: Tensor, class_B: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Grads (B, D) of each pair's logit of one class with respect to the embeddings of a and of b.

        All from one pass: no token may be in two places, so that a table's row has one pair's grad.
        """
        if self.operand_tables is None or len(torch.cat([a_B, b_B]).unique()) < 2 * len(a_B):
            raise ValueError("grads of operands need embeddings, and tokens that differ from each other")
        chosen = self.logits(a_B, b_B).gather(1, class_B[:, None]).sum()
        grad_a, grad_b = torch.autograd.grad(chosen, self.operand_tables)
        return grad_a[a_B].numpy(), grad_b[b_B].numpy()


def differentiable(replica: Replica, task: Task, parameters: Parameters) -> DifferentiableNetwork:
    """The replica with these parameters, and its loss, of which weight decay is no part."""
    model, module = replica.config.model, rebuild(replica, task, parameters)
    internals = internals_of(model.family, module, model)

    def logits(a: Tensor, b: Tensor) -> Tensor:
        with ops.use("plain"):
            return internals.run(a, b).logits_BV

    def loss(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
        with ops.use("plain"):
            return LOSSES[replica.config.loss](logits, answer, dtype)

    return DifferentiableNetwork(list(module.parameters()), logits, loss, internals.operand_tables)
