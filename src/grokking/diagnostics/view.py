"""A trained replica as arrays: what it does on every pair of its task, from the parameters of a snapshot."""

# P equations of the task, T tokens, D embedding width, N hidden width, V classes

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.tasks import Task
from grokking.diagnostics import kernel
from grokking.diagnostics.network import TwoLayerMLP
from grokking.diagnostics.plain import Parameters, hidden, readout, rebuild
from grokking.experiment import Replica
from grokking.models import numpy_mlp
from grokking.models.one_hot_mlp import OneHotMLP, OneHotMLPConfig
from grokking.models.table_mlp import TableMLP

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
    neurons_PN: np.ndarray | None  # pre-activations of the last MLP at "=", which sees both; transformers
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


def _of_mlp(replica: Replica, task: Task, parameters: Parameters) -> View:
    module = cast(TableMLP, rebuild(replica, task, parameters))
    operands = [name for name in ("embedding_a", "embedding_b") if name in parameters]
    embeddings = [parameters[name] for name in operands]
    if not embeddings:
        embeddings = np.split(parameters["first.weight"], 2)
    with torch.no_grad():
        (table,) = module.tables()
        features_PN = _on_all_pairs(task, lambda a, b: hidden(module, table, a, b))
        logits_PV = readout(module, torch.from_numpy(features_PN)).numpy()
    return View(
        parameters,
        logits_PV,
        features_PN,
        embeddings[0],
        embeddings[-1],
        np.hstack(np.split(table.numpy(), 2)),
        None,
        _two_layer(replica, parameters, module),
        float(module.output_scale),
    )


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
    features, neurons = _recorded(module.last_norm), _recorded(module.blocks[-1].up)
    with torch.no_grad():
        tables = module.tables()
        logits_PV = _on_all_pairs(task, lambda a, b: module.logits(tables, a, b))
    token_TD = parameters["token"][: task.sizes.tokens]
    return View(
        parameters,
        logits_PV,
        torch.cat(features).numpy(),
        token_TD,
        token_TD,
        None,
        torch.cat(neurons).numpy(),
        None,
        float(module.output_scale),
    )


def _recorded(module: nn.Module) -> list[Tensor]:
    """A list to which each call of the module will add its output."""
    outputs: list[Tensor] = []
    module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    return outputs


def _of_numpy_mlp(replica: Replica, task: Task, parameters: Parameters) -> View:
    a_P, b_P = task.equations[["a", "b"]].to_numpy().T
    passed = numpy_mlp.forward(dict(parameters), a_P, b_P)
    first_a_TN, first_b_TN = np.split(parameters["layer_0.weight"], 2)
    neurons_TN = np.hstack([first_a_TN, first_b_TN])
    return View(
        parameters, passed.logits_BV, passed.hidden[-1], first_a_TN, first_b_TN, neurons_TN, None, None, 1.0
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
