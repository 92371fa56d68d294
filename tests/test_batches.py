"""Batches: what is drawn, in which order, and on what it depends."""

import pytest
import torch

from grokking.config import ConfigError
from grokking.data.batches import (
    Batches,
    FullBatchConfig,
    WithoutReplacementConfig,
    WithReplacementConfig,
    batch_size,
    examples_seen,
    require_batch,
)

CONFIGS = [
    WithReplacementConfig("with_replacement", 8),
    WithoutReplacementConfig("without_replacement", 8, drop_last=True),
    WithoutReplacementConfig("without_replacement", 7, drop_last=False),
]


def test_a_batch_has_the_size_that_is_written():
    assert batch_size(WithReplacementConfig("with_replacement", 512), 4656) == 512
    assert batch_size(FullBatchConfig("full"), 78) == 78
    require_batch(WithReplacementConfig("with_replacement", 78), 78, "e.batch")
    with pytest.raises(ConfigError, match=r"`e.batch.size` is 79, but the task has 78 training equations"):
        require_batch(WithReplacementConfig("with_replacement", 79), 78, "e.batch")


@pytest.mark.parametrize("config", CONFIGS)
def test_a_replicas_batches_depend_on_its_seed_alone(config):
    """Also among others, and after some of them have left."""
    train_RN = torch.arange(120).view(3, 40)
    three, one = Batches(config, train_RN, [5, 6, 7]), Batches(config, train_RN[1:2], [6])
    for step in range(1, 18):
        if step == 9:
            three.select([1, 2])
        position = 1 if step < 9 else 0
        assert torch.equal(three.at(step)[position], one.at(step)[0])


@pytest.mark.parametrize("config", CONFIGS)
def test_batches_do_not_depend_on_those_before(config):
    train_RN = torch.arange(40)[None]
    in_order = Batches(config, train_RN, [3])
    for step in range(1, 200):
        batch = in_order.at(step)
        if step in (5, 6, 64, 65, 199):
            assert torch.equal(Batches(config, train_RN, [3]).at(step), batch)


@pytest.mark.parametrize("drop_last", [True, False])
def test_epochs_without_replacement_see_every_equation_once(drop_last):
    """But for those that `drop_last` leaves out: 40 equations are two batches of 15, and one of 10."""
    train_RN = torch.stack([torch.arange(40), torch.arange(100, 140)])
    batches = Batches(WithoutReplacementConfig("without_replacement", 15, drop_last), train_RN, [0, 1])
    sizes = [15, 15] if drop_last else [15, 15, 10]
    orders = []
    for epoch in range(3):
        drawn = [batches.at(len(sizes) * epoch + number + 1) for number in range(len(sizes))]
        assert [batch.shape[1] for batch in drawn] == sizes
        orders.append(torch.cat(drawn, dim=1))
        assert all(len(set(row.tolist())) == sum(sizes) for row in orders[-1])
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0][0], orders[0][1] - 100)


@pytest.mark.parametrize("config", [*CONFIGS, FullBatchConfig("full")])
def test_examples_are_counted(config):
    batches = Batches(config, torch.arange(40)[None], [3])
    for steps in (0, 1, 5, 6, 13):
        assert examples_seen(config, 40, steps) == sum(
            batches.at(step).shape[1] for step in range(1, steps + 1)
        )
