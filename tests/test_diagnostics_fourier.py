"""Fourier diagnostics against the basis and projections written out, and orders that make operations sums."""

import numpy as np
import pytest
from conftest import make_task
from draws import normal_array

from grokking.data.table import all_pairs
from grokking.diagnostics import cyclic, fourier
from grokking.diagnostics.known_solutions import cosine_mlp, random_mlp

SIZES = [11, 12]  # without and with the real character (-1)^t


def exact_logits(n, width, activation="square"):
    network = cosine_mlp(n, width, activation, np.random.default_rng(0))
    return network.logits(*all_pairs(n)).reshape(n, n, n)


@pytest.mark.parametrize("n", [1, 2, 3, *SIZES, 97])
def test_basis_is_orthonormal(n):
    basis = fourier.real_basis(n)
    np.testing.assert_allclose(basis @ basis.T, np.eye(n), atol=1e-13)


@pytest.mark.parametrize("n", SIZES)
def test_power_is_the_energy_in_the_rows_of_the_basis_and_sums_to_that_of_the_table(n):
    table = normal_array(n, 5)
    energy, frequency = (fourier.real_basis(n) @ table) ** 2, fourier.row_frequencies(n)
    expected = [energy[frequency == k].sum(0) for k in range(1, n // 2 + 1)]
    np.testing.assert_allclose(fourier.power(table), expected, rtol=1e-12)
    np.testing.assert_allclose(fourier.power(table).sum(0), table.var(0) * n, rtol=1e-12)


def test_concentration_of_known_spectra():
    one, even, none = np.eye(8)[3], np.ones(8), np.zeros(8)
    power = np.stack([one, even, none, [3, 1, 0, 0, 0, 0, 0, 0]], axis=1)
    np.testing.assert_allclose(fourier.inverse_participation_ratio(power), [1, 1 / 8, 1 / 8, 10 / 16])
    np.testing.assert_allclose(fourier.gini(power)[:3], [7 / 8, 0, 0], atol=1e-15)
    np.testing.assert_array_equal(fourier.signal_to_noise(power, 1), [np.inf, 1 / 7, 1 / 7, 3])
    assert fourier.signal_to_noise(power, 2)[3] == np.inf
    assert list(fourier.key_frequencies(np.array([1.0, 5, 2, 9]), 2)) == [4, 2]


def test_gini_is_the_mean_difference_over_twice_the_mean():
    x = np.random.default_rng(0).exponential(size=20)
    expected = np.abs(np.subtract.outer(x, x)).mean() / (2 * x.mean())
    np.testing.assert_allclose(fourier.gini(x[:, None])[0], expected, rtol=1e-12)


def test_the_published_signal_to_noise_sees_the_mean_only():
    """Noise becomes as good as a solution when its mean is taken away."""
    table = normal_array(97, 512)
    assert 85 < fourier.mean_free_ratio(table) < 110
    assert fourier.mean_free_ratio(table - table.mean(0)) > 1e6
    assert fourier.mean_free_ratio(np.zeros((97, 2))) == np.inf
    before, after = (fourier.inverse_participation_ratio(fourier.power(t)) for t in (table, table + 1))
    np.testing.assert_allclose(before, after, rtol=1e-10)


def projection(n, argument):
    """Onto functions of `argument` of the pair, less the constant, as an (n², n²) matrix."""
    a, b = all_pairs(n)
    group = argument(a, b) % n
    onto = np.equal.outer(group, group) / np.bincount(group)[group]
    return onto - 1 / n**2


@pytest.mark.parametrize("n", SIZES)
def test_energies_by_dependence_are_those_of_projections(n):
    logits = normal_array(n, n, n) + 2 * normal_array(n, 1, n, seed=1) + normal_array(1, n, n, seed=2)
    centred = (logits - logits.mean((0, 1)) - logits.mean(2, keepdims=True) + logits.mean()).reshape(n * n, n)
    found = fourier.dependence_energy(logits)
    arguments = {
        "a": lambda a, b: a,
        "b": lambda a, b: b,
        "a+b": lambda a, b: a + b,
        "a-b": lambda a, b: a - b,
    }
    expected = {
        name: np.square(projection(n, of) @ centred).sum() / np.square(centred).sum()
        for name, of in arguments.items()
    }
    if n % 2 == 0:
        alternating = np.array([(-1.0) ** a for a in range(n)])
        shared = np.outer(alternating, alternating).ravel() / n
        expected["a-b"] -= np.square(shared @ centred).sum() / np.square(centred).sum()
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)
    assert fourier.sum_energy(logits) == found["a+b"]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-10)
    assert found["other"] > 0.1


@pytest.mark.parametrize("n", SIZES)
def test_spectrum_of_logits_keeps_their_energy(n):
    logits = normal_array(n, n, n)
    spectrum = fourier.spectrum_2d(logits)
    assert spectrum.sum() == pytest.approx(np.square(fourier.double_centred(logits)).sum())
    wave = np.cos(2 * np.pi * np.add.outer(2 * np.arange(n), 3 * np.arange(n)) / n)
    peaks = np.argwhere(fourier.spectrum_2d(wave[:, :, None] * normal_array(n)) > 1e-9)
    assert peaks.tolist() == [[2, 3], [n - 2, n - 3]]


