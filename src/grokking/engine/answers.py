"""The answers a replica is trained on: the task's, but wrong ones for a share of its training equations."""

# P equations, V classes

import numpy as np

from grokking.data.seeds import LABEL_NOISE, derived_seed
from grokking.data.tasks import Task
from grokking.experiment import Replica


def answers(replica: Replica, task: Task) -> np.ndarray:
    """Answers (P,). A share `label_noise` of the training equations has one of the V - 1 wrong answers."""
    answer_P = task.equations["c"].to_numpy().copy()
    train = np.flatnonzero(task.train_mask(replica.split_seed))
    random = np.random.default_rng(derived_seed(replica.seed, LABEL_NOISE))
    noisy = random.permutation(train)[: round(replica.config.label_noise * len(train))]
    classes = task.sizes.classes
    answer_P[noisy] = (answer_P[noisy] + random.integers(1, classes, len(noisy))) % classes
    return answer_P
