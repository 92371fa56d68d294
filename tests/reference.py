"""Slow, obvious twins of the fast paths: dense one-hot inputs, four full positions, one network at a time."""

import itertools
from collections.abc import Hashable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, one_hot

from grokking.data.batches import Batches
from grokking.data.seeds import INITIALISATION, derived_seed
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.experiment import Replica
from grokking.models import FAMILIES
from grokking.models.embedding_mlp import EmbeddingMLP
from grokking.models.layers import ACTIVATIONS, Dense
from grokking.models.numpy_mlp import NumpyMLP
from grokking.models.one_hot_mlp import OneHotMLP
from grokking.models.transformer import Block, Transformer
from grokking.updates.gradient_filters import FILTERS
from grokking.updates.optimizers import OPTIMIZERS
from grokking.updates.weight_clamps import CLAMPS


def operation_table(name: str, n: int) -> set[tuple[int, int, int]]:
    """All equations (a, b, c) of an operation by trying every answer."""
    holds = {
        "add": lambda a, b, c: (a + b - c) % n == 0,
        "subtract": lambda a, b, c: (a - b - c) % n == 0,
        "multiply": lambda a, b, c: (a * b - c) % n == 0,
        "divide": lambda a, b, c: b != 0 and (c * b - a) % n == 0,
        "divide_or_subtract": lambda a, b, c: ((c * b if b % 2 else c + b) - a) % n == 0,
        "sum_of_squares": lambda a, b, c: (a * a + b * b - c) % n == 0,
        "quadratic": lambda a, b, c: (a * a + a * b + b * b - c) % n == 0,
        "quadratic_plus_a": lambda a, b, c: (a * a + a * b + b * b + a - c) % n == 0,
        "cubic": lambda a, b, c: (a * a * a + a * b - c) % n == 0,
        "cubic_plus_b": lambda a, b, c: (a * a * a + a * b * b + b - c) % n == 0,
    }[name]
    every = range(n)
    return {(a, b, c) for a in every for b in every for c in every if holds(a, b, c)}


def permutation_table(name: str, degree: int) -> set[tuple[int, int, int]]:
    """All equations (a, b, c) of a product in S_n, point by point."""
    elements = sorted(itertools.permutations(range(degree)))
    number = {x: i for i, x in enumerate(elements)}

    def image(x: tuple[int, ...], y: tuple[int, ...], point: int) -> int:
        return {
            "permutation_product": x[y[point]],
            "permutation_conjugate": x[y[x.index(point)]],
            "permutation_sandwich": x[y[x[point]]],
        }[name]

    return {
        (number[x], number[y], number[tuple(image(x, y, point) for point in range(degree))])
        for x in elements
        for y in elements
    }


def obeys_quadrangle_criterion(square: list[list[int]]) -> bool:
    """Three corners of a rectangle tell the fourth, wherever it is: the Latin squares of groups."""
    fourth: dict[tuple[int, int, int], int] = {}
    every = range(len(square))
    return all(
        fourth.setdefault((square[i][j], square[i][m], square[k][j]), square[k][m]) == square[k][m]
        for i in every
        for j in every
        for k in every
        for m in every
        if i != k and j != m
    )


def additive_rank(equations: Iterable[tuple[int, int, int]], sign: int, q: int, tied: bool) -> int:
    """Rank over GF(q) of x(a) + y(b) - z(c) = 0, by adding one equation at a time; tied, y = sign x."""
    basis: dict[Hashable, dict[Hashable, int]] = {}  # by the unknown that the equation leads with
    for a, b, c in equations:
        row: dict[Hashable, int] = {}
        second = (("x", b), sign) if tied else (("y", b), 1)
        for unknown, coefficient in ((("x", a), 1), second, (("z", c), -1)):
            row[unknown] = (row.get(unknown, 0) + coefficient) % q
        while row := {unknown: coefficient for unknown, coefficient in sorted(row.items()) if coefficient}:
            lead = next(iter(row))
            if lead not in basis:
                basis[lead] = {
                    unknown: value * pow(row[lead], q - 2, q) % q for unknown, value in row.items()
                }
                break
            factor = row[lead]
            for unknown, value in basis[lead].items():
                row[unknown] = (row.get(unknown, 0) - factor * value) % q
    return len(basis)


