"""Ranks, parallelograms and circles on shapes that are known."""

import numpy as np
import pytest
from draws import normal_array
from numpy.testing import assert_allclose

from grokking.data.table import all_pairs
from grokking.diagnostics import fourier, geometry, spectrum
from grokking.diagnostics.known_solutions import cosine_mlp


def rotation(size):
    return np.linalg.qr(normal_array(size, size, seed=9))[0]


def circles(n, frequencies, dimensions=8):
    """Tokens on a circle per frequency, each in a plane of its own, of radii 1, 2, ..."""
    angle = 2 * np.pi * np.outer(np.arange(n), frequencies) / n
    radius = 1 + np.arange(len(frequencies))
    table = np.zeros((n, dimensions))
    table[:, : 2 * len(frequencies)] = np.hstack([radius * np.cos(angle), radius * np.sin(angle)])
    return table


def phase_quality(table, frequencies):
    return geometry.phase_quality(table, frequencies, fourier.power(table).sum(1))


def test_effective_ranks_of_known_singular_values():
    matrix = rotation(5) @ np.diag([3.0, 2, 1, 0, 0]) @ rotation(5).T
    found = np.linalg.svd(matrix, compute_uv=False)
    for power, weights in ((1, [3, 2, 1]), (2, [9, 4, 1])):
        p = np.array(weights) / sum(weights)
        rank = spectrum.effective_rank(found**power)
        assert rank == pytest.approx(np.exp(-(p * np.log(p)).sum()))
        assert spectrum.effective_rank((7 * found) ** power) == pytest.approx(rank)
    assert spectrum.effective_rank(np.ones(7)) == pytest.approx(7)


def test_participation_ratio_counts_directions_of_equal_variance():
    hidden = np.zeros((400, 10))
    hidden[:, :4] = np.linalg.qr(normal_array(400, 4) - normal_array(400, 4).mean(0))[0]
    hidden -= hidden.mean(0)
    hidden[:, :4] = np.linalg.qr(hidden[:, :4])[0]
    assert spectrum.participation_ratio(5 * hidden @ rotation(10) + 3) == pytest.approx(4)
    values = np.linalg.eigvalsh(np.cov(normal_array(50, 6).T))
    assert spectrum.participation_ratio(normal_array(50, 6)) == pytest.approx(
        values.sum() ** 2 / (values**2).sum()
    )


def plain_rqi(table):
    """Every quadruple, as in the authors' loops."""
    n, scaled = len(table), (table - table.mean(0)) / table.std(0, ddof=1)
    gaps = [
        np.square(scaled[i] + scaled[k] - scaled[j] - scaled[m]).mean()
        for i in range(n)
        for j in range(i + 1, n)
        for m in range(j, n)
        for k in range(m + 1, n)
        if i + k == j + m
    ]
    return (np.array(gaps) < 0.01).mean()


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 5.0])
def test_rqi_is_that_of_the_authors_loops(noise):
    table = np.arange(11)[:, None] / 3 * np.array([[1.0, -2]]) + noise * normal_array(11, 2)
    assert geometry.parallelogram_quality(table) == plain_rqi(table)


def test_rqi_sees_lines_and_not_circles():
    line = np.arange(31)[:, None] * normal_array(1, 6) + 1
    assert geometry.parallelogram_quality(line) == 1
    assert geometry.parallelogram_quality(line * np.exp(normal_array(6))) == 1
    assert geometry.parallelogram_quality(np.hstack([line, np.ones((31, 1))])) == 1  # a constant dimension
    assert geometry.parallelogram_quality(circles(31, [3], 2)) < 0.05
    assert phase_quality(circles(31, [3], 2), [3]) == 1


def test_plane_puts_tokens_of_an_ellipse_on_the_unit_circle():
    table = circles(31, [4, 7]) @ rotation(8) * 5
    expected = np.exp(2j * np.pi * 7 * np.arange(31) / 31)
    assert_allclose(geometry.plane(table, 7), expected, atol=1e-10)
    skewed = circles(31, [7]) @ normal_array(8, 8)
    assert_allclose(geometry.plane(skewed, 7), expected, atol=1e-10)


