"""Scales, collapse and slingshots on values worked out by hand."""

import numpy as np
import pytest

from grokking.diagnostics import stability

ANSWER = np.array([0, 0, 1])


def logits(*margins, dtype=np.float32):
    """Rows with the answer's logit this much above two equal others."""
    return np.array([[m, 0, 0] for m in margins], dtype)


def test_logit_rms_and_margin_by_hand():
    table = np.array([[3.0, 0, 0], [1, 5, 0], [2, 2, 2]])
    assert stability.logit_rms(table + 7) == pytest.approx(((4 + 1 + 1 + 1 + 9 + 4) / 9) ** 0.5)
    assert stability.margin(table, ANSWER) == pytest.approx((3 - 4 + 0) / 3)
    assert stability.logit_rms(2 * table) == pytest.approx(2 * stability.logit_rms(table))


def test_weight_norms_add_in_squares():
    norms = stability.weight_norms({"first": np.array([[3.0], [0]]), "last": np.array([4.0])})
    assert norms == {"first": 3, "last": 4, "total": 5}


@pytest.mark.parametrize(
    ("dtype", "margins", "expected"),
    [
        # 2 e^-m is lost beside 1 from about m = 17 on in float32, 37 in float64; tails live on to 104 and 746
        (np.float32, [1, 18, 200], {"softmax_collapse": 2 / 3, "zero_loss": 2 / 3, "zero_gradient": 1 / 3}),
        (np.float64, [1, 18, 200], {"softmax_collapse": 1 / 3, "zero_loss": 1 / 3, "zero_gradient": 0}),
        (np.float64, [1, 40, 800], {"softmax_collapse": 2 / 3, "zero_loss": 2 / 3, "zero_gradient": 1 / 3}),
    ],
)
def test_collapse_by_hand(dtype, margins, expected):
    assert stability.collapse(logits(*margins, dtype=dtype), np.zeros(3, int)) == pytest.approx(expected)


def test_a_collapsed_softmax_on_the_wrong_class_still_teaches():
    found = stability.collapse(logits(200), np.array([1]))
    assert found == {"softmax_collapse": 1, "zero_loss": 0, "zero_gradient": 0}


def curve(spikes=(), factor=100.0, noise=0.05):
    """A loss that falls slowly with noise, with jumps that decay over some steps."""
    steps = np.arange(200)
    log_loss = -0.02 * steps + noise * np.random.default_rng(0).standard_normal(200)
    for at in spikes:
        log_loss[at:] += np.log(factor) * np.exp(-0.5 * np.arange(200 - at))
    return np.exp(log_loss)


GROWING = np.linspace(1, 2, 200)


def test_slingshots_are_where_the_loss_jumps_after_growth_of_the_last_layer():
    assert stability.slingshots(curve(), GROWING, 20).tolist() == []
    assert stability.slingshots(curve([80, 150]), GROWING, 20).tolist() == [80, 150]
    assert stability.slingshots(curve([80, 150]), -GROWING, 20).tolist() == []
    grown_once = np.where(np.arange(200) < 100, GROWING, 1.5)
    assert stability.slingshots(curve([80, 150]), grown_once, 20).tolist() == [80]


def test_a_rise_over_several_evaluations_is_one_slingshot():
    loss = curve(noise=0.01)
    loss[90:] *= np.exp(np.clip(np.arange(110) + 1, 0, 3))
    assert stability.slingshots(loss, GROWING, 20).tolist() == [90]


def test_small_rises_and_falls_are_no_slingshots():
    smooth = curve(noise=0)
    ripple = smooth * np.where(np.arange(200) == 100, 1.05, 1)
    drop = smooth * np.where(np.arange(200) >= 100, 0.01, 1)
    for loss in (smooth, ripple, drop, np.zeros(200)):
        assert stability.slingshots(loss, GROWING, 20).tolist() == []
