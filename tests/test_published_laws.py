"""Published laws: each test finds a law where it was put in, and denies it where it was not."""

import json

import numpy as np
import pandas as pd
import pytest

from grokking.analysis import law_pages, laws
from grokking.analysis.laws import boundaries, delays, fractions, norms, rounding
from grokking.analysis.laws.law import Found, Law
from grokking.analysis.logistic import logistic

FRACTION, RATE, DECAY = delays.FRACTION, delays.RATE, delays.DECAY


def map_of(rule, seeds=3, budget=100_000, decays=(0.0, 0.1, 0.3, 1.0, 3.0), rates=(1e-3, 3e-3, 1e-2)):
    """A sweep's table; `rule(fraction, rate, decay, random)` is the step of generalization, or None."""
    random = np.random.default_rng(0)
    rows = []
    for fraction in (0.4, 0.6, 0.8):
        for rate in rates:
            for decay in decays:
                for seed in range(seeds):
                    step = rule(fraction, rate, decay, random)
                    observed = step is not None and step <= budget
                    rows.append({
                        FRACTION: fraction, RATE: rate, DECAY: decay, "seed": seed,
                        "observed": observed, "generalization_step": step if observed else None,
                        "memorization_step": 10.0, "budget": budget, "diverged": False,
                        "replica": len(rows), "processor": "p",
                        "memorization_weight_norm": 20.0, "generalization_weight_norm": 10.0,
                        "model.family": "one_hot_mlp",
                    })  # fmt: skip
    return pd.DataFrame(rows)


def inverse(fraction, rate, decay, random, power=-1.0):
    """The delay of the norm law, with scatter."""
    return None if decay == 0 else 10 + 20 * (rate * decay) ** power * fraction**-2 * random.lognormal(0, 0.1)


@pytest.mark.parametrize("axis", [RATE, DECAY])
def test_an_exponent_is_found_where_it_was_put_in(axis):
    found = delays.Exponent(axis)(map_of(inverse))
    assert found.low < -1 < found.high
    assert found.high - found.low < 0.1
    law = next(each for each in delays.LAWS if each.name.startswith("delay over"))
    assert law.verdict(found) == "holds"
    other = delays.Exponent(axis)(map_of(lambda f, r, d, random: inverse(f, r, d, random, power=-0.6)))
    assert law.verdict(other) == "does not hold"
    assert abs(other.value + 0.6) < 0.05


def test_networks_that_did_not_generalize_count_in_an_exponent():
    """Without the censored ones the exponent of a cut-off law is too small."""
    found = delays.Exponent(DECAY)(map_of(inverse, budget=30_000))
    assert found.censored > 0
    assert found.low < -1 < found.high


def test_the_first_passage_is_exact_where_the_norm_contracts_as_it_says():
    def rule(fraction, rate, decay, random):
        return None if decay == 0 else 10 + np.log(4) / (2 * 0.7 * rate * decay)

    found = delays.first_passage_error(map_of(rule, budget=10**7))
    assert found.value < 1e-9
    assert found.cells == 3 * 3 * 4 - 1
    wrong = delays.first_passage_error(
        map_of(lambda f, r, d, random: None if d == 0 else 10 + 1 / (r * d) ** 2, budget=10**9)
    )
    assert wrong.low > 0.25


def test_a_norm_that_varies_by_a_tenth_is_not_critical():
    table = map_of(inverse, seeds=5)
    random = np.random.default_rng(1)
    for spread, verdict in ((0.005, "holds"), (0.1, "does not hold")):
        norm = 10 * (1 + spread * random.standard_normal(len(table)))
        found = norms.norm_variation(table.assign(generalization_weight_norm=norm))
        assert abs(found.value - spread) < 0.3 * spread
        assert norms.LAWS[0].verdict(found) == verdict


def held(rate, residual=0.02):
    """Networks whose norm is held, with logits that grow as its cube."""
    random = np.random.default_rng(2)
    rows = []
    for scale in (1.0, 1.1, 1.2, 1.3):
        for output in (0.5, 1.0, 2.0):
            for _ in range(5):
                logit = output * scale**3
                step = 50 * np.exp(rate * (scale - 1)) * random.lognormal(0, residual)
                rows.append({
                    "model.init_scale": scale, "model.output_scale": output, "initial_weight_norm": 5 * scale,
                    "initial_logit_rms": logit, "observed": True, "generalization_step": step,
                    "budget": 10**6,
                })  # fmt: skip
    return pd.DataFrame(rows)


