"""How the benchmarks call the engine; `worker.py` says how they call that of an earlier commit."""

# R replicas, B examples, S steps

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import Case
from grokking.data.tasks import Task
from grokking.engine.stack import ReplicaStack
from grokking.experiment import Replica


def make_stack(replicas: list[Replica], task: Task, device: str) -> ReplicaStack:
    """The engine with these replicas, before their first update."""
    return ReplicaStack(replicas, task, device)


def batches(case: Case, stack: Any, steps: int) -> Tensor:
    """What the engine trains on in its first steps (S, B), as positions among the training equations."""
    train = torch.tensor(np.flatnonzero(case.task.train_mask(case.replica.split_seed)))
    rows_SB = torch.cat([stack.batches.at(step) for step in range(1, steps + 1)])
    return torch.searchsorted(train, rows_SB)


def in_double(inputs: Tensor) -> Tensor:
    """Dense inputs in float64; indices of tokens as they are."""
    return inputs.double() if inputs.is_floating_point() else inputs


def plain_parameters(snapshot: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The engine's parameters of one replica under the names and in the layout of the plain model."""
    ours = {name: torch.tensor(array) for name, array in snapshot.items()}
    return dict(_transformer(ours)) if "token" in ours else _mlp(ours)


def _mlp(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The one-hot MLP's first weight has a row per token, that of nn.Linear a column."""
    named = {}
    for name, parameter in ours.items():
        *path, kind = name.split(".")
        if path == ["first"]:
            named[f"layers.0.{kind}"] = parameter
        elif path:
            named[f"layers.{2 * int(path[1]) + 2}.{kind}"] = parameter  # ReLUs have the odd numbers
    if "embedding_a" not in ours:
        return named | {"layers.0.weight": ours["first.weight"].T}
    embedding_b = ours.get("embedding_b", ours["embedding_a"])
    return named | {"embedding_a.weight": ours["embedding_a"], "embedding_b.weight": embedding_b}


def _transformer(ours: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Queries, keys and values are one layer of the plain model."""
    other = {"token": "token.weight", "up": "mlp.0", "down": "mlp.2", "gain": "weight"}
    for name, parameter in ours.items():
        if ".query." in name:
            key_value = ours[name.replace(".query.", ".key_value.")]
            yield name.replace(".query.", ".query_key_value."), torch.cat([parameter, key_value])
        elif ".key_value." not in name:
            yield ".".join(other.get(piece, piece) for piece in name.split(".")), parameter
