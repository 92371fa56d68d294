"""Restricted and excluded loss against projections written out, and on logits whose parts are known."""

import numpy as np
import pytest
import torch
from draws import normal_array
from torch.nn.functional import cross_entropy

from grokking.data.table import all_pairs
from grokking.diagnostics import circuit_progress
from grokking.diagnostics.known_solutions import cosine_mlp


def answers(n):
    return np.add.outer(np.arange(n), np.arange(n)) % n


def train_mask(n, fraction=0.3):
    return np.random.default_rng(1).random((n, n)) < fraction


@pytest.fixture(scope="module")
def solution():
    """Logits of the exact solution for 31, with its key frequencies being all there are."""
    network = cosine_mlp(31, 600, "square", np.random.default_rng(0))
    logits = network.logits(*all_pairs(31)).reshape(31, 31, 31)
    return 3 * logits / logits.std()


@pytest.mark.parametrize("n", [11, 12])
def test_sum_component_is_the_projection_on_the_papers_directions(n):
    """c_k = (cos cos - sin sin)/√2 and s_k = (sin cos + cos sin)/√2, of unit length on the grid."""
    logits, frequencies, expected = normal_array(n, n, n), [2, 5], 0
    for k in frequencies:
        angle = 2 * np.pi * k * np.arange(n) / n
        cos, sin = np.sqrt(2 / n) * np.cos(angle), np.sqrt(2 / n) * np.sin(angle)
        c = (np.outer(cos, cos) - np.outer(sin, sin)) / 2**0.5
        s = (np.outer(sin, cos) + np.outer(cos, sin)) / 2**0.5
        for direction in (c, s):
            assert np.square(direction).sum() == pytest.approx(1)
            expected = expected + direction[:, :, None] * np.tensordot(direction, logits, axes=2)
    np.testing.assert_allclose(circuit_progress.sum_component(logits, frequencies), expected, atol=1e-12)


@pytest.mark.parametrize("n", [11, 12])
def test_all_frequencies_are_all_functions_of_the_sum(n):
    logits, sums = normal_array(n, n, n), answers(n)
    means = np.stack([logits[sums == s].mean(0) for s in range(n)])
    expected = means[sums] - logits.mean((0, 1))
    np.testing.assert_allclose(circuit_progress.sum_component(logits, None), expected, atol=1e-12)
    every = circuit_progress.sum_component(logits, range(1, n // 2 + 1))
    np.testing.assert_allclose(every, expected, atol=1e-12)


@pytest.mark.parametrize("frequencies", [[3], None])
def test_restricted_loss_is_that_of_the_sum_component_and_each_classs_mean(frequencies):
    logits, answer, train = normal_array(11, 11, 11), answers(11) // 2, train_mask(11)
    kept = circuit_progress.sum_component(logits, frequencies) + logits.mean((0, 1))
    found = circuit_progress.restricted_loss(logits, answer, train, frequencies)
    assert found == pytest.approx(circuit_progress.part_losses(kept, answer, train), rel=1e-12)


def test_what_is_excluded_and_the_sum_component_add_up():
    logits = normal_array(11, 11, 11)
    both = circuit_progress.sum_component(logits, [3]) + circuit_progress.excluded_logits(logits, [3])
    np.testing.assert_allclose(both, logits, atol=1e-12)


def test_part_losses_are_cross_entropies():
    logits, answer, train = 5 * normal_array(11, 11, 11), answers(11), train_mask(11)
    found = circuit_progress.part_losses(logits.astype(np.float32), answer, train)
    for part, mask in {"train": train, "validation": ~train, "all": train | True}.items():
        expected = cross_entropy(torch.from_numpy(logits[mask]), torch.from_numpy(answer[mask]))
        assert found[part] == pytest.approx(expected.item(), rel=1e-6)


def test_an_exact_solution_keeps_its_loss_when_restricted_and_loses_all_when_excluded(solution):
    answer, train = answers(31), train_mask(31)
    full = circuit_progress.part_losses(solution, answer, train)
    restricted = circuit_progress.restricted_loss(solution, answer, train, None)
    excluded = circuit_progress.excluded_loss(solution, answer, train, None)
    for part in circuit_progress.PARTS:
        assert restricted[part] <= 1.05 * full[part]
        assert excluded[part] > np.log(31) > 10 * full[part]


def test_restricted_loss_sees_through_memorization(solution):
    """A weak solution under a strong memory of the training pairs and wrong noise elsewhere."""
    answer, train = answers(31), train_mask(31)
    memory = 8 * np.eye(31)[answer] * train[:, :, None] + 3 * normal_array(31, 31, 31) * ~train[:, :, None]
    logits = solution / 2 + memory
    full = circuit_progress.part_losses(logits, answer, train)
    restricted = circuit_progress.restricted_loss(logits, answer, train, None)
    excluded = circuit_progress.excluded_loss(logits, answer, train, None)
    assert full["train"] < 0.1 < full["validation"]
    assert restricted["validation"] < 0.5 * full["validation"]
    assert full["train"] < excluded["train"] < full["validation"]


def test_a_memory_alone_loses_little_when_excluded_and_knows_nothing_when_restricted():
    answer, train = answers(31), train_mask(31)
    random_labels = np.random.default_rng(0).integers(0, 31, (31, 31))
    logits = 12 * np.eye(31)[random_labels] * train[:, :, None] + normal_array(31, 31, 31)
    full = circuit_progress.part_losses(logits, random_labels, train)["train"]
    assert circuit_progress.excluded_loss(logits, random_labels, train, None)["train"] < full + 0.2
    restricted = circuit_progress.restricted_loss(logits, answer, train, None)
    assert restricted["validation"] == pytest.approx(np.log(31), rel=0.05)


@pytest.mark.parametrize("n", [11, 12])
def test_power_of_the_sum_component_is_its_energy_frequency_by_frequency(n):
    logits = normal_array(n, n, n)
    found = circuit_progress.sum_power(logits)
    for k in range(1, n // 2 + 1):
        part = circuit_progress.sum_component(logits, [k])
        part = part - part.mean(-1, keepdims=True)
        assert found[k - 1] == pytest.approx(np.square(part).sum())


def test_key_frequencies_are_the_fewest_that_hold_the_share():
    power = np.array([1.0, 6.0, 0.5, 2.5])
    assert circuit_progress.key_frequencies(power, 0.5).tolist() == [2]
    assert circuit_progress.key_frequencies(power, 0.61).tolist() == [2, 4]
    assert circuit_progress.key_frequencies(power, 0.99).tolist() == [2, 4, 1, 3]
