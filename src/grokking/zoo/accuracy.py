"""How good a network is, on all equations of its task."""

# P equations, V classes

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.events import ACCURACY_THRESHOLD
from grokking.experiment import Replica
from grokking.models.model import Model

GENERALIZED, MEMORIZED, NEITHER, DIVERGED = "generalized", "memorized only", "neither", "diverged"


class Accuracy(NamedTuple):
    """Shares of the equations of each part whose largest logit is the answer, in [0, 1]."""

    train: float
    validation: float


def equations_of(replica: Replica, task: Task) -> pd.DataFrame:
    """Columns a, b, c; `label`, the answer that this replica was given, which may be wrong; `train`."""
    label, train = answers(replica, task), task.train_mask(replica.split_seed)
    return task.equations[["a", "b", "c"]].assign(label=label, train=train)


@torch.no_grad()
def accuracy_of(network: Model, equations: pd.DataFrame) -> Accuracy:
    """On the equations trained on and on the others, by the labels that the network was given."""
    pairs = (torch.tensor(equations[name].to_numpy()) for name in "ab")
    right_P = network(*pairs).argmax(-1).numpy() == equations["label"].to_numpy()
    train_P = equations["train"].to_numpy()
    return Accuracy(float(right_P[train_P].mean()), float(right_P[~train_P].mean()))


def verdict(accuracy: Accuracy, parameters: Mapping[str, np.ndarray]) -> str:
    """What this network is, by the threshold of memorization and generalization."""
    if not all(np.isfinite(array).all() for array in parameters.values()):
        return DIVERGED
    if accuracy.validation >= ACCURACY_THRESHOLD:
        return GENERALIZED
    return MEMORIZED if accuracy.train >= ACCURACY_THRESHOLD else NEITHER
