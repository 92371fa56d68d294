"""Recorded updates on a GPU against the same updates made one by one."""

import pytest
import torch
from examples import BATCHES, FILTERS, MODELS, OPTIMIZERS, experiment

from grokking.engine.stack import ReplicaStack
from grokking.experiment import expand

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def trained(stack, recorded, steps=9):
    """The parameters after a few updates; one replica of three leaves in between."""
    for step in range(1, steps + 1):
        if step == 5:
            stack.select([0, 2])
        if not recorded:
            stack.update_on_batch = stack._forward_backward_apply
        stack.update(1)
    return stack.params.data


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("gradient_filter", FILTERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("family", MODELS)
def test_recorded_updates_have_the_same_bits(family, optimizer, gradient_filter, batch, tiny_task):
    """With warm-up, so that learning rates change from step to step."""
    if (family, optimizer) == ("numpy_mlp", "muon"):
        pytest.skip("refused: it has no dense layers of torch")
    replicas = expand(
        experiment(
            family,
            optimizer,
            batch=batch,
            seeds=(3, 4, 5),
            gradient_filter=FILTERS[gradient_filter],
            schedule={"name": "cosine", "warmup_steps": 3},
        ),
        "e",
    )
    one_by_one = trained(ReplicaStack(replicas, tiny_task, "cuda"), recorded=False)
    for _ in range(2):  # and two runs have the same bits
        assert torch.equal(trained(ReplicaStack(replicas, tiny_task, "cuda"), recorded=True), one_by_one)
