"""A replica's network with the parameters of a snapshot, in operations that autograd differentiates twice.

The engine's own lookups have first derivatives only, written by hand.
Buffers, such as scales, are no parameters: they come from the configuration.
"""

# B pairs, T tokens, D embedding width, N hidden width, V classes

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.tasks import Task
from grokking.engine.stack import FACTORS
from grokking.experiment import Replica
from grokking.models import FAMILIES, ModelConfig
from grokking.models.embedding_mlp import EmbeddingMLPConfig
from grokking.models.layers import Dense
from grokking.models.table_mlp import TableMLP
from grokking.models.transformer import TransformerConfig
from grokking.updates.losses import LOSSES

Parameters = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Plain:
    """A network whose parameters are leaves of autograd."""

    parameters: Sequence[Tensor]
    logits: Callable[[Tensor, Tensor], Tensor]  # of pairs (a, b), each (B,): (B, V)
    loss: Callable[[Tensor, Tensor, torch.dtype], Tensor]
    embeddings: tuple[Tensor, Tensor] | None  # tables of operands a and b; None where operands are one-hot,
    # added before anything else, or embedded by what also reads the answers out

    def mean_loss(self, a_B: Tensor, b_B: Tensor, answer_B: Tensor) -> Tensor:
        """Over these pairs; in float64 from the logits on, so that sure answers have a loss and a slope."""
        return self.loss(self.logits(a_B, b_B), answer_B, torch.float64).mean()

    def operand_gradients(self, a_B: Tensor, b_B: Tensor, class_B: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Gradients (B, D) of each pair's logit of one class with respect to the embeddings of a and of b.

        All from one pass: no token may be in two places, so that a table's row has one pair's gradient.
        """
        if self.embeddings is None or len(torch.cat([a_B, b_B]).unique()) < 2 * len(a_B):
            raise ValueError("gradients of operands need embeddings, and tokens that differ from each other")
        chosen = self.logits(a_B, b_B).gather(1, class_B[:, None]).sum()
        of_a, of_b = torch.autograd.grad(chosen, self.embeddings)
        return of_a[a_B].numpy(), of_b[b_B].numpy()


def plain(replica: Replica, task: Task, parameters: Parameters) -> Plain:
    """The replica with these parameters, and its loss, of which weight decay is no part."""
    loss = LOSSES[replica.config.loss].value
    if replica.config.model.family == "numpy_mlp":
        leaves = {name: torch.tensor(array, requires_grad=True) for name, array in parameters.items()}
        return Plain(list(leaves.values()), lambda a, b: _numpy_mlp(leaves, a, b), loss, None)
    module = rebuild(replica, task, parameters)
    weights, embeddings = list(module.parameters()), _embeddings(replica.config.model, module)
    return Plain(weights, partial(_mlp, module) if isinstance(module, TableMLP) else module, loss, embeddings)


def _embeddings(model: ModelConfig, module: nn.Module) -> tuple[Tensor, Tensor] | None:
    own = dict(module.named_parameters())
    if isinstance(model, TransformerConfig) and not model.tied_unembedding:
        return own["token"], own["token"]
    if isinstance(model, EmbeddingMLPConfig) and model.combine == "concatenate":
        return own["embedding_a"], own.get("embedding_b", own["embedding_a"])
    return None


def rebuild(replica: Replica, task: Task, parameters: Parameters) -> nn.Module:
    """The replica's module with these parameters; ValueError where they are those of another network."""
    config = replica.config
    module = FAMILIES[config.model.family](config.model, task.sizes).to(getattr(torch, config.precision))
    own = dict(module.named_parameters())
    if {name: p.shape for name, p in own.items()} != {name: p.shape for name, p in parameters.items()}:
        raise ValueError(
            f"a {config.model.family} of this configuration has the parameters {', '.join(own)}, but the "
            f"snapshot holds {', '.join(parameters)} or other shapes; train it again"
        )
    for name, parameter in own.items():
        parameter.data = torch.tensor(parameters[name])
    for layer in module.modules():
        if isinstance(layer, Dense):
            layer.factors = FACTORS[config.matmul_precision]
    return module


def hidden(module: TableMLP, table: Tensor, a_B: Tensor, b_B: Tensor) -> Tensor:
    """Activations of the last hidden layer, (B, N), from the module's table."""
    hidden_BN = module.activation.apply(table[a_B] + table[len(table) // 2 + b_B])
    for layer in list(module.layers)[:-1]:
        hidden_BN = module.activation.apply(layer(hidden_BN))
    return hidden_BN


def readout(module: TableMLP, hidden_BN: Tensor) -> Tensor:
    """Logits (B, V) of the last hidden layer's activations."""
    return module.output_scale * cast(Tensor, module.layers[-1](hidden_BN))


def _mlp(module: TableMLP, a_B: Tensor, b_B: Tensor) -> Tensor:
    return readout(module, hidden(module, *module.tables(), a_B, b_B))


def _numpy_mlp(parameters: Mapping[str, Tensor], a_B: Tensor, b_B: Tensor) -> Tensor:
    """models.numpy_mlp.forward."""
    weight, bias = ([p for name, p in parameters.items() if name.endswith(end)] for end in ("weight", "bias"))
    x = weight[0][a_B] + weight[0][len(weight[0]) // 2 + b_B] + bias[0]
    for layer in range(1, len(weight)):
        x = x.relu() @ weight[layer] + bias[layer]
    return x
