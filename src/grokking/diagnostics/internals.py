"""What diagnostics read inside a network beyond its logits: a function per model family, chosen by INTERNALS.

A family without an entry there is measured by its logits and its weights alone. Everything here can be
differentiated twice, unlike the engine's fast passes.
"""

# B pairs, T tokens, Q positions, D embedding width, N hidden width, V classes

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from grokking.data.tasks import Sizes, Task
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP
from grokking.engine.stack import FACTORS
from grokking.experiment import Replica
from grokking.models import FAMILIES
from grokking.models.layers import Dense
from grokking.models.numpy_mlp import NumpyMLPConfig

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


def rebuild(replica: Replica, task: Task, parameters: Parameters) -> nn.Module:
    """The replica's module with these parameters; ValueError where they are those of another network.

    Buffers, such as scales, are no parameters: they come from the configuration.
    """
    config = replica.config
    module = MODULES[config.model.family](config.model, task.sizes).to(getattr(torch, config.precision))
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


def _one_hot_mlp(module: Any, config: Any) -> Internals:
    weights = module.first.weight.chunk(2)

    def token_neurons() -> tuple[Tensor, Tensor]:
        weight_a, weight_b = module.first.weight.chunk(2)
        return module.first_scale * weight_a, module.first_scale * (weight_b + module.first.bias)

    two_layer = _two_layer(module, config) if len(config.hidden_widths) == 1 else None
    return Internals(_mlp_pass(module, token_neurons), weights, token_neurons, two_layer=two_layer)


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

    def token_neurons() -> tuple[Tensor, Tensor]:
        weight_a, weight_b = module.first.weight[:, : module.width], module.first.weight[:, -module.width :]
        return embeddings[0] @ weight_a.T, embeddings[1] @ weight_b.T + module.first.bias

    apart = embeddings if config.combine == "concatenate" else None
    return Internals(_mlp_pass(module, token_neurons), embeddings, token_neurons, operand_tables=apart)


def _mlp_pass(
    module: Any, token_neurons: Callable[[], tuple[Tensor, Tensor]]
) -> Callable[[Tensor, Tensor], Pass]:
    """Hidden layers and readout after the first pre-activations."""

    def run(a: Tensor, b: Tensor) -> Pass:
        of_a_TN, of_b_TN = token_neurons()
        hidden_BN = module.activation.apply(of_a_TN[a] + of_b_TN[b])
        for layer in module.layers[:-1]:
            hidden_BN = module.activation.apply(layer(hidden_BN))
        return Pass(module.output_scale * module.layers[-1](hidden_BN), hidden_BN)

    return run


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


def _numpy_mlp(module: Any, config: Any) -> Internals:
    return Internals(module.run, module.rows(), module.rows)


class _NumpyMLPTwin(nn.Module):
    """models.numpy_mlp in torch, with the same names of parameters."""

    def __init__(self, config: NumpyMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        widths = [2 * sizes.tokens, *config.hidden_widths, sizes.classes]
        for number, shape in enumerate(pairwise(widths)):
            layer = nn.Module()
            layer.weight, layer.bias = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape[1]))
            self.add_module(f"layer_{number}", layer)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Of the first weight matrix, for operands a and b."""
        weight_a, weight_b = cast(Any, self).layer_0.weight.chunk(2)
        return weight_a, weight_b

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.run(a, b).logits_BV

    def run(self, a: Tensor, b: Tensor) -> Pass:
        (first, *later), (weight_a, weight_b) = cast(Any, list(self.children())), self.rows()
        x = weight_a[a] + weight_b[b] + first.bias
        for layer in later:
            hidden = x.relu()
            x = hidden @ layer.weight + layer.bias
        return Pass(x, hidden)


MODULES: dict[str, Callable[..., nn.Module]] = FAMILIES | {"numpy_mlp": _NumpyMLPTwin}
INTERNALS: dict[str, Callable[[Any, Any], Internals]] = {
    "one_hot_mlp": _one_hot_mlp,
    "embedding_mlp": _embedding_mlp,
    "transformer": _transformer,
    "numpy_mlp": _numpy_mlp,
}
