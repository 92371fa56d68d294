"""What diagnostics say of networks whose solution is known, at system 2's size."""

from pathlib import Path

import numpy as np
import pytest

from grokking.data.table import all_pairs
from grokking.diagnostics import known_solutions, sensitivity

PAGE = Path(__file__).parents[1] / "docs" / "diagnostics.md"


@pytest.fixture(scope="module")
def table():
    return sensitivity.table()


def of(table, diagnostic):
    """Its values by activation: exact, memorizing, random."""
    return {
        activation: table.loc[
            diagnostic, [f"{activation}, {kind}" for kind in ("exact", "memorizing", "random")]
        ]
        for activation in sensitivity.ACTIVATIONS
    }


@pytest.mark.parametrize(
    ("diagnostic", "square", "relu", "others_below"),
    [
        ("neuron_ipr", 1.00, 1.00, 0.042),
        ("class_alignment", 0.57, 0.17, 0.02),
        ("r_sum", 0.80, 0.44, 0.01),
        ("ntk/whole", 0.28, 0.09, 0.02),
    ],
)
def test_what_sees_the_solution(table, diagnostic, square, relu, others_below):
    found = of(table, diagnostic)
    for activation, expected in {"square": square, "relu": relu}.items():
        exact, memorizing, random = found[activation]
        assert exact == pytest.approx(expected, abs=0.006)
        assert 0 < memorizing < others_below
        assert 0 < random < others_below


@pytest.mark.parametrize(("activation", "below"), [("square", 0.0095), ("relu", 0.0025)])
def test_hidden_features_of_a_random_network_are_not_aligned(table, activation, below):
    assert of(table, "class_alignment")[activation].iloc[2] < below


def test_what_tells_circles_from_noise(table):
    for diagnostic in ("phase_rqi", "circularity"):
        for exact, memorizing, random in of(table, diagnostic).values():
            assert exact > 0.99 > 0.2 > max(memorizing, random)


def test_the_page_shows_the_table(table):
    assert sensitivity.markdown(table) in PAGE.read_text()


def test_what_is_blind(table):
    """Ranks are those of noise, no parallelogram closes, no hidden states of equal answer are near."""
    for activation in sensitivity.ACTIVATIONS:
        exact, memorizing, random = of(table, "effective_rank")[activation]
        assert exact == pytest.approx(184, abs=1)
        assert random == pytest.approx(183.5, abs=1)
        assert 180 < memorizing < 184
        for diagnostic in ("rqi", "hidden_rqi"):
            assert of(table, diagnostic)[activation].max() < 0.02


@pytest.mark.parametrize("activation", sensitivity.ACTIVATIONS)
def test_with_trivial_quadruples_rqi_is_about_a_hundredth_on_both_sides(activation):
    """Of the quadruples with a + b = c + d modulo 97 one in 97 has a = c, and hardly another closes."""
    for make in (known_solutions.cosine_mlp, known_solutions.random_mlp):
        network = make(97, 512, activation, np.random.default_rng(0))
        assert quality_of_all_quadruples(network.first_a_TN) == pytest.approx(0.01, abs=0.001)


def quality_of_all_quadruples(embedding):
    """Share of the quadruples with a + b = c + d (mod n) that close, a = c among them, the swap a = d not."""
    n, scaled = len(embedding), (embedding - embedding.mean(0)) / embedding.std(0, ddof=1)
    a, closed, possible = np.arange(n), 0, 0
    for total in range(n):
        sums = scaled + scaled[(total - a) % n]
        square = np.square(sums).sum(1)
        gaps = (square[:, None] + square - 2 * sums @ sums.T) / scaled.shape[1]
        swapped = (np.add.outer(a, a) % n == total) & np.not_equal.outer(a, a)
        closed, possible = closed + (gaps[~swapped] < 0.01).sum(), possible + (~swapped).sum()
    return closed / possible


def test_participation_ratio_orders_activations_not_networks(table):
    found = of(table, "participation_ratio")
    assert found["square"].iloc[0] == pytest.approx(195, abs=2)
    assert found["relu"].iloc[0] == pytest.approx(201, abs=2)
    assert found["square"].iloc[2] == pytest.approx(292, abs=2)
    assert found["relu"].iloc[2] == pytest.approx(172, abs=2)


def test_first_layer_and_uncentred_alignment_sit_on_their_floors(table):
    assert table.loc["ntk/first_a"].max() < 0.011
    uncentred = table.loc["ntk/uncentred"]
    assert uncentred.min() > 0.098
    assert uncentred.max() < 0.16  # 0.10 is that of a constant kernel


def test_the_exact_networks_are_right_everywhere_and_the_others_nowhere(table):
    for exact, memorizing, random in of(table, "accuracy/validation").values():
        assert exact == 1
        assert max(memorizing, random) < 0.02


@pytest.mark.parametrize("activation", sensitivity.ACTIVATIONS)
@pytest.mark.parametrize("n", [30, 31])
def test_cosines_add_for_odd_and_even_orders(activation, n):
    a, b = all_pairs(n)
    network = known_solutions.cosine_mlp(n, 1024, activation, np.random.default_rng(0))
    assert (network.logits(a, b).argmax(1) == (a + b) % n).all()


def test_memorizing_network_knows_its_labels_and_is_the_same_each_time():
    a, b = all_pairs(13)
    sizes = (13, 64, "relu", 60)
    network, pairs, labels = known_solutions.memorizing_mlp(*sizes, np.random.default_rng(3))
    assert (network.logits(a[pairs], b[pairs]).argmax(1) == labels).all()
    assert len(set(pairs)) == 60
    again, _, _ = known_solutions.memorizing_mlp(*sizes, np.random.default_rng(3))
    assert (again.readout_VN == network.readout_VN).all()


def test_too_small_a_network_cannot_memorize():
    with pytest.raises(ValueError, match="take fewer pairs or a wider network"):
        known_solutions.memorizing_mlp(13, 1, "relu", 169, np.random.default_rng(0))