def test_phase_quality_counts_quadruples_of_the_modulus():
    table = circles(13, [5]) + 0.1 * normal_array(13, 8)
    z = geometry.plane(table, 5)
    z /= np.abs(z)
    products = {s: [(a, (s - a) % 13) for a in range(13) if a <= (s - a) % 13] for s in range(13)}
    agreed = [
        abs(z[a] * z[b] - z[c] * z[d]) < 0.1
        for pairs in products.values()
        for at, (a, b) in enumerate(pairs)
        for c, d in pairs[:at]
    ]
    assert 0.05 < np.mean(agreed) < 0.95
    assert phase_quality(table, [5]) == pytest.approx(np.mean(agreed))


def test_phase_quality_weighs_frequencies_and_does_not_change_with_basis_scale_or_labels():
    table = circles(31, [3, 5]) + 0.15 * normal_array(31, 8)
    alone, power = [phase_quality(table, [k]) for k in (3, 5)], fourier.power(table).sum(1)
    expected = np.average(alone, weights=power[[2, 4]])
    assert phase_quality(table, [3, 5]) == pytest.approx(expected)
    assert phase_quality(7 * table @ rotation(8), [3, 5]) == pytest.approx(expected)
    relabelled = table[2 * np.arange(31) % 31]
    assert phase_quality(relabelled, [6, 10]) == pytest.approx(expected)


def test_hidden_quality_counts_near_pairs_of_equal_answer():
    answer = np.arange(40) % 8
    hidden = normal_array(8, 5)[answer] + 0.15 * normal_array(40, 5)
    gaps = np.square(hidden[:, None] - hidden).sum(-1)
    distinct = ~np.eye(40, dtype=bool)
    same = np.equal.outer(answer, answer) & distinct
    expected = (gaps[same] < 0.1 * gaps[distinct].mean()).mean()
    assert 0.1 < geometry.hidden_quality(normal_array(8, 5)[answer] + 0.4 * normal_array(40, 5), answer) < 0.9
    assert geometry.hidden_quality(hidden, answer) == pytest.approx(expected)
    assert geometry.hidden_quality(3 * hidden @ rotation(5) + 1, answer) == pytest.approx(expected)
    assert geometry.hidden_quality(np.eye(8)[answer], answer) == 1


def test_circularity_is_one_on_circles_in_any_basis():
    assert geometry.circularity(circles(31, [3, 5]) @ rotation(8) + 2, 4) == pytest.approx(1)
    assert geometry.circularity(normal_array(31, 8), 4) < 0.4


def test_gradient_symmetricity_is_the_mean_cosine():
    one, two = np.array([[1.0, 0], [3, 4], [0, 0]]), np.array([[2.0, 0], [4, -3], [1, 1]])
    assert geometry.gradient_symmetricity(one, two) == pytest.approx(0.5)
    assert geometry.gradient_symmetricity(one, -5 * one) == pytest.approx(-1)


def test_distance_irrelevance_of_logits_of_one_argument():
    """Right logits that depend on a + b only vary as much at each difference as over all pairs."""
    n, a = 11, np.arange(11)
    of_sum, of_difference = np.add.outer(a, a) % n, np.subtract.outer(a, a) % n
    values = normal_array(n)
    for argument, expected in ((of_sum, 1), (of_difference, 0)):
        logits = np.repeat(values[argument][:, :, None], n, axis=2)
        assert geometry.distance_irrelevance(logits) == pytest.approx(expected, abs=1e-12)
    logits, right = normal_array(n, n, n), np.empty((n, n))
    for i in range(n):
        for j in range(n):
            right[(j - i) % n, i] = logits[i, j, (i + j) % n]
    assert geometry.distance_irrelevance(logits) == pytest.approx(right.std(1).mean() / right.std())


def test_the_adder_shares_circles_not_parallelograms():
    network = cosine_mlp(31, 64, "relu", np.random.default_rng(0))
    assert phase_quality(network.first_a_TN @ rotation(64), range(1, 16)) == pytest.approx(1)
    assert geometry.parallelogram_quality(network.first_a_TN) < 0.02
    assert len(network.hidden(*all_pairs(31))) == 31**2