def splitmix64(state: int) -> Iterator[int]:
    """The generator of Steele, Lea and Flood in whole numbers without a sign."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        yield splitmix64_output(state)


def splitmix64_output(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def one_hot_logits(model: OneHotMLP, a: Tensor, b: Tensor) -> Tensor:
    """The dense product of the one-hot input with the whole first weight matrix."""
    dtype = model.first.weight.dtype
    tokens = len(model.first.weight) // 2
    x = torch.cat([one_hot(a, tokens), one_hot(b, tokens)], dim=1).to(dtype)
    x = _activate(model, model.first_scale * (x @ model.first.weight + model.first.bias))
    for layer in model.layers[:-1]:
        x = _activate(model, _dense(layer, x))
    return model.output_scale * _dense(model.layers[-1], x)


def _dense(layer: Dense, x: Tensor) -> Tensor:
    return linear(x, layer.weight, layer.bias)


def _activate(module: torch.nn.Module, x: Tensor) -> Tensor:
    """The activation by its definition, picked by the fast one's name in the table of activations."""
    name = next(name for name, function in ACTIVATIONS.items() if function is module.activation)
    return _activate_named(name, x)


def _activate_named(name: str, x: Tensor) -> Tensor:
    if name == "swiglu":
        gate, value = x.chunk(2, dim=-1)
        return gate * torch.sigmoid(gate) * value
    return {"relu": lambda: x.clamp(min=0), "gelu": lambda: _gelu(x), "square": lambda: x * x}[name]()


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def embedding_logits(model: EmbeddingMLP, a: Tensor, b: Tensor) -> Tensor:
    """Embed every example, combine, then the dense layers."""
    first, second = model.embedding_a[a], getattr(model, "embedding_b", model.embedding_a)[b]
    concatenated = model.first.weight.shape[1] == 2 * first.shape[1]
    x = torch.cat([first, second], dim=1) if concatenated else first + second
    for layer in [model.first, *model.layers[:-1]]:
        x = _activate(model, _dense(layer, x))
    return model.output_scale * _dense(model.layers[-1], x)


def numpy_logits(model: NumpyMLP, a: Tensor, b: Tensor) -> Tensor:
    """Dense one-hot inputs and ReLU layers, by torch."""
    weights, biases = (
        [p for name, p in model.named_parameters() if end in name] for end in ("weight", "bias")
    )
    tokens = len(weights[0]) // 2
    x = torch.cat([one_hot(a, tokens), one_hot(b, tokens)], dim=1).to(weights[0].dtype)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = (x @ weight + bias).clamp(min=0)
    return x @ weights[-1] + biases[-1]


def transformer_hidden(model: Transformer, a: Tensor, b: Tensor) -> Tensor:
    """Every position of every example through every layer: (B, S, D)."""
    config = model.config
    row, specials = {"a": a, "b": b}, iter(range(model.tokens, len(model.token)))
    for symbol in config.sequence.split("_"):
        if symbol not in row:
            row[symbol] = torch.full_like(a, next(specials))
    x = model.token[torch.stack([row[symbol] for symbol in config.sequence.split("_")], 1)]
    if config.positions in ("learned", "sinusoidal"):
        x = x + model.position
    for block in model.blocks:
        x = _plain_block(block, x)
    return x


def transformer_logits(model: Transformer, a: Tensor, b: Tensor) -> Tensor:
    hidden = transformer_hidden(model, a, b)
    x = {"last": hidden[:, -1], "mean": hidden.mean(1)}[model.config.pooling]
    x = _plain_norm(model.last_norm, x) if model.config.norm == "pre" else x
    tied = model.config.tied_unembedding
    logits = x @ model.token[: model.tokens].T if tied else _dense(model.unembedding, x)
    return model.output_scale * logits


def _plain_block(block: Block, x: Tensor) -> Tensor:
    def norm(layer: torch.nn.Module, when: str, y: Tensor) -> Tensor:
        return _plain_norm(layer, y) if block.config.norm == when else y

    x = norm(block.attention_norm, "post", x + _plain_attention(block, norm(block.attention_norm, "pre", x)))
    inner = _dense(block.up, norm(block.mlp_norm, "pre", x))
    return norm(
        block.mlp_norm, "post", x + _dense(block.down, _activate_named(block.config.activation, inner))
    )


def _plain_norm(layer: torch.nn.Module, x: Tensor) -> Tensor:
    if not hasattr(layer, "bias"):
        return layer.gain * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return torch.nn.functional.layer_norm(x, x.shape[-1:], layer.gain, layer.bias)


