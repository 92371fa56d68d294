"""A trained replica as arrays: what it does on every pair of its task, from the parameters of a snapshot.

Networks are the package's own. Buffers, such as scales, are no parameters: they come from the configuration.
"""

# P equations of the task, T tokens, D embedding width, N hidden width, V classes

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.tasks import Task
from grokking.diagnostics import kernel
from grokking.diagnostics.network import TwoLayerMLP
from grokking.models import FAMILIES, layers, numpy_mlp
from grokking.models.layers import Dense
from grokking.models.one_hot_mlp import OneHotMLP, OneHotMLPConfig
from grokking.models.table_mlp import TableMLP
from grokking.training.experiment import Replica
from grokking.training.replicas import FACTORS

Parameters = Mapping[str, np.ndarray]
SLICE = 2048  # pairs in one pass: what fits into cache is faster


@dataclass(frozen=True)
class View:
    """One network. In a one-hot MLP the embedding of a token is its row of the first layer."""

    parameters: Parameters
    logits_PV: np.ndarray
    features_PN: np.ndarray  # what the readout is applied to
    embedding_a_TD: np.ndarray
    embedding_b_TD: np.ndarray  # the same array where the operands share a table
    neurons_TN: np.ndarray | None  # what tokens add to the first pre-activations, operand a beside b; MLPs
    two_layer: TwoLayerMLP | None  # the network as formulas have it, where it is one hidden layer on one-hots
    output_scale: float

    def embedding(self) -> np.ndarray:
        """The tables of both operands, one below the other, or the one they share."""
        if self.embedding_a_TD is self.embedding_b_TD:
            return self.embedding_a_TD
        return np.vstack([self.embedding_a_TD, self.embedding_b_TD])

    def tangent_kernel(self, a_B: np.ndarray, b_B: np.ndarray) -> dict[str, kernel.Part] | None:
        """The exact kernel of a two-layer network, by parameter."""
        if self.two_layer is None:
            return None
        scaled = ("readout", "readout_bias")  # `two_layer` has the output's scale in its readout
        return {
            name: replace(part, rows_BN=self.output_scale * part.rows_BN) if name in scaled else part
            for name, part in kernel.mlp_kernel(self.two_layer, a_B, b_B).items()
        }


def view(replica: Replica, task: Task, parameters: Parameters) -> View:
    """The replica with these parameters on all equations of the task, in their order."""
    return VIEWS[replica.config.model.family](replica, task, parameters)


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


def _of_mlp(replica: Replica, task: Task, parameters: Parameters) -> View:
    module = cast(TableMLP, rebuild(replica, task, parameters))
    operands = [name for name in ("embedding_a", "embedding_b") if name in parameters]
    embeddings = [parameters[name] for name in operands]
    if not embeddings:
        embeddings = np.split(parameters["first.weight"], 2)
    with torch.no_grad():
        (table,) = module.tables()
        logits_PV = _on_all_pairs(task, lambda a, b: module.logits((table,), a, b))
        features_PN = _on_all_pairs(task, lambda a, b: _hidden(module, table, a, b))
    return View(
        parameters,
        logits_PV,
        features_PN,
        embeddings[0],
        embeddings[-1],
        np.hstack(np.split(table.numpy(), 2)),
        _two_layer(replica, parameters, module),
        float(module.output_scale),
    )


def _hidden(module: TableMLP, table: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Activations of the last hidden layer."""
    hidden = module.activation.apply(table[a] + table[len(table) // 2 + b])
    for layer in list(module.layers)[:-1]:
        dense = cast(Dense, layer)
        before = layers.affine(hidden, dense.weight, dense.bias, dense.factors)
        hidden = module.activation.apply(before)
    return hidden


def _two_layer(replica: Replica, parameters: Parameters, module: TableMLP) -> TwoLayerMLP | None:
    """Scales are the module's, which are rounded to float32."""
    model = replica.config.model
    if not isinstance(model, OneHotMLPConfig) or len(model.hidden_widths) > 1:
        return None
    first_a_TN, first_b_TN = np.split(parameters["first.weight"], 2)
    bias = {name: parameters.get(f"{name}.bias") for name in ("first", "layers.0")}
    readout_bias_V, output_scale = bias["layers.0"], float(module.output_scale)
    return TwoLayerMLP(
        first_a_TN,
        first_b_TN,
        bias["first"],
        output_scale * parameters["layers.0.weight"],
        None if readout_bias_V is None else output_scale * readout_bias_V,
        float(cast(OneHotMLP, module).first_scale),
        model.activation,
    )


def _of_transformer(replica: Replica, task: Task, parameters: Parameters) -> View:
    module = cast(Any, rebuild(replica, task, parameters))
    features: list[Tensor] = []
    module.last_norm.register_forward_hook(lambda _module, _inputs, output: features.append(output))
    with torch.no_grad():
        tables = module.tables()
        logits_PV = _on_all_pairs(task, lambda a, b: module.logits(tables, a, b))
    token_TD = parameters["token"][: task.sizes.tokens]
    features_PN = torch.cat(features).numpy()
    return View(
        parameters, logits_PV, features_PN, token_TD, token_TD, None, None, float(module.output_scale)
    )


def _of_numpy_mlp(replica: Replica, task: Task, parameters: Parameters) -> View:
    a_P, b_P = task.equations[["a", "b"]].to_numpy().T
    passed = numpy_mlp.forward(dict(parameters), a_P, b_P)
    first_a_TN, first_b_TN = np.split(parameters["layer_0.weight"], 2)
    neurons_TN = np.hstack([first_a_TN, first_b_TN])
    return View(
        parameters, passed.logits_BV, passed.hidden[-1], first_a_TN, first_b_TN, neurons_TN, None, 1.0
    )


def _on_all_pairs(task: Task, of: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
    a_P, b_P = torch.tensor(task.equations[["a", "b"]].to_numpy()).T.contiguous()
    slices = zip(a_P.split(SLICE), b_P.split(SLICE), strict=True)
    return torch.cat([of(a, b) for a, b in slices]).numpy()


VIEWS: dict[str, Callable[[Replica, Task, Parameters], View]] = {
    "one_hot_mlp": _of_mlp,
    "embedding_mlp": _of_mlp,
    "transformer": _of_transformer,
    "numpy_mlp": _of_numpy_mlp,
}
