"""Early signs of generalization: what share of pairs they put in the right order, on which beginnings."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from benchmarks import surrogates
from grokking.leaderboard.curves import NETWORK


def run(trial, generalizes, rule="adamw", budget=400, workload="w", **columns):
    """A network evaluated every tenth step, whose validation loss falls in a straight line."""
    steps = np.arange(10, budget + 1, 10)
    end = generalizes if math.isfinite(generalizes) else 10 * budget
    table = {
        "origin": "submission", "rule": rule, "workload": workload, "study": 0, "trial": trial, "seed": 0,
        "budget": budget, "generalization_step": generalizes if math.isfinite(generalizes) else None,
        "memorization_step": 20.0, "step": steps, "train_loss": 0.1,
        "validation_loss": np.maximum(5 * (1 - steps / end), 0.01), "validation_accuracy": 0.1,
        "weight_norm": 2.0,
    }  # fmt: skip
    assert set(NETWORK) <= set(table)
    return pd.DataFrame(table | columns).astype({"generalization_step": float})


def counted(step, sign):
    """Every pair looked at, one after the other."""
    right = pairs = 0.0
    for (one, mine), (other, yours) in itertools.combinations(zip(step, sign, strict=True), 2):
        if one != other:
            pairs += 1
            right += 0.5 if mine == yours else float((one < other) == (mine < yours))
    return right / pairs


def test_share_counts_pairs():
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = pd.Series(rng.integers(1, 6, 12)).astype(float).replace(5.0, math.inf)
        sign = pd.Series(rng.integers(1, 8, 12)).astype(float).replace(7.0, math.inf)
        assert surrogates.share(step, sign) == pytest.approx(counted(step, sign))
    assert surrogates.share(step, pd.Series([1.0] * 12)) == 0.5  # tells nothing


def test_signs_know_the_beginning_alone_and_only_of_those_not_there_yet():
    curves = pd.concat([run(0, 90), run(1, 200), run(2, math.inf), run(3, 500)])
    found = surrogates.signs_at(curves, 100, 400)
    assert found["step"].tolist() == [200, math.inf, math.inf]  # the first is there, the last past the budget
    later = curves["step"] > 100
    changed = curves.assign(
        validation_loss=curves["validation_loss"].where(~later, 9.0), weight_norm=np.where(later, 9.0, 2.0)
    )
    assert surrogates.signs_at(changed, 100, 400).equals(found)


def test_what_is_not_yet_known_is_the_last_in_order():
    curves = pd.concat([run(0, 200, memorization_step=150.0), run(1, 300, validation_loss=math.nan)])
    found = surrogates.signs_at(curves, 100, 400)
    assert found["step of memorization"].tolist() == [math.inf, 20]
    assert found["validation loss"].tolist()[1] == math.inf


def test_falls_are_of_the_last_third():
    steps = pd.Series([10, 20, 30])
    assert surrogates.fall(pd.Series([9.0, 4.0, 2.0]), steps) == pytest.approx(math.log(0.5))


def test_a_sign_that_knows_the_order_has_all_pairs_and_pairs_are_of_one_rule():
    """The second rule is always slower and its loss always smaller: across rules the order would be wrong."""
    fast = [run(trial, 210 + 20 * trial) for trial in range(4)]
    slow = [run(trial, 310 + 20 * trial, rule="sgd") for trial in range(4)]
    slow = [one.assign(validation_loss=one["validation_loss"] / 100) for one in slow]
    shares = surrogates.all_shares(pd.concat(fast + slow)).query("cut == @surrogates.COMPARED")
    by_sign = shares.set_index("sign")["share"]
    for sign in ("validation loss", surrogates.OURS, "validation loss falls"):
        assert by_sign[sign] == 1
    for sign in ("weight norm", "validation accuracy", "step of memorization"):
        assert by_sign[sign] == 0.5


def test_the_table_compares_with_ours_on_each_workload():
    better = {surrogates.OURS: 0.01, "weight norm": 0.05}
    rows = [
        {"workload": workload, "cut": cut, "sign": sign, "share": 0.5 + workload * better.get(sign, 0.02)}
        for workload in range(6) for cut in surrogates.PARTS for sign in surrogates.SIGNS
    ]  # fmt: skip
    assert (
        surrogates.difference(pd.DataFrame(rows), "weight norm") == "better on 5, worse on 0 of 6, p = 0.062"
    )
    lines = surrogates.markdown(pd.DataFrame(rows)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:4]] == [surrogates.OURS, "weight norm"]


def test_what_the_page_on_searches_says_of_early_signs_is_of_the_table():
    """`docs/curves.md` has the table; it takes the curves of all trials to make it."""
    lines = surrogates.CURVES_PAGE.read_text().splitlines()
    rows = {cells[1].strip(): cells for line in lines if len(cells := line.split("|")) == 7}
    found = {sign: rows[sign] for sign in surrogates.SIGNS}
    p = {sign: float(row[5].rpartition("p = ")[2]) for sign, row in found.items() if sign != surrogates.OURS}
    shares = {sign: int(row[3].partition("%")[0]) for sign, row in found.items()}
    assert not any(p[sign] < 0.05 and shares[sign] > shares[surrogates.OURS] for sign in p)
    assert shares["step of memorization"] == shares["weight norm"] == 51  # 50 is chance