def _plain_attention(block: Block, x: Tensor) -> Tensor:
    key, value = _dense(block.key_value, x).chunk(2, dim=-1)
    heads = [
        y.unflatten(-1, (block.config.heads, -1)).transpose(1, 2)
        for y in (_dense(block.query, x), key, value)
    ]
    if block.config.positions == "rotary":
        heads[:2] = [_turned(y) for y in heads[:2]]
    causal = block.config.attention == "causal"
    attended = torch.nn.functional.scaled_dot_product_attention(*heads, is_causal=causal)
    return _dense(block.output, attended.transpose(1, 2).flatten(2))


def _turned(x: Tensor) -> Tensor:
    """Both halves of a head as one complex number per frequency, turned by position times frequency."""
    length, half = x.shape[-2], x.shape[-1] // 2
    number = torch.complex(x[..., :half], x[..., half:])
    turn = [[p * 10_000 ** (-f / half) for f in range(half)] for p in range(length)]
    turned = number * torch.exp(1j * torch.tensor(turn, dtype=x.dtype))
    return torch.cat([turned.real, turned.imag], dim=-1)


LOGITS = {
    "one_hot_mlp": one_hot_logits,
    "embedding_mlp": embedding_logits,
    "transformer": transformer_logits,
    "numpy_mlp": numpy_logits,
}


def logits_of(family: str, model: torch.nn.Module, a: Tensor, b: Tensor) -> Tensor:
    """By the family's slow form; a family without one is plain torch itself."""
    return LOGITS.get(family, torch.nn.Module.__call__)(model, a, b)


HIDDEN = {
    "one_hot_mlp": ["layers.0.weight"],
    "embedding_mlp": ["first.weight", "layers.0.weight"],
    "normed_mlp": ["first.weight", "layers.0.weight"],
    "recurrent": [f"cells.{n}.{part}.weight" for n in range(2) for part in ("input", "recurrent")],
    "transformer": [
        f"blocks.{number}.{layer}.weight"
        for number in range(2)
        for layer in ("query", "key_value", "output", "up", "down")
    ],
}  # matrices between hidden layers of the networks in examples.py


FROZEN = {
    "nothing": {},
    "first_layer": {
        "one_hot_mlp": ("first",),
        "embedding_mlp": ("embedding",),
        "transformer": ("token", "position"),
        "numpy_mlp": ("layer_0",),
    },
    "readout": {
        "one_hot_mlp": ("layers.1",),
        "embedding_mlp": ("layers.1",),
        "transformer": ("unembedding",),
        "numpy_mlp": ("layer_2",),
    },
}  # prefixes of the names of what is frozen in the networks of examples.py


def frozen_prefixes(frozen: str, family: str, model: torch.nn.Module) -> tuple[str, ...]:
    own = {"nothing": (), "first_layer": model.first_layer, "readout": (model.readout,)}
    return FROZEN[frozen].get(family, own[frozen])


