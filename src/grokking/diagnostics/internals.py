"""What diagnostics read inside a network beyond its logits: a function per model family, chosen by INTERNALS.

A family without an entry there is measured by its logits and its weights alone.
"""

# B pairs, T tokens, Q positions, D embedding width, N hidden width, V classes

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.tasks import Task
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP
from grokking.engine.stack import MATMUL_DTYPES
from grokking.experiment import Replica
from grokking.models import FAMILIES
from grokking.models.model import Model

Parameters = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Pass:
    """What a network computes for pairs (a, b)."""

    logits_BV: Tensor
    features_BN: Tensor | None = None  # what the readout is applied to
    neurons_BN: Tensor | None = None  # pre-activations of a layer that sees both operands at once


@dataclass(frozen=True)
class Internals:
    """Where in a network to look; None: its family has no such thing, and what needs it is left out."""

    run: Callable[[Tensor, Tensor], Pass]
    embeddings: tuple[Tensor, Tensor] | None = None  # (T, D) of operands a and b; the same one where shared
    token_neurons: Callable[[], tuple[Tensor, Tensor]] | None = None  # (T, N) each: what a token adds to the
    # first pre-activations, as a and as b
    operand_tables: tuple[Tensor, Tensor] | None = None  # parameters that only embed, and apart: not one-hot,
    # not added before anything else, not the readout's too
    two_layer: TwoLayerMLP | None = (
        None  # the network as formulas have it: one hidden layer on one-hot inputs
    )


def internals_of(family: str, module: nn.Module, config: Any) -> Internals:
    """The internals of a module of this family; only `run` where the family has no entry."""
    if family not in INTERNALS:
        return Internals(lambda a, b: Pass(module(a, b)))
    return INTERNALS[family](module, config)


def rebuild(replica: Replica, task: Task, parameters: Parameters) -> Model:
    """The replica's module with these parameters; ValueError where they are those of another network.

    Buffers, such as scales, are no parameters: they come from the configuration.
    """
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
    module.set_matmul_dtype(MATMUL_DTYPES[config.matmul_precision])
    return module


def _one_hot_mlp(module: Any, config: Any) -> Internals:
    """In an MLP on one-hot inputs the embedding of a token is its row of the first weight matrix."""
    two_layer = _two_layer(module, config) if len(config.hidden_widths) == 1 else None
    return _mlp(module, module.first.weight.chunk(2), two_layer=two_layer)


def _two_layer(module: Any, config: Any) -> TwoLayerMLP:
    """Scales are the module's, which are rounded to float32."""
    first_a_TN, first_b_TN = (weight.detach().numpy() for weight in module.first.weight.chunk(2))
    readout = module.layers[-1]
    return TwoLayerMLP(
        first_a_TN,
        first_b_TN,
        readout.weight.detach().numpy(),
        config.activation,
        first_bias_N=module.first.bias.detach().numpy() if config.bias else None,
        readout_bias_V=readout.bias.detach().numpy() if config.bias else None,
        scale=float(module.first_scale),
        output_scale=float(module.output_scale),
    )


def _embedding_mlp(module: Any, config: Any) -> Internals:
    embeddings = module.embedding_a, getattr(module, "embedding_b", module.embedding_a)
    return _mlp(module, embeddings, operand_tables=embeddings if config.combine == "concatenate" else None)


def _numpy_mlp(module: Any, config: Any) -> Internals:
    return _mlp(module, module.layer_0.weight.chunk(2))


def _mlp(module: Any, embeddings: tuple[Tensor, Tensor], **rest: Any) -> Internals:
    def run(a: Tensor, b: Tensor) -> Pass:
        features = module.hidden(a, b)
        return Pass(module.unembed(features), features)

    def token_neurons() -> tuple[Tensor, Tensor]:
        table, bias = module.table()
        neurons_a, neurons_b = table.chunk(2)
        return neurons_a, neurons_b + bias

    return Internals(run, embeddings, token_neurons, **rest)


def _transformer(module: Any, config: Any) -> Internals:
    """Its neurons are those of the last MLP at "=", which sees both operands."""

    def run(a: Tensor, b: Tensor) -> Pass:
        with _outputs(module.last_norm, module.blocks[-1].up) as (features, neurons):
            logits_BV = module(a, b)
        at_positions_BQN = neurons[-1].unflatten(0, (len(a), -1))
        return Pass(logits_BV, features[-1], at_positions_BQN[:, -1])

    operands = module.token[: module.tokens]
    apart = None if config.tied_unembedding else (module.token, module.token)
    return Internals(run, (operands, operands), operand_tables=apart)


@contextmanager
def _outputs(*modules: nn.Module) -> Iterator[list[list[Tensor]]]:
    """A list for each module, to which its calls add their outputs."""
    lists: list[list[Tensor]] = [[] for _ in modules]
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, to=to: to.append(output))
        for module, to in zip(modules, lists, strict=True)
    ]
    try:
        yield lists
    finally:
        for hook in hooks:
            hook.remove()


INTERNALS: dict[str, Callable[[Any, Any], Internals]] = {
    "one_hot_mlp": _one_hot_mlp,
    "embedding_mlp": _embedding_mlp,
    "transformer": _transformer,
    "numpy_mlp": _numpy_mlp,
}