def test_norms_below_the_critical_one_do_not_count():
    table = held(7.5)
    too_small = table["model.init_scale"] == 1.0
    slow = table["generalization_step"].where(~too_small, 10**5)
    found = norms.held_norm_rate(table.assign(generalization_step=slow))
    assert found.cells == 3
    assert found.low < 7.5 * 1.1 < found.high  # in units of the next larger norm


def test_the_rate_of_a_held_norm_is_found():
    found = norms.held_norm_rate(held(7.5))
    assert found.low < 7.5 < found.high
    assert norms.LAWS[1].verdict(found) == "holds"
    assert norms.LAWS[1].verdict(norms.held_norm_rate(held(2.0))) == "does not hold"


def test_the_share_of_the_logit_scale_is_high_only_where_it_decides():
    by_norm = held(7.5)
    by_logits = by_norm.assign(generalization_step=30 * by_norm["initial_logit_rms"] ** 2)
    assert norms.share_of_logit_scale(by_logits).value > 0.999
    assert norms.share_of_logit_scale(by_norm).high < 0.9


def test_a_boundary_is_found_with_its_interval():
    random = np.random.default_rng(3)
    decays = tuple(np.geomspace(1e-3, 1, 13))

    def rule(fraction, rate, decay, random_):
        return 100 if random.random() < 1 / (1 + (0.0158 / decay) ** 2) else None

    found = boundaries.decay_boundary(map_of(rule, seeds=6, decays=decays))
    assert found.low < 0.0158 < found.high < 2 * found.low
    assert boundaries.LAWS[0].verdict(found) == "holds"


def test_half_of_networks_that_are_all_alike_cannot_be_said():
    found = boundaries.decay_boundary(map_of(lambda *_: 100))
    assert np.isnan(found.value)
    assert boundaries.LAWS[0].verdict(found) == "cannot be said"


def test_the_interval_of_a_half_covers_it():
    random, inside = np.random.default_rng(4), 0
    x = np.repeat(np.linspace(-2, 2, 9), 15)
    for _ in range(400):
        fit = logistic(x, (random.random(len(x)) < 1 / (1 + np.exp(-2 * (x - 0.3)))).astype(float))
        low, high = fit.half_interval()
        inside += low < 0.3 < high
    assert 0.94 <= inside / 400 <= 0.99  # the added halves make it a little wide


def test_a_window_is_closed_where_neither_end_generalizes():
    open_above = map_of(lambda f, r, decay, random: 100 if decay >= 1 else None)
    closed = map_of(lambda f, r, decay, random: 100 if decay == 0.3 else None)
    assert boundaries.windows(open_above).value == 0
    assert boundaries.windows(closed).value == 1
    assert boundaries.windows(closed.assign(observed=False)).cells == 0