class SequentialTrainer:
    """One replica with torch.optim and the plain model; its batches come from the engine's own sampler."""

    def __init__(self, replica: Replica, task: Task) -> None:
        self.config = replica.config
        torch.manual_seed(derived_seed(replica.seed, INITIALISATION))
        self.model = FAMILIES[self.config.model.family](self.config.model, task.sizes).double()
        self.columns = {c: torch.tensor(task.equations[c].to_numpy()) for c in "ab"}
        self.columns["c"] = torch.tensor(answers(replica, task))
        train = torch.tensor(np.flatnonzero(task.train_mask(replica.split_seed)))
        self.batches = Batches(self.config.batch, train[None], [replica.seed])
        self.optimizer = _plain_optimizer(self.config, self.model)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.filters = {p: PlainFilter(self.config.gradient_filter) for p in self.model.parameters()}
        self.initial_norm = self._norm()

    def update(self, step: int) -> float:
        index = self.batches.at(step)[0]
        a, b, c = (self.columns[name][index] for name in "abc")
        logits = logits_of(self.config.model.family, self.model, a, b)
        loss = _plain_loss(self.config.loss, logits, c)
        warmup = self.config.schedule.warmup_steps
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * (min(1.0, step / warmup) if warmup else 1.0)
        self.optimizer.zero_grad()
        loss.backward()
        before = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        with torch.no_grad():
            if self.config.gradient_filter.name == "clip_norm":
                self._clip(self.config.gradient_filter.max_gradient_norm)
            for parameter in self.model.parameters():
                gradient = self.filters[parameter](parameter.grad)
                if self.config.gradient_projection == "orthogonal":
                    gradient = perpendicular(gradient, parameter)
                parameter.grad = gradient
            self.optimizer.step()
            self._clamp()
            for name, parameter in self.model.named_parameters():
                if name.startswith(self._frozen()):
                    parameter.copy_(before[name])
        return loss.item()

    def _clip(self, longest: float) -> None:
        """The only filter that looks at all parameters together."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), longest)

    def _clamp(self) -> None:
        clamp = self.config.weight_clamp
        for parameter in self.model.parameters():
            if clamp.name == "row_norm" and parameter.dim() == 2:
                for row in parameter:
                    row.mul_(min(1.0, clamp.max_norm / row.norm().item()))
        if clamp.name == "initial_norm":
            scale = self.initial_norm / self._norm()
            for parameter in self.model.parameters():
                parameter.mul_(scale)
        if clamp.name not in ("none", "row_norm", "initial_norm"):
            self._own_clamp()

    def _own_clamp(self) -> None:
        """A clamp without a twin, on this replica alone."""
        params = [*self.model.parameters()]
        row = torch.cat([p.flatten() for p in params])[None]
        parts = row.split([p.numel() for p in params], dim=1)
        views = [part.view(1, *p.shape) for part, p in zip(parts, params, strict=True)]
        CLAMPS[self.config.weight_clamp.name](row, views, _columns(self.config.weight_clamp))
        for p, view in zip(params, views, strict=True):
            p.copy_(view[0])

    def _norm(self) -> float:
        return float(sum(p.detach().square().sum() for p in self.model.parameters()) ** 0.5)

    def _frozen(self) -> tuple[str, ...]:
        """Prefixes of the names of what is frozen in the networks of examples.py."""
        return frozen_prefixes(self.config.frozen, self.config.model.family, self.model)


class PlainFilter:
    """Filters for one parameter, from their definitions."""

    def __init__(self, config) -> None:
        self.config, self.seen, self.state = config, [], {}

    def __call__(self, gradient: Tensor) -> Tensor:
        self.seen.append(gradient.clone())
        twins = {"none": self.none, "clip_norm": self.none, "grokfast_ema": self.ema, "grokfast_ma": self.ma}
        if self.config.name not in twins:
            return self.own(gradient)
        return gradient + twins[self.config.name](gradient)

    def own(self, gradient: Tensor) -> Tensor:
        """A filter without a twin, on this parameter alone."""
        row = gradient.reshape(1, -1).clone()
        hparams = _columns(self.config) | _columns_of({"step": len(self.seen)})
        FILTERS[self.config.name].apply(row, self.state, hparams)
        return row.view(gradient.shape)

    def none(self, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)

    def ema(self, gradient: Tensor) -> Tensor:
        average = self.seen[0]
        for later in self.seen[1:]:
            average = self.config.decay * average + (1 - self.config.decay) * later
        return self.config.amplitude * average

    def ma(self, gradient: Tensor) -> Tensor:
        if len(self.seen) < self.config.window:
            return torch.zeros_like(gradient)
        return self.config.amplitude * torch.stack(self.seen[-self.config.window :]).mean(0)


def perpendicular(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient without its part along the weights, at its own length."""
    g, w = gradient.flatten().numpy(), weight.detach().flatten().numpy()
    direction = w / (np.linalg.norm(w) or 1)  # biases may begin at zero
    across = g - (g @ direction) * direction
    return torch.tensor(across * np.linalg.norm(g) / np.linalg.norm(across)).view(gradient.shape)


# matrices of one weight, one below the other: keys and values, the gates of an LSTM
STACKED = {"key_value": 2, "cells": 4}


class PlainMuon(torch.optim.Optimizer):
    """Muon for one matrix at a time, in NumPy; a weight may have several matrices, one below the other."""

    def __init__(self, named, lr, weight_decay, momentum) -> None:
        super().__init__(
            [p for _, p in named], {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        )
        self.parts = {p: max([1, *(n for k, n in STACKED.items() if k in name)]) for name, p in named}

    @torch.no_grad()
    def step(self) -> None:
        (group,) = self.param_groups
        decay = group["momentum"]
        for p in group["params"]:
            buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
            buffer.copy_(decay * buffer + (1 - decay) * p.grad)
            ahead = (1 - decay) * p.grad + decay * buffer
            update = torch.cat([newton_schulz(part) for part in ahead.chunk(self.parts[p])])
            rows, columns = p.shape[0] // self.parts[p], p.shape[1]
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * max(1, rows / columns) ** 0.5 * update)


