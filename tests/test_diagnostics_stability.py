"""Scales and collapse on values worked out by hand."""

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