def fraction_table(critical, exponent, seeds=10):
    random = np.random.default_rng(5)
    rows = []
    for fraction in (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8):
        for seed in range(seeds):
            step = 30 * (fraction - critical) ** -exponent * random.lognormal(0, 0.1)
            observed = step < 20_000
            rows.append({
                FRACTION: fraction, "seed": seed, "observed": observed, "budget": 20_000,
                "replica": len(rows),
                "generalization_step": step if observed else None,
                "generalization_after_step": step / 1.02 if observed else None, "processor": "p",
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_both_laws_of_the_fraction_are_told_apart():
    table = fraction_table(0.16, 1.19)
    found = fractions.critical_fraction(table)
    assert found.low < 0.16 < found.high
    assert fractions.LAWS[2].verdict(found) == "holds"
    shifted = fractions.shifted_exponent(table)
    assert shifted.low < 1.19 < shifted.high
    assert fractions.LAWS[1].verdict(shifted) == "holds"
    fits = fractions.compared(table)
    assert fits["laws"]["shifted"]["aic"] < fits["laws"]["power"]["aic"] - 10
    assert fits["error_in_decades"]["shifted"] < fits["error_in_decades"]["power"]
    low, high = fits["over_seeds"]["critical"]
    assert low < 0.16 < high
    plain = fractions.plain_exponent(fraction_table(0.0, 2.41))
    assert plain.low < 2.41 < plain.high
    assert fractions.LAWS[0].verdict(plain) == "holds"


def test_the_smallest_fraction_over_moduli_is_found():
    rows = []
    for p in (17, 31, 59):
        for fraction in np.linspace(0.05, 0.6, 12):
            rows += [
                {
                    "task.operation.modulus": p,
                    FRACTION: fraction,
                    "observed": fraction + noise > 2.75 * np.log(p) / p,
                }
                for noise in (-0.04, -0.02, 0.0, 0.02, 0.04)
            ]
    found = fractions.smallest_fraction(pd.DataFrame(rows))
    assert abs(found.value - 2.75) < 0.2
    assert found.cells == 3


def test_rounding_is_counted_without_decay_only():
    rows = [
        {DECAY: decay, "loss_precision": precision, "observed": decay > 0 or precision == "float64"}
        for decay in (0.0, 1.0)
        for precision in ("float32", "float64")
        for _ in range(10)
    ]
    found = rounding.share_without_decay(pd.DataFrame(rows))
    assert found.note == "float32 0 of 10, float64 10 of 10"
    assert found.low > 1.01
    assert found.networks == 20


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (-1.0, -1.1, -0.9, "holds"),
        (-0.9, -1.2, -0.6, "cannot be said"),  # contains the claim and much else
        (-0.5, -0.6, -0.4, "does not hold"),
        (float("nan"), float("nan"), float("nan"), "cannot be said"),
    ],
)
def test_a_verdict_needs_a_narrow_interval(value, low, high, verdict):
    law = Law("n", "c", "s", "m", (-1.0, -1.0), ("sweep",), lambda table: None)
    assert law.verdict(Found(value, low, high, 1, 1, 0)) == verdict


def test_what_a_longer_budget_would_move_towards_the_claim_contradicts_nothing():
    law = Law("n", "c", "s", "m", (0.5, 0.6), ("sweep",), lambda table: None, "falls")
    assert law.verdict(Found(0.9, 0.8, 1.0, 1, 1, 0)) == "cannot be said"
    assert law.verdict(Found(0.1, 0.05, 0.2, 1, 1, 0)) == "does not hold"


def test_the_page_has_a_line_per_law_and_sweep_and_says_what_was_not_run():
    tables = {"phases_mlp": map_of(inverse), "fractions_quadratic": fraction_table(0.16, 1.19)}
    rows = laws.judged(tables, {"phases_mlp": {"weight_decay_exponent": [-1.25, -0.75]}})
    assert len(rows) == sum(len(law.sweeps) for law in laws.LAWS)
    assert len({law.name for law in laws.LAWS}) >= 8
    found = {(row["law"], row["sweep"]): row for row in rows}
    assert found["delay over weight decay", "phases_mlp"]["predicted"] == [-1.25, -0.75]
    assert found["held norm", "held_norm"]["verdict"] == "not run"
    json.dumps(rows, allow_nan=False)
    fits = {"fractions_quadratic": fractions.compared(tables["fractions_quadratic"])}
    page = law_pages.page(rows, fits, tables)
    assert page.count("| not run ") == sum(row["verdict"] == "not run" for row in rows)
    assert "-1.25 to -0.75, met" in page
    assert "nan" not in page
    assert "T = C (f - f_c)^-k" in page


def test_a_sweep_with_too_few_events_says_nothing_and_why():
    none = fraction_table(0.16, 1.19).assign(observed=False, generalization_step=None)
    row = laws.judged({"fractions_transformer": none}, {})
    row = next(r for r in row if "note" in r)
    assert row["verdict"] == "cannot be said"
    assert "a law needs four events" in row["note"]


def test_every_law_tests_sweeps_that_there_are():
    from pathlib import Path

    from grokking.catalogue import read_catalogue

    known = read_catalogue(Path(__file__).parents[1]).names("sweeps")
    assert {sweep for law in laws.LAWS for sweep in law.sweeps} <= set(known)
    assert all(law.source.startswith("https://") for law in laws.LAWS)
