"""Floating-point operations of training, counted in the dense layers."""

from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.models import FAMILIES

FORWARD_AND_BACKWARD = 3  # a backward pass costs two forward passes
FLOP_PER_MULTIPLY_ADD = 2


def flops_per_example(replica: Replica, task: Task) -> int:
    """FLOP of one example's forward and backward pass."""
    model = replica.config.model
    multiply_adds = FAMILIES[model.family].multiply_adds(model, task.sizes)
    return FORWARD_AND_BACKWARD * FLOP_PER_MULTIPLY_ADD * multiply_adds
