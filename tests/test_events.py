"""Events: first and sustained crossings, by definition and as training goes on; the grids of steps."""

from itertools import islice, pairwise, takewhile

import numpy as np
import pytest

from grokking.engine.evaluation_steps import evaluation_steps, snapshot_steps, steps_within
from grokking.engine.events import CrossingDetector, first_crossing, hold_end, sustained_crossing

STEPS = np.array([0, 10, 20, 30, 400, 530, 531, 600])


def test_events_by_hand():
    spike = np.array([0.1, 0.995, 0.2, 0.99, 0.986, 1.0, 1.0, 1.0])
    assert first_crossing(STEPS, spike, 600) == 10
    assert sustained_crossing(STEPS, spike, 600) == 30
    assert sustained_crossing(STEPS, np.minimum(spike, 0.98), 600) is None
    late_dip = np.array([0.1, 0.1, 0.99, 1.0, 1.0, 0.5, 0.5, 0.5])  # after the trial of 20, which ends at 520
    assert sustained_crossing(STEPS, late_dip, 600) == 20


def test_the_end_of_training_proves_nothing():
    """A crossing whose trial was not over is no event, whether it began at the last step or before."""
    last = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.99])
    assert first_crossing(STEPS, last, 600) == 600
    assert sustained_crossing(STEPS, last, 600) is None
    assert sustained_crossing(STEPS, np.where(STEPS < 400, 0.1, 1.0), 600) is None
    assert (
        sustained_crossing(np.append(STEPS, 900), np.append(np.where(STEPS < 400, 0.1, 1.0), 1.0), 600) == 400
    )


def test_a_crossing_must_begin_within_the_budget():
    late = np.where(STEPS < 30, 0.1, 1.0)
    assert sustained_crossing(STEPS, late, 30) == 30
    assert sustained_crossing(STEPS, late, 29) is None
    assert first_crossing(STEPS, late, 29) is None


def test_how_long_a_crossing_must_hold():
    """500 steps, or to 1.2 times its step where that is longer: from step 2,500 on."""
    assert [hold_end(step) for step in (0, 20, 2500, 10_000)] == [500, 520, 3000, 12_000]
    assert [hold_end(step, hold_steps=100) for step in (20, 500, 10_000)] == [120, 600, 12_000]


def sustained_by_both(steps, accuracies, budget=10**6):
    """The sustained crossing, by the definition and by a detector that follows it step by step."""
    detector = CrossingDetector(budget)
    for step, accuracy in zip(steps, accuracies, strict=True):
        detector.update(step, accuracy)
    found = detector.candidate if detector.sustained else None
    assert sustained_crossing(np.array(steps), np.array(accuracies), budget) == found
    return found


@pytest.mark.parametrize(("start", "end"), [(20, 520), (10_000, 12_000)])
@pytest.mark.parametrize(
    ("after_end", "dip", "holds"),
    [
        (-1, 0.985, True),
        (-1, 0.9849, False),
        (0, 0.985, True),
        (0, 0.9849, False),
        (1, 0.9849, True),
        (1, 0.0, True),
    ],
)
def test_a_crossing_fails_below_0_985_until_its_end(after_end, dip, holds, start, end):
    """Its last step counts, and the step after that does not."""
    steps = [0, start, end + after_end, end + 2]
    assert sustained_by_both(steps, [0.1, 0.99, dip, 1.0]) == (start if holds else None)


@pytest.mark.parametrize(("last", "holds"), [(519, False), (520, True), (521, True)])
def test_a_crossing_must_be_seen_to_its_end(last, holds):
    assert sustained_by_both([0, 20, last], [0.1, 0.99, 0.99]) == (20 if holds else None)


def test_a_crossing_begins_at_0_99():
    steps = [0, 20, 30, 600]
    assert sustained_by_both(steps, [0.1, 0.9899, 0.99, 1.0]) == 30
    assert first_crossing(np.array(steps), np.array([0.1, 0.9899, 0.99, 1.0]), 600) == 30
    assert sustained_by_both(steps, [0.1, 0.99, 0.99, 1.0], budget=20) == 20
    assert sustained_by_both(steps, [0.1, 0.99, 0.99, 1.0], budget=19) is None


def test_a_crossing_that_fails_makes_way_for_the_next():
    """The one of step 20 fails at 30; the next must begin at 0.99 again, and hold to 540."""
    steps, accuracies = [0, 20, 30, 35, 40, 530, 540], [0.1, 0.99, 0.9849, 0.9899, 0.99, 0.985, 0.985]
    assert sustained_by_both(steps[:-1], accuracies[:-1]) is None
    assert sustained_by_both(steps, accuracies) == 40


@pytest.mark.parametrize("budget", [5000, 1500])
def test_the_detector_agrees_with_the_definition(budget):
    """On random walks around the threshold it settles at the end of the crossing's trial."""
    random = np.random.default_rng(0)
    steps = np.array(list(takewhile(lambda step: step <= 7000, evaluation_steps(budget))))
    settled = 0
    for _ in range(300):
        walk = random.normal(0, 0.004, len(steps)).cumsum() / 5 * random.choice([-1, 1])
        accuracy = np.clip(0.99 + walk, 0, 1)
        detector, end = CrossingDetector(budget), None
        for i, step in enumerate(steps):
            detector.update(int(step), float(accuracy[i]))
            if detector.sustained:
                end = i
                break
        event = sustained_crossing(steps, accuracy, budget)
        if end is None:
            assert event is None
        else:
            settled += 1
            assert event == detector.candidate
            assert steps[end - 1] < hold_end(event) <= steps[end]
    assert 50 < settled < 300


def test_the_evaluation_grid_is_dense_then_within_two_percent():
    for budget in (1, 49, 50, 1234, 10**6):
        steps = steps_within(budget)
        assert steps[0] == 0
        assert steps[-1] == budget
        assert all(later - step <= max(1, 0.02 * step) for step, later in pairwise(steps))
    assert steps_within(1234)[:102] == [*range(101), 102]
    assert len(steps_within(10**8)) <= 1000  # what MLflow's charts can take, without thinning out


def test_the_grid_goes_on_after_the_budget():
    steps = list(islice(evaluation_steps(60), 200))
    assert steps[:61] == [*range(61)]
    assert all(0 < later - step <= max(1, 0.02 * step) for step, later in pairwise(steps))
    assert steps[-1] > 200


def test_a_coarser_grid_holds_the_budget_too():
    steps = list(takewhile(lambda step: step <= 300, evaluation_steps(300, steps_per_gap=20)))
    assert steps[:42] == [*range(41), 42]
    assert all(later - step <= max(1, 0.05 * step) for step, later in pairwise(steps))
    assert steps[-1] == 300


def test_snapshots_are_at_powers_of_two_and_later_of_its_root():
    steps = sorted(snapshot_steps(1000))
    assert steps[:13] == [0, 1, 2, 4, 8, 16, 23, 32, 46, 64, 91, 128, 183]
    assert steps[-1] == 734
    assert snapshot_steps(1000) <= set(steps_within(1000))