@pytest.mark.parametrize(
    "argument", [(1, 1, "a+b"), (1, -1, "a-b"), (1, 0, "a"), (0, 1, "b"), (1, 2, "other")]
)
def test_functions_of_one_argument_have_all_their_energy_there(argument):
    of_a, of_b, name = argument
    a, b = all_pairs(11)
    logits = normal_array(11, 11)[(of_a * a + of_b * b) % 11].reshape(11, 11, 11)
    assert fourier.dependence_energy(logits)[name] == pytest.approx(1)


def test_logits_alike_for_all_pairs_depend_on_nothing():
    assert np.isnan(list(fourier.dependence_energy(np.ones((5, 5, 5))).values())).all()


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_shares_do_not_depend_on_scale(scale):
    table, logits = normal_array(11, 6), normal_array(11, 11, 11)
    for of in (fourier.inverse_participation_ratio, fourier.gini):
        np.testing.assert_allclose(of(fourier.power(scale * table)), of(fourier.power(table)), rtol=1e-10)
    assert fourier.sum_energy(scale * logits) == pytest.approx(fourier.sum_energy(logits))


@pytest.mark.parametrize("unit", [2, 5])
def test_relabelling_tokens_by_a_unit_permutes_frequencies(unit):
    """a -> g a is an automorphism of Z_n: what is concentrated stays so, what depends on a + b does."""
    table, logits, relabelled = normal_array(11, 6), normal_array(11, 11, 11), unit * np.arange(11) % 11
    before, after = fourier.power(table), fourier.power(table[relabelled])
    assert not np.allclose(before, after)
    np.testing.assert_allclose(np.sort(before, 0), np.sort(after, 0), rtol=1e-10)
    other = logits[relabelled][:, relabelled][:, :, relabelled]
    assert fourier.dependence_energy(other) == pytest.approx(fourier.dependence_energy(logits))


def test_rotating_an_embedding_keeps_its_summed_spectrum_but_not_each_dimension():
    network = cosine_mlp(11, 30, "square", np.random.default_rng(0))
    rotation = np.linalg.qr(normal_array(30, 30))[0]
    before, after = (fourier.power(t) for t in (network.first_a_TN, network.first_a_TN @ rotation))
    np.testing.assert_allclose(before.sum(1), after.sum(1), rtol=1e-10)
    assert fourier.inverse_participation_ratio(before).min() > 1 - 1e-12
    assert fourier.inverse_participation_ratio(after).max() < 0.9


@pytest.mark.parametrize("operation", cyclic.ORDERS)
def test_order_turns_every_operation_into_a_sum(operation):
    order = cyclic.order(operation, 13)
    table = make_task(operation, 13).equations.set_index(["a", "b"])["c"]
    n = 13 if operation in ("add", "subtract") else 12
    assert len(order.a) == len(order.b) == len(set(order.c)) == n
    for i, j in zip(*all_pairs(n), strict=True):
        assert table[order.a[i], order.b[j]] == order.c[(i + j) % n]


def test_primitive_roots():
    assert [cyclic.primitive_root(p) for p in (2, 3, 97, 113)] == [1, 2, 5, 3]
    for composite in (4, 15, 96):
        with pytest.raises(ValueError, match=f"prime modulus, but got {composite}"):
            cyclic.primitive_root(composite)
    with pytest.raises(ValueError, match="must be one of add, subtract, multiply, divide"):
        cyclic.order("power", 97)


@pytest.mark.parametrize("operation", ["multiply", "divide"])
def test_a_network_that_multiplies_looks_random_until_tokens_are_in_order(operation):
    """The exact adder of Z_96 with its tokens renamed by powers of a primitive root."""
    adder, order = cosine_mlp(96, 512, "square", np.random.default_rng(0)), cyclic.order(operation, 97)
    first_a, logits = np.zeros((97, 512)), np.zeros((97, 97, 97))
    first_a[order.a] = adder.first_a_TN
    logits[np.ix_(order.a, order.b, order.c)] = adder.logits(*all_pairs(96)).reshape(96, 96, 96)
    equations = make_task(operation, 97).equations.query("a > 0 and b > 0")
    assert (logits[equations["a"], equations["b"]].argmax(1) == equations["c"]).all()

    def concentration(table):
        return fourier.inverse_participation_ratio(fourier.power(table)).mean()

    random = random_mlp(97, 512, "square", np.random.default_rng(0))
    assert concentration(first_a) < concentration(random.first_a_TN) < 0.042  # flatter than noise
    assert concentration(first_a[order.a]) == pytest.approx(1)
    assert fourier.sum_energy(logits) < 0.05
    assert fourier.sum_energy(order.logits(logits)) > 0.75


@pytest.mark.parametrize("n", [11, 12])
def test_power_of_functions_of_both_operands_is_that_of_each_column_summed(n):
    table = normal_array(n, n, 3)
    along_a = sum(fourier.power(table[:, b]) for b in range(n))
    along_b = sum(fourier.power(table[a]) for a in range(n))
    np.testing.assert_allclose(fourier.pair_power(table), np.hstack([along_a, along_b]), rtol=1e-10)
