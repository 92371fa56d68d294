"""Digests of tiny replicas, one of every kind there is.

What there is comes from the registries of the code, an example of each from tests/examples.py.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.experiment import Replica, expand, with_values
from grokking.models import FAMILIES
from grokking.models.layers import ACTIVATIONS
from grokking.models.transformer import TRANSFORMER_INITIALISATIONS
from grokking.search.monitored_task import monitored
from grokking.training.history import replica_table
from grokking.training.loop import train
from grokking.updates.gradient_filters import FILTERS
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OPTIMIZERS
from grokking.updates.projections import PROJECTIONS
from grokking.updates.schedules import SCHEDULES
from grokking.updates.weight_clamps import CLAMPS
from refactoring.sha256 import Digests, sha256
from refactoring.tasks import sums
from tests import examples

BUDGET = 8  # updates, for all but one; the window of an averaging filter is full before

# Registries whose entries have keys of their own, and where an example of each is
REGISTRIES: dict[str, tuple[Collection[str], Mapping[str, Any]]] = {
    "MODELS": (FAMILIES, examples.MODELS),
    "OPTIMIZERS": (OPTIMIZERS, examples.OPTIMIZERS),
    "FILTERS": (FILTERS, examples.FILTERS),
    "CLAMPS": (CLAMPS, examples.CLAMPS),
    "SCHEDULES": (SCHEDULES, examples.SCHEDULES),
}

# What is changed in an experiment of every family, by dotted key; families without the key leave it out
CHANGES: dict[str, Mapping[str, Any]] = {
    "gradient_filter": examples.FILTERS,
    "gradient_projection": {name: name for name in PROJECTIONS},
    "weight_clamp": examples.CLAMPS,
    "frozen": {name: name for name in ("first_layer", "readout")},
    "schedule": examples.SCHEDULES,
    "batch": examples.BATCHES,
    "label_noise": {"some": 0.2},
    "precision": {"float64": "float64"},
    "loss_precision": {"float32": "float32"},
    "matmul_precision": {"bfloat16": "bfloat16"},
    "model.activation": {name: name for name in ACTIVATIONS},
    "model.initialisation": {name: name for name in TRANSFORMER_INITIALISATIONS},
    "model.init_scale": {"half": 0.5},
    "model.output_scale": {"double": 2.0},
    "model.embedding_std": {"one": 1.0},
    "model.alpha": {"half": 0.5},
    "model.bias": {"no": False, "blocks": "blocks"},
    "model.tables": {name: name for name in ("separate", "shared")},
    "model.combine": {name: name for name in ("sum", "concatenate")},
    "model.norm": {name: name for name in ("none", "pre", "post")},
    "model.tied_unembedding": {"yes": True},
}


@dataclass(frozen=True)
class Example:
    """An experiment as it would stand in params.yaml, and the modulus of the sums it is trained on."""

    name: str  # words for what it shows
    experiment: dict[str, Any]
    modulus: int = 7
    prepare: Callable[[Task], Task] = lambda task: task


def every_kind() -> Digests:
    """Every example that the configuration accepts.

    Raises ConfigError for what is registered without an example, and for what no accepted example shows.
    """
    for place, (registered, known) in REGISTRIES.items():
        for name in registered:
            if name not in known:
                raise ConfigError(f"`{name}` has no example; add one to {place} in tests/examples.py")
    found: Digests = {}
    refused: dict[str, ConfigError] = {}
    for example in [*combinations(), *changes(), *situations()]:
        try:
            replicas = expand(example.experiment, example.name)
        except ConfigError as error:
            refused = dict.fromkeys(example.name.split(), error) | refused
        else:
            found[example.name] = trained(replicas, example.prepare(sums(example.modulus)))
    shown = {word for name in found for word in name.split()}
    for word in refused:
        if word not in shown:
            raise ConfigError(f"no example of `{word}` is valid: {refused[word]}")
    return found


def combinations() -> Iterator[Example]:
    """Every family with every optimizer and every loss."""
    for family, optimizer, loss in itertools.product(examples.MODELS, examples.OPTIMIZERS, LOSSES):
        yield Example(f"{family} {optimizer} {loss}", small(family, optimizer, loss=loss))


def changes() -> Iterator[Example]:
    """Every family with one thing changed."""
    for family, (key, values) in itertools.product(examples.MODELS, CHANGES.items()):
        for name, value in values.items():
            changed = with_values(small(family, "sgd"), {key: value}, "CHANGES")
            yield Example(f"{family} {key}={name}", changed)


def situations() -> Iterator[Example]:
    """What a replica may come to: company in its stack, sampled evaluations, generalization, divergence."""
    for family in examples.MODELS:
        rates = {"optimizer.learning_rate": [0.05, 0.1]}
        yield Example(f"{family} stack", small(family, "sgd", seeds=(0, 1), grid=rates))
        batches = small(family, "sgd", batch="without_replacement")
        yield Example(f"{family} sampled", batches, modulus=29)
    diverging = with_values(small(optimizer="sgd"), {"optimizer.learning_rate": 1e30}, "situations")
    yield Example("diverging", diverging)
    yield Example("monitored", small(), modulus=11, prepare=monitored)
    quadratic = {
        "model.hidden_widths": [64], "model.activation": "square", "model.alpha": 0.0,
        "model.initialisation": "standard_normal", "model.init_scale": 0.05,
        "optimizer.weight_decay": 5.0, "budget": 600,
    }  # fmt: skip
    fast = with_values(small(loss="mean_squared_error"), quadratic, "situations")
    yield Example("generalising", fast, modulus=23)


def small(family: str = "one_hot_mlp", optimizer: str = "adamw", **changes: Any) -> dict[str, Any]:
    """An example in the precision that experiments are trained in."""
    shared: dict[str, Any] = {"precision": "float32", "budget": BUDGET}
    return examples.experiment(family, optimizer, **shared | changes)


def trained(replicas: list[Replica], task: Task) -> dict[str, str]:
    """Digests of all that training leaves but its seconds; the one place that knows how to train."""
    evaluations = list(train(replicas, task, "cpu"))
    history = [(e.replica, e.step, e.metrics) for e in evaluations]
    outcomes = replica_table(replicas, evaluations, task).drop(columns=["seconds", *replicas[0].row()])
    networks = [
        (f"{e.replica} {e.step} {name} {array.dtype} {array.shape}", array.tobytes())
        for e in evaluations
        for name, array in sorted((e.parameters or {}).items())
    ]
    return {
        "parameters": sha256(part for name, array in networks for part in (name.encode(), array)),
        "history": sha256([json.dumps(history, sort_keys=True).encode()]),
        "outcomes": sha256([repr(outcomes.to_dict("records")).encode()]),
    }