def newton_schulz(matrix: Tensor) -> Tensor:
    """Five quintic steps on a matrix, always with the shorter side first, from their polynomial."""
    x = matrix.numpy()
    x = x.T if len(x) > len(x.T) else x
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = (3.4445 * np.eye(len(x)) - 4.7750 * gram + 2.0315 * gram @ gram) @ x
    return torch.tensor(x.T if matrix.shape[0] > matrix.shape[1] else x)


class Own(torch.optim.Optimizer):
    """An optimizer without a twin, on one parameter after the other."""

    def __init__(self, params, config) -> None:
        super().__init__(params, {"lr": config.learning_rate, "weight_decay": config.weight_decay})
        self.config, self.count = config, 0

    @torch.no_grad()
    def step(self) -> None:
        rule, self.count = OPTIMIZERS[self.config.name], self.count + 1
        for group, p in [(own, p) for own in self.param_groups for p in own["params"]]:
            state = self.state[p] or {
                slot: torch.zeros(1, p.numel(), dtype=p.dtype) for slot in rule.state_names
            }
            self.state[p] = state
            of_group = {"learning_rate": group["lr"], "weight_decay": group["weight_decay"]}
            hparams = _columns(self.config) | _columns_of(of_group | {"step": self.count})
            rule.update(p.view(1, -1), p.grad.reshape(1, -1).clone(), state, hparams)


def _columns(config) -> dict[str, Tensor]:
    return _columns_of({key: value for key, value in vars(config).items() if isinstance(value, float)})


def _columns_of(numbers) -> dict[str, Tensor]:
    return {key: torch.tensor([[value]], dtype=torch.float64) for key, value in numbers.items()}


class Both(torch.optim.Optimizer):
    """Two optimizers, each for its own parameters, used as one."""

    def __init__(self, first, second) -> None:
        self.parts = (first, second)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state = first.state | second.state

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()
        self.state = self.parts[0].state | self.parts[1].state


def _plain_loss(name: str, logits: Tensor, answer: Tensor) -> Tensor:
    right = one_hot(answer, logits.shape[1]).to(logits.dtype)
    if name == "stablemax_cross_entropy":
        s = torch.where(logits >= 0, logits + 1, 1 / (1 - logits))
        return -((s * right).sum(1) / s.sum(1)).log().mean()
    if name == "mean_squared_error":
        return torch.nn.functional.mse_loss(logits, right)
    if name == "cross_entropy":
        return torch.nn.functional.cross_entropy(logits, answer)
    raise KeyError(f"add a slow twin of the loss {name} to _plain_loss in tests/reference.py")


def _dense_weights(model: torch.nn.Module) -> list[str]:
    """Matrices between hidden layers of a family that HIDDEN does not list."""
    dense = [name for name, layer in model.named_modules() if isinstance(layer, Dense)]
    return [f"{name}.weight" for name in dense if name != model.readout]


def _plain_optimizer(experiment, model: torch.nn.Module) -> torch.optim.Optimizer:
    config, named = experiment.optimizer, dict(model.named_parameters())
    common = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    coupled = not OPTIMIZERS[config.name].decoupled
    groups = _groups(experiment.model.family if coupled else "any", named)
    if config.name in ("sgd", "nesterov"):
        nesterov = config.name == "nesterov"
        return torch.optim.SGD(groups, momentum=config.momentum, nesterov=nesterov, **common)
    if config.name not in ("adam", "adamw", "muon"):
        return Own(groups, config)
    betas = {"betas": (config.beta1, config.beta2), "eps": config.epsilon}
    if config.name == "muon":
        hidden = {
            name: named.pop(name) for name in HIDDEN.get(experiment.model.family, _dense_weights(model))
        }
        muon = PlainMuon(list(hidden.items()), **common, momentum=config.momentum)
        rest = {"lr": config.adamw_learning_rate, "weight_decay": config.adamw_weight_decay}
        return Both(muon, torch.optim.AdamW(named.values(), **betas, **rest))
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return adam(groups, **betas, **common)


def _groups(family: str, named: dict[str, Tensor]) -> list[dict[str, object]]:
    """Coupled decay in system 0 is of matrices and not of biases; elsewhere everything decays."""
    if family != "numpy_mlp":
        return [{"params": [*named.values()]}]
    biases = [p for name, p in named.items() if name.endswith("bias")]
    matrices = [p for name, p in named.items() if not name.endswith("bias")]
    return [{"params": matrices}, {"params": biases, "weight_decay": 0.0}]
