"""The same networks as one would write them with PyTorch or NumPy: loops that the engine is compared with.

Everything is standard: torch's own layers, attention, loss and optimizer, one network, dense one-hot
inputs, four full positions per example, float32 throughout. What does not change is computed before the loop.
"""

# B examples, P training equations, T positions, D width, V classes

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.cases import Case
from grokking.data.batches import BatchConfig, batch_size
from grokking.data.tasks import Sizes
from grokking.models.embedding_mlp import EmbeddingMLPConfig
from grokking.models.numpy_mlp import NumpyMLPConfig
from grokking.models.one_hot_mlp import OneHotMLPConfig
from grokking.models.transformer import TransformerConfig
from grokking.updates.optimizers import AdamConfig, SGDConfig
from grokking.updates.schedules import factor

Parameters = dict[str, np.ndarray]


class Loop(Protocol):
    def update(self, count: int) -> None: ...


def loop(case: Case, device: str) -> Loop:
    """The plain loop of a case."""
    return NumpyLoop(case) if case.is_numpy else TorchLoop(case, device)


class OneHotMLP(nn.Module):
    """System 2 at alpha 0, where its first pre-activations have no factor."""

    def __init__(self, config: OneHotMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        self.tokens = sizes.tokens
        self.layers = mlp([2 * sizes.tokens, *config.hidden_widths, sizes.classes])

    def encode(self, a_P: Tensor, b_P: Tensor) -> Tensor:
        return torch.cat([F.one_hot(a_P, self.tokens), F.one_hot(b_P, self.tokens)], dim=1).float()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


class EmbeddingMLP(nn.Module):
    def __init__(self, config: EmbeddingMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        width = config.embedding_width
        self.concatenate = config.combine == "concatenate"
        self.embedding_a = nn.Embedding(sizes.tokens, width)
        separate = config.tables == "separate"
        self.embedding_b = nn.Embedding(sizes.tokens, width) if separate else self.embedding_a
        inputs = 2 * width if self.concatenate else width
        self.layers = mlp([inputs, *config.hidden_widths, sizes.classes])

    def encode(self, a_P: Tensor, b_P: Tensor) -> Tensor:
        return torch.stack([a_P, b_P], dim=1)

    def forward(self, pairs: Tensor) -> Tensor:
        a, b = self.embedding_a(pairs[:, 0]), self.embedding_b(pairs[:, 1])
        return cast(Tensor, self.layers(torch.cat([a, b], dim=1) if self.concatenate else a + b))


def mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class Transformer(nn.Module):
    """System 3 with pre-norm and GELU, on the tokens a, operator, b, "="; the answer is read at "="."""

    def __init__(self, config: TransformerConfig, sizes: Sizes) -> None:
        super().__init__()
        self.tokens = sizes.tokens
        self.token = nn.Embedding(sizes.tokens + 2, config.width)
        self.position = nn.Parameter(torch.randn(4, config.width))
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.last_norm = nn.LayerNorm(config.width)
        self.unembedding = nn.Linear(config.width, sizes.classes)

    def encode(self, a_P: Tensor, b_P: Tensor) -> Tensor:
        operator, equals = torch.full_like(a_P, self.tokens), torch.full_like(a_P, self.tokens + 1)
        return torch.stack([a_P, operator, b_P, equals], dim=1)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        x_BTD = self.blocks(self.token(tokens_BT) + self.position)
        return cast(Tensor, self.unembedding(self.last_norm(x_BTD[:, -1])))


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden_width
        self.heads = config.heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = x_BTD + self._attention(self.attention_norm(x_BTD))
        return cast(Tensor, x_BTD + self.mlp(self.mlp_norm(x_BTD)))

    def _attention(self, x_BTD: Tensor) -> Tensor:
        parts = self.query_key_value(x_BTD).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return cast(Tensor, self.output(attended.transpose(1, 2).flatten(2)))


MODELS: dict[str, Any] = {
    "one_hot_mlp": OneHotMLP,
    "embedding_mlp": EmbeddingMLP,
    "transformer": Transformer,
}


class TorchLoop:
    """One network, its data on the device, and AdamW."""

    def __init__(self, case: Case, device: str) -> None:
        self.config = case.replica.config
        self.model = self.network(case).to(device)
        adam = cast(AdamConfig, self.config.optimizer)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            adam.learning_rate,
            betas=(adam.beta1, adam.beta2),
            eps=adam.epsilon,
            weight_decay=adam.weight_decay,
        )
        a_P, b_P, self.answer_P = (torch.tensor(column, device=device) for column in columns(case))
        self.inputs = self.model.encode(a_P, b_P)
        self.batches = batches(self.config.batch, len(a_P), device)
        self.step = 0

    def network(self, case: Case) -> Any:
        return MODELS[self.config.model.family](self.config.model, case.task.sizes)

    def update(self, count: int) -> None:
        for index_B in islice(self.batches, count):
            self._set_learning_rate()
            loss = self.loss(self.inputs[index_B], self.answer_P[index_B])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def loss(self, inputs: Tensor, answer_B: Tensor) -> Tensor:
        return F.cross_entropy(self.model(inputs), answer_B)

    def _set_learning_rate(self) -> None:
        self.step += 1
        scale = factor(self.config.schedule, self.step, self.config.budget)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optimizer.learning_rate * scale


class CompiledLoop(TorchLoop):
    """The same with forward pass, loss and backward pass by torch.compile, and the fused AdamW.

    Of four ways this was the fastest: the others compile the model only, or the optimizer too, or use the
    default AdamW.
    """

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(case, device)
        for group in self.optimizer.param_groups:
            group["fused"], group["foreach"] = True, False
        self.loss = torch.compile(self.loss)  # type: ignore[method-assign]


def columns(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operands and answers of the training equations."""
    mask = case.task.train_mask(case.replica.split_seed)
    a_P, b_P, answer_P = case.task.equations.loc[mask, ["a", "b", "c"]].to_numpy().T.copy()
    return a_P, b_P, answer_P


def batches(config: BatchConfig, examples: int, device: str) -> Iterator[Tensor | slice]:
    """What indexes each batch: everything, fresh numbers, or the parts of each epoch's order."""
    size = batch_size(config, examples)
    while True:
        if config.sampling == "full":
            yield slice(None)
        elif config.sampling == "with_replacement":
            yield torch.randint(examples, (size,), device=device)
        else:
            yield from torch.randperm(examples, device=device)[: examples - examples % size].split(size)


class NumpyLoop:
    """SGD with momentum, and coupled L2 of the matrices, on dense one-hot inputs."""

    def __init__(self, case: Case) -> None:
        config = case.replica.config
        self.sgd = cast(SGDConfig, config.optimizer)
        a_P, b_P, self.answer_P = columns(case)
        self.inputs = one_hot_pairs(a_P, b_P, case.task.sizes.tokens, config.precision)
        model = cast(NumpyMLPConfig, config.model)
        random = np.random.default_rng(case.replica.seed)
        widths = [2 * case.task.sizes.tokens, *model.hidden_widths, case.task.sizes.classes]
        self.parameters = he_normal(random, widths, config.precision)
        self.momenta = {name: np.zeros_like(p) for name, p in self.parameters.items()}
        self.batches = drawn_with_replacement(random, len(self.answer_P), case.batch)

    def update(self, count: int) -> None:
        for index_B in islice(self.batches, count):
            gradients = numpy_gradients(self.parameters, self.inputs[index_B], self.answer_P[index_B])
            for name, parameter in self.parameters.items():
                momentum = self.momenta[name]
                momentum *= self.sgd.momentum
                momentum += gradients[name]
                if name.endswith("weight"):
                    momentum += self.sgd.weight_decay * parameter
                parameter -= self.sgd.learning_rate * momentum


def drawn_with_replacement(random: np.random.Generator, examples: int, size: int) -> Iterator[np.ndarray]:
    while True:
        yield random.integers(examples, size=size)


def he_normal(random: np.random.Generator, widths: list[int], dtype: str) -> Parameters:
    """Weights (inputs, outputs) of standard deviation sqrt(2 / inputs), zero biases."""
    parameters = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        weight = random.normal(0, (2 / inputs) ** 0.5, (inputs, outputs))
        parameters[f"layer_{layer}.weight"] = weight.astype(dtype)
        parameters[f"layer_{layer}.bias"] = np.zeros(outputs, dtype)
    return parameters


def one_hot_pairs(a_P: np.ndarray, b_P: np.ndarray, tokens: int, dtype: str) -> np.ndarray:
    """[one-hot a, one-hot b], (P, 2 tokens)."""
    return np.hstack([np.eye(tokens, dtype=dtype)[operand] for operand in (a_P, b_P)])


def numpy_gradients(parameters: Parameters, x: np.ndarray, answer_B: np.ndarray) -> Parameters:
    """Backpropagation of the mean cross-entropy through ReLU layers."""
    layers, inputs = len(parameters) // 2, [x]
    for layer in range(layers - 1):
        inputs.append(np.maximum(_affine(parameters, layer, inputs[-1]), 0))
    logits_BV = _affine(parameters, layers - 1, inputs[-1])
    delta = np.exp(logits_BV - logits_BV.max(axis=1, keepdims=True))
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(answer_B)), answer_B] -= 1
    delta /= len(answer_B)
    gradients = {}
    for layer in reversed(range(layers)):
        gradients[f"layer_{layer}.weight"] = inputs[layer].T @ delta
        gradients[f"layer_{layer}.bias"] = delta.sum(axis=0)
        if layer > 0:  # the inputs are data
            delta = delta @ parameters[f"layer_{layer}.weight"].T * (inputs[layer] > 0)
    return gradients


def _affine(parameters: Parameters, layer: int, x: np.ndarray) -> np.ndarray:
    return x @ parameters[f"layer_{layer}.weight"] + parameters[f"layer_{layer}.bias"]
