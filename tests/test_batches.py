"""Batches: what is drawn, in which order, and on what it depends; the random integers behind them."""

from itertools import islice

import numpy as np
import pytest
import torch
from reference import splitmix64, splitmix64_output

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
from grokking.data.random import random_integers

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


def test_with_replacement_every_equation_is_drawn_equally_often():
    """Over 2,000 batches of 8, in every place of a batch (5 standard deviations)."""
    batches = Batches(CONFIGS[0], torch.arange(100, 140)[None], [3])
    drawn = torch.cat([batches.at(step) for step in range(1, 2001)]).numpy() - 100
    assert (drawn.min(), drawn.max()) == (0, 39)
    for place in drawn.T:
        share = np.bincount(place, minlength=40) / 2000
        assert abs(share - 1 / 40).max() < 5 * (1 / 40 * 39 / 40 / 2000) ** 0.5


def test_without_replacement_every_equation_is_equally_often_first():
    """Over 2,000 epochs, the first and the last of an epoch (5 standard deviations)."""
    config = WithoutReplacementConfig("without_replacement", 40, drop_last=True)
    batches = Batches(config, torch.arange(40)[None], [3])
    epochs = torch.cat([batches.at(step) for step in range(1, 2001)]).numpy()
    for place in (0, 20, 39):
        share = np.bincount(epochs[:, place], minlength=40) / 2000
        assert abs(share - 1 / 40).max() < 5 * (1 / 40 * 39 / 40 / 2000) ** 0.5


def test_an_epoch_tells_nothing_of_another():
    """Neither as it is nor shifted: the places of an equation do not correlate (5 standard deviations).

    Seeds 3 and 4 are as independent as two epochs of one seed.
    """
    config = WithoutReplacementConfig("without_replacement", 200, drop_last=True)
    batches = Batches(config, torch.arange(200).repeat(2, 1), [3, 4])
    places = [order.argsort() for step in (1, 2, 3) for order in batches.at(step).numpy()]
    assert max(largest_of_shifts(correlation, places)) < 5 / 199**0.5


def test_a_block_of_batches_tells_nothing_of_another():
    """Batches with replacement are drawn 64 at a time; no block is a shifted copy of another."""
    config = WithReplacementConfig("with_replacement", 8)
    batches = Batches(config, torch.arange(40).repeat(2, 1), [3, 4])
    drawn = torch.stack([batches.at(step) for step in range(1, 3 * 64 + 1)], dim=1)  # replicas, steps, 8
    blocks = drawn.view(2 * 3, 64 * 8).numpy()
    chance, spread = 1 / 40, (1 / 40 * 39 / 40 / 512) ** 0.5
    assert max(largest_of_shifts(agreement, blocks)) < chance + 5 * spread


def largest_of_shifts(likeness, rows):
    """The largest likeness of any two rows, for each shift of one of them."""
    for shift in range(len(rows[0])):
        yield max(likeness(np.roll(one, shift), other) for i, one in enumerate(rows) for other in rows[:i])


def correlation(one, other):
    centred, middle = one - one.mean(), other - other.mean()
    return centred @ middle / (len(one) * one.std() * other.std())


def agreement(one, other):
    return (one == other).mean()


def test_the_twin_of_splitmix64_gives_its_published_numbers():
    """Of seed 0; the integers of key 0 are these without their highest bit."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert list(islice(splitmix64(0), 3)) == published
    ours = random_integers(torch.tensor([0]), 0, 3)
    assert ours.tolist() == [[number & ~(1 << 63) for number in published]]


@pytest.mark.parametrize("first", [0, 1, 5000])
def test_random_integers_are_those_of_splitmix64(first):
    """Each key's sequence starts from its own state, from any entry on."""
    keys = [1, 2, 2**32 - 1]
    ours = random_integers(torch.tensor(keys), first, 20)
    for key, row in zip(keys, ours.tolist(), strict=True):
        sequence = islice(splitmix64(splitmix64_output(key)), first, first + 20)
        assert row == [number % 2**63 for number in sequence]
