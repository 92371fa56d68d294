"""The fast signed-rank test against scipy's, which goes through all choices of signs."""

import itertools

import numpy as np
import pytest
import scipy.stats
from optuna.pruners import _wilcoxon

from benchmarks import signed_rank


def differences(pairs, seed):
    """Whole numbers, so that sizes tie, and some are 0."""
    return np.random.default_rng(seed).integers(-3, 5, pairs).astype(float)


@pytest.mark.parametrize("alternative", ["less", "greater"])
@pytest.mark.parametrize("pairs", [2, 3, 5, 8, 13])
def test_p_values_are_scipys(pairs, alternative):
    for seed in range(4 if pairs < 13 else 1):  # scipy takes a second for 13
        difference_N = differences(pairs, seed)
        expected = scipy.stats.wilcoxon(difference_N, alternative=alternative, zero_method="zsplit").pvalue
        found = signed_rank.wilcoxon(difference_N, alternative, "zsplit").pvalue
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("difference_N", [differences(14, 0), np.array([1.0, -2.0, 3.5])])
def test_many_pairs_and_those_without_ties_are_left_to_scipy(monkeypatch, difference_N):
    asked = []
    monkeypatch.setattr(signed_rank, "SCIPYS", lambda *given, **named: asked.append(named))
    signed_rank.wilcoxon(difference_N, "less", "zsplit")
    assert asked == [{"alternative": "less", "zero_method": "zsplit"}]


def test_nothing_but_zeros_has_no_direction():
    assert signed_rank.wilcoxon(np.zeros(4), "less", "zsplit").pvalue == 1


def test_rank_sums_are_counted_over_all_choices_of_signs():
    ranks = np.array([1, 3, 3, 6])
    count = np.zeros(ranks.sum() + 1)
    for chosen in itertools.product([0, 1], repeat=len(ranks)):
        count[ranks @ chosen] += 1
    assert signed_rank.signs_by_rank_sum(ranks).tolist() == count.tolist()


def test_optuna_asks_for_the_fast_test_and_only_meanwhile():
    with signed_rank.fast_wilcoxon():
        assert _wilcoxon.ss.wilcoxon is signed_rank.wilcoxon
    assert _wilcoxon.ss.wilcoxon is signed_rank.SCIPYS
