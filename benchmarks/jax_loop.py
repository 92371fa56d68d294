"""The same networks as one would write them with JAX: another loop that the engine is compared with.

Runs in an environment of its own (`jax_environment.py`), so it imports nothing of the project but
`timing`. Called as `python -m benchmarks.jax_loop <folder>` it trains the problem in that folder, which
`jax_environment.export` wrote, a block whenever it is asked to. With `--check` it trains on the batches in
the folder and leaves the logits of all training equations there.
"""

# B examples, P training equations, S steps, T positions, D width, H heads, d width of a head, V classes

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax  # type: ignore[import-not-found]
import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np
import optax  # type: ignore[import-not-found]

from benchmarks.timing import serve

SCANNED = 20  # steps in one call of the compiled function
Array = Any  # jax.Array, which the project's environment does not know
Params = Any  # a dict of arrays, by the names of the plain model; dense weights are (inputs, outputs)
Model = Any  # the family's configuration, a dict
Network = Callable[[Params, Model, Array, Array], Array]  # operands (B,), (B,) -> logits (B, V)


def one_hot_mlp(params: Params, model: Model, a_B: Array, b_B: Array) -> Array:
    """A one-hot input selects a row of the first weight matrix."""
    weight = params["layers.0.weight"]
    x = weight[a_B] + weight[len(weight) // 2 + b_B] + params["layers.0.bias"]
    return _after_first(params, x, model)


def embedding_mlp(params: Params, model: Model, a_B: Array, b_B: Array) -> Array:
    embedding_a = params["embedding_a.weight"]
    a, b = embedding_a[a_B], params.get("embedding_b.weight", embedding_a)[b_B]
    x = a + b if model["combine"] == "sum" else jnp.concatenate([a, b], axis=1)
    return _after_first(params, _dense(params, "layers.0", x), model)


def transformer(params: Params, model: Model, a_B: Array, b_B: Array) -> Array:
    """Pre-norm, on the tokens a, operator, b, "="; the answer is read at "="."""
    token, width = params["token.weight"], model["width"]
    operator, equals = (jnp.full_like(a_B, len(token) - last) for last in (2, 1))
    x_BTD = token[jnp.stack([a_B, operator, b_B, equals], axis=1)] + params["position"]
    for layer in range(model["layers"]):
        block = f"blocks.{layer}"
        normed_BTD = _norm(params, f"{block}.attention_norm", x_BTD)
        qkv = _dense(params, f"{block}.query_key_value", normed_BTD)
        query, key, value = (
            part.reshape(*part.shape[:2], model["heads"], -1) for part in jnp.split(qkv, 3, -1)
        )
        attended_BTHd = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        x_BTD += _dense(params, f"{block}.output", attended_BTHd.reshape(-1, 4, width))
        hidden = _dense(params, f"{block}.mlp.0", _norm(params, f"{block}.mlp_norm", x_BTD))
        x_BTD += _dense(params, f"{block}.mlp.2", jax.nn.gelu(hidden, approximate=False))
    return _dense(params, "unembedding", _norm(params, "last_norm", x_BTD[:, -1]))


NETWORKS: dict[str, Network] = {
    "one_hot_mlp": one_hot_mlp,
    "embedding_mlp": embedding_mlp,
    "transformer": transformer,
}


def _after_first(params: Params, x: Array, model: Model) -> Array:
    """The layers of an MLP after the first, with ReLU before each."""
    for layer in range(len(model["hidden_widths"])):
        x = _dense(params, f"layers.{2 * layer + 2}", jax.nn.relu(x))  # ReLUs have the odd numbers
    return x


def _dense(params: Params, name: str, x: Array) -> Array:
    return x @ params[f"{name}.weight"] + params[f"{name}.bias"]


def _norm(params: Params, name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * params[f"{name}.weight"] + params[f"{name}.bias"]


class JaxLoop:
    """One network and AdamW; many steps in one compiled function."""

    def __init__(self, folder: Path) -> None:
        self.problem = json.loads((folder / "problem.json").read_text())
        arrays = dict(np.load(folder / "arrays.npz"))
        self.a_P, self.b_P, self.answer_P = (jnp.asarray(arrays.pop(name)) for name in ("a", "b", "answer"))
        params = {name: jnp.asarray(array) for name, array in arrays.items()}
        self.network = NETWORKS[self.problem["model"]["family"]]
        adam = self.problem["optimizer"]
        self.optimizer = optax.adamw(
            self._learning_rate,
            adam["beta1"],
            adam["beta2"],
            adam["epsilon"],
            weight_decay=adam["weight_decay"],
        )
        self.state = params, self.optimizer.init(params)
        self.train = jax.jit(self._scan, static_argnames="steps", donate_argnums=0)
        self.batches = BATCHES[self.problem["sampling"]](len(self.a_P), self.problem["batch"])

    def update(self, count: int) -> None:
        """Train count times `SCANNED` steps."""
        for _ in range(count):
            self.state = self.train(self.state, self.batches(), steps=SCANNED)
        jax.block_until_ready(self.state)

    def logits(self, params: Params, index_B: Array = slice(None)) -> Array:
        return self.network(params, self.problem["model"], self.a_P[index_B], self.b_P[index_B])

    def _scan(self, state: Any, index_SB: Array, steps: int) -> Any:
        return jax.lax.scan(self._step, state, index_SB, length=steps)[0]

    def _step(self, state: Any, index_B: Array) -> tuple[Any, None]:
        params, moments = state
        grads = jax.grad(self._loss)(params, slice(None) if index_B is None else index_B)
        updates, moments = self.optimizer.update(grads, moments, params)
        return (optax.apply_updates(params, updates), moments), None

    def _loss(self, params: Params, index_B: Array) -> Array:
        logits_BV, answer_B = self.logits(params, index_B), self.answer_P[index_B]
        return optax.softmax_cross_entropy_with_integer_labels(logits_BV, answer_B).mean()

    def _learning_rate(self, updates_before: Array) -> Array:
        """As `grokking.updates.schedules` has it."""
        step, schedule = updates_before + 1, self.problem["schedule"]
        warmup, budget = schedule["warmup_steps"], self.problem["budget"]
        progress = (step - warmup) / max(1, budget - warmup)
        decay = 0.5 * (1 + jnp.cos(jnp.pi * progress)) if schedule["name"] == "cosine" else 1.0
        return self.problem["optimizer"]["learning_rate"] * jnp.where(
            step <= warmup, step / max(1, warmup), decay
        )


def _full(examples: int, size: int) -> Callable[[], None]:
    """No index: every batch is everything."""
    return lambda: None


def _with_replacement(examples: int, size: int) -> Callable[[], np.ndarray]:
    random = np.random.default_rng(0)
    return lambda: random.integers(examples, size=(SCANNED, size))


def _without_replacement(examples: int, size: int) -> Callable[[], np.ndarray]:
    """Whole epochs, as many as the steps need; what is left of the last is dropped."""
    random, per_epoch = np.random.default_rng(0), examples // size
    epochs = -(-SCANNED // per_epoch)

    def draw() -> np.ndarray:
        orders = [random.permutation(examples)[: per_epoch * size] for _ in range(epochs)]
        return np.concatenate(orders).reshape(-1, size)[:SCANNED]

    return draw


BATCHES: dict[str, Callable[[int, int], Callable[[], np.ndarray | None]]] = {
    "full": _full,
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,
}


def check(folder: Path) -> None:
    """Train on the folder's own batches (S, B); leave the logits (P, V) there."""
    loop, index_SB = JaxLoop(folder), np.load(folder / "batches.npy")
    params, _ = loop.train(loop.state, index_SB, steps=len(index_SB))
    np.save(folder / "logits.npy", np.asarray(loop.logits(params)))


def main(folder: str, mode: str = "") -> None:
    if mode == "--check":
        check(Path(folder))
    else:
        serve(JaxLoop(Path(folder)).update, steps=SCANNED)


if __name__ == "__main__":
    main(*sys.argv[1:])
