"""The rules that stop a replica, on curves made by hand, and the monitor that applies them, on real ones."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from conftest import make_task
from examples import MODELS, OPTIMIZERS, experiment
from searches import ORDER, decisive, job_of, network, plan_of, pruning_context, search_task

from grokking.diagnostics import cyclic
from grokking.diagnostics.internals import INTERNALS
from grokking.engine.events import first_crossing, hold_end
from grokking.experiment import expand
from grokking.search import trial_monitor
from grokking.search.config import SEARCH_HOLD_STEPS
from grokking.search.monitored_task import monitored
from grokking.search.objective import OBJECTIVES, failed_value, log_cost
from grokking.search.pruning import (
    FEWEST_CHECKS,
    RULES,
    UNCONDITIONAL_RULES,
    CurvePoint,
    collapsed,
    forecast,
    frozen,
    progressing,
    raced,
    recent,
    slack,
    slow_decay,
    stagnant,
    stop_rule,
    underfit,
)
from grokking.search.pruning_context import decay_rate
from grokking.search.seed_job import BUDGET, DIVERGED, GENERALIZED
from grokking.search.trial_monitor import TrialMonitor
from grokking.training.loop import Observation, train

STEPS = (10, 20, 40, 80, 160, 200, 240, 280)
FLAT = {
    "train_loss": 1e-3, "train_accuracy": 1.0, "monitor_loss": 8.0, "weight_norm": 10.0, "logit_rms": 1.0,
    "r_sum": 0.05, "ipr": 0.05, "zero_gradient": 0.0,
}  # fmt: skip


def curve(**columns) -> list[CurvePoint]:
    """Eight checks of a network that has memorized and then stands still, but for these columns."""
    rows = [{"step": step, "cost": float(step)} | FLAT for step in STEPS]
    for name, values in columns.items():
        values = values if isinstance(values, list) else [values] * len(rows)
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return [CurvePoint(**row) for row in rows]


FALLING = [8.0, 9.0, 9.0, 8.0, 6.0, 4.0, 3.0, 2.0]
RISING = [0.05, 0.05, 0.05, 0.05, 0.05, 0.1, 0.2, 0.3]
FORGOT = [0.5, 1.0, 1.0, 1.0, 1.0, 0.3, 0.3, 0.3]
LEARNS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
LOSSES = [4.0, 3.9, 3.8, 3.6, 3.2, 3.0, 2.8, 2.6]
DECAYING = {"weight_norm": 50.0}
SLOW = {"generalization_norm": 5.0, "decay_rate": 1e-4}
CASES = [
    # rule, curve, context, whether it fires
    (collapsed, {"train_accuracy": FORGOT, "train_loss": 4.0}, {}, True),
    (collapsed, {"train_accuracy": FORGOT, "train_loss": LOSSES}, {}, False),  # it learns anew
    (collapsed, {"train_accuracy": [*[0.9] * 6, 0.3, 0.3], "train_loss": 4.0}, {}, False),  # for a moment
    (collapsed, {}, {}, False),
    (collapsed, {"train_accuracy": 0.2, "train_loss": 4.0}, {}, False),  # never knew anything
    (collapsed, {"logit_rms": [1.0, *[1e-7] * 7], "train_loss": 4.0}, {}, True),
    (collapsed, {"logit_rms": [1.0, *[1e-5] * 7], "train_loss": 4.0}, {}, False),  # has been recovered from
    (collapsed, {"logit_rms": 1e-9, "train_loss": 4.0}, {}, False),  # a tiny initialisation
    (underfit, {"train_accuracy": 0.5, "train_loss": 4.0}, {"memorization_step": 50.0}, True),
    (underfit, {"train_accuracy": 0.5, "train_loss": 4.0}, {"memorization_step": 60.0}, False),
    (underfit, {"train_accuracy": 0.5, "train_loss": 4.0}, {}, False),  # nothing to compare with
    (underfit, {"train_accuracy": LEARNS, "train_loss": LOSSES}, {"memorization_step": 50.0}, False),
    (underfit, {}, {"memorization_step": 50.0}, False),  # memorized
    (frozen, {"zero_gradient": 0.96}, {"decay_rate": 1e-3}, True),
    (frozen, {"zero_gradient": 0.96}, {"decay_rate": 1e-2}, False),  # decay brings gradients back
    (frozen, {"zero_gradient": 0.94}, {"decay_rate": 0.0}, False),
    (slow_decay, DECAYING, SLOW, True),
    (slow_decay, DECAYING, SLOW | {"decay_rate": 1e-3}, False),
    (slow_decay, DECAYING, SLOW | {"decay_driven": False}, False),
    (slow_decay, DECAYING, SLOW | {"generalization_norm": None}, False),
    (slow_decay, DECAYING | {"train_accuracy": 0.5}, SLOW, False),  # its norm still has to grow
    (slow_decay, {"weight_norm": 4.0}, SLOW | {"decay_rate": 0.0}, False),  # the norm is there already
    (stagnant, {}, {}, True),
    (stagnant, {"train_accuracy": [0.5, 0.5, 1.0, *[1.0] * 5]}, {}, False),  # ten times 40 is to come
    (stagnant, {"train_accuracy": 0.5}, {}, False),
    (raced, {}, {"limit": 279.0}, True),
    (raced, {}, {"limit": 281.0}, False),
    (raced, {"monitor_loss": FALLING}, {"limit": 281.0, "slack": 1.0}, True),  # zero at step 360
    (raced, {"monitor_loss": FALLING}, {"limit": 281.0, "slack": 2.0}, False),
    (raced, {"monitor_loss": FALLING}, {"limit": 281.0}, False),  # forecasts are not to be used yet
    (raced, {"monitor_loss": FALLING}, {"limit": 400.0, "slack": 1.0}, False),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "seen", "known", "fires"), CASES)
def test_rule(rule, seen, known, fires):
    assert rule(curve(**seen), pruning_context(**known)) is fires


def last_three(before, value):
    return [before] * 5 + [value] * 3


KNEW, LEARNED = [*[0.5] * 2, *[1.0] * 6], {"train_accuracy": 0.5, "train_loss": 4.0}
TURN = {"weight_norm": math.e}  # at a rate of 1 / t it takes t steps to a norm of 1
TO_ONE = {"generalization_norm": 1.0}
BORDERS = [
    # rule, curve, context: where it does not fire yet; what of either changes; where it fires just so
    (collapsed, {"train_loss": 4.0}, {},
     {"train_accuracy": last_three(1.0, 0.5)}, {"train_accuracy": last_three(1.0, 0.499)}),
    (collapsed, {"train_loss": 4.0}, {},
     {"train_accuracy": last_three(0.499, 0.1)}, {"train_accuracy": last_three(0.5, 0.1)}),
    (collapsed, {"train_loss": 4.0}, {},
     {"logit_rms": last_three(1.0, 1e-6)}, {"logit_rms": last_three(1.0, 0.9e-6)}),
    (collapsed, {"train_accuracy": FORGOT}, {},
     {"train_loss": [*[1.0] * 7, 0.989]}, {"train_loss": [*[1.0] * 7, 0.99]}),
    (underfit, LEARNED, {}, {"memorization_step": 56.0}, {"memorization_step": 55.9}),
    (underfit, LEARNED, {"memorization_step": 50.0}, {"train_accuracy": 0.99}, {"train_accuracy": 0.989}),
    (frozen, {"zero_gradient": 1.0}, {}, {"decay_rate": 1 / 720}, {"decay_rate": 1 / 721}),
    (frozen, {}, {}, {"zero_gradient": 0.95}, {"zero_gradient": 0.951}),
    (slow_decay, TURN, TO_ONE, {"decay_rate": 1 / 2719}, {"decay_rate": 1 / 2721}),  # thrice the budget
    (stagnant, {"train_accuracy": KNEW}, {},
     {"step": [10, 20, 28, *STEPS[3:]]}, {"step": [10, 20, 27, *STEPS[3:]]}),
    (raced, {}, {}, {"limit": 280.0}, {"limit": 279.9}),
    (raced, {"monitor_loss": FALLING}, {"slack": 1.0}, {"limit": 361.0}, {"limit": 359.0}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "seen", "known", "short", "beyond"), BORDERS)
def test_a_rule_fires_beyond_its_threshold_only(rule, seen, known, short, beyond):
    """The last check is at step 280, the budget 1000 steps."""
    for more, fires in ((short, False), (beyond, True)):
        both = seen | known | more
        at = {name: value for name, value in both.items() if name in vars(pruning_context())}
        columns = {name: value for name, value in both.items() if name not in at}
        assert rule(curve(**columns), pruning_context(**at)) is fires


def test_no_rule_applies_before_the_fourth_check():
    at = pruning_context(limit=1.0)
    assert [stop_rule(curve()[:checks], at) for checks in (3, 4)] == [None, "raced"]


def test_every_rule_has_cases_of_both_kinds():
    rules = RULES.values()
    assert {(rule, fires) for rule, *_, fires in CASES} == {
        (r, fires) for r in rules for fires in (True, False)
    }


@pytest.mark.parametrize(("rule", "seen", "known", "fires"), [case for case in CASES if case[-1]])
@pytest.mark.parametrize("progress", [{"monitor_loss": FALLING}, {"r_sum": RISING}, {"ipr": RISING}])
def test_progress_overrules_all_but_collapse_and_racing(rule, seen, known, fires, progress):
    found = stop_rule(curve(**progress | seen), pruning_context(**known))
    assert found == (rule.__name__ if rule in UNCONDITIONAL_RULES.values() else None)


@pytest.mark.parametrize(("rule", "seen", "known", "fires"), [case for case in CASES if case[-1]])
def test_stop_rule_names_a_rule_that_fires_but_never_before_enough_checks(rule, seen, known, fires):
    at, whole = pruning_context(**known), curve(**seen)
    named = stop_rule(whole, at)
    assert named is not None
    assert RULES[named](whole, at)
    for few in range(1, FEWEST_CHECKS):
        assert stop_rule(whole[-few:], at) is None


def test_no_rule_can_see_validation_accuracy():
    """It is flat until the transition; a rule is a function of a curve, which does not hold it."""
    names = {field.name for field in fields(CurvePoint)}
    assert not [name for name in names if "validation" in name]
    assert [name for name in names if "accuracy" in name] == ["train_accuracy"]


def test_progressing():
    assert not progressing(curve())
    assert progressing(curve(monitor_loss=FALLING))
    assert progressing(curve(r_sum=RISING))
    assert progressing(curve(ipr=RISING))
    assert not progressing(curve(monitor_loss=sorted(FALLING)))  # it climbs to its peak
    assert not progressing(curve(monitor_loss=[8.0, 4.0, *[3.0] * 6]))  # fell long ago
    assert not progressing(curve(r_sum=math.nan, ipr=math.nan))


@pytest.mark.parametrize(
    ("name", "before", "short", "beyond"),
    [("monitor_loss", 1.0, 0.99, 0.989), ("r_sum", 0.0, 0.01, 0.011), ("ipr", 0.0, 0.01, 0.011)],
)
def test_progress_is_a_change_by_more_than_a_hundredth_within_the_last_checks(name, before, short, beyond):
    assert not progressing(curve(**{name: [before] * 7 + [short]}))
    assert progressing(curve(**{name: [before] * 7 + [beyond]}))


def test_a_curve_that_is_flat_for_long_and_then_falls_is_never_stopped():
    """As of grokking: memorized at 51, the monitor loss at its peak until 560, generalized at 1000.

    Only structure grows while the loss is flat: R_sum by 2 % in each check.
    """
    at = pruning_context(memorization_step=60.0, generalization_norm=9.0, limit=1200.0, decay_rate=2e-3)
    steps = [10, 13, 17, 23, 30, 39, 51, 67, 87, 113, 147, 192, 249, 324, 422, 548, 713, 927, 1000]
    seen: list[CurvePoint] = []
    for number, step in enumerate(steps):
        fallen = 1 - max(0.0, (step - 560) / 440)
        now = replace(
            curve()[-1], step=step, cost=float(step), train_accuracy=1.0 if step > 40 else 0.5,
            train_loss=3 * 0.7**number, monitor_loss=8.0 * fallen + 0.2, r_sum=0.02 * number,
        )  # fmt: skip
        seen.append(now)
        assert stop_rule(seen, at) is None, step
    still = [replace(point, r_sum=0.05) for point in seen[:-3]]
    assert stop_rule(still, at) == "stagnant"  # without structure it would have been


def test_recent_is_the_last_share_of_the_steps_or_three_checks():
    assert [point.step for point in recent(curve())] == [200, 240, 280]
    assert [point.step for point in recent(curve()[:5])] == [40, 80, 160]
    assert len(recent(curve()[:2])) == 2
    evenly = curve(step=[10, 20, 69, 70, 75, 80, 90, 100])
    assert [point.step for point in recent(evenly)] == [70, 75, 80, 90, 100]  # three tenths of 100 steps


def test_forecast_is_where_the_loss_would_be_zero():
    straight = curve(monitor_loss=[9.0, 9.0, 9.0, 8.0, 6.0, 5.0, 4.0, 3.0])  # 1 in 40 steps
    assert forecast(straight) == pytest.approx(280 + 3 * 40)
    assert forecast(curve()) == 0.0
    assert (
        forecast(curve(r_sum=RISING, monitor_loss=sorted(FALLING))) == 0.0
    )  # structure, but a loss that grows


def test_slack_is_the_worst_of_many_errors_and_infinite_of_few():
    assert slack([1.5, 3.0] * 5) == 3.0
    assert slack([3.0] * 9) == math.inf
    assert slack([]) == math.inf
    assert slack([0.0] * 10) == math.inf  # none of ten had made a forecast
    assert slack([0.0] * 9 + [2.0]) == 2.0


SGD = {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.02, "momentum": 0.75}
ADAM = OPTIMIZERS["adamw"] | {"learning_rate": 0.1, "weight_decay": 0.02}
MUON = OPTIMIZERS["muon"] | {"learning_rate": 0.1, "weight_decay": 0.02}


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        (SGD, 0.008),
        (SGD | {"name": "nesterov"}, 0.008),
        (ADAM | {"name": "adam"}, 0.0),
        (ADAM, 0.002),
        (MUON, 0.002),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_decay_rate_is_known_unless_gradients_rescale_it(optimizer, rate):
    """Learning rate times weight decay, over 1 - momentum where the decay goes through momentum."""
    (replica,) = expand(experiment(optimizer=optimizer["name"]) | {"optimizer": optimizer}, "e")
    assert decay_rate(replica.config) == pytest.approx(rate)


# The monitor, on networks in training

GOOD = {"model.init_scale": 0.1, "optimizer.learning_rate": 0.03, "optimizer.decay_rate": 0.1}
SLUGGISH = {"model.init_scale": 0.1, "optimizer.learning_rate": 1e-4, "optimizer.decay_rate": 1e-3}


def replica_of(point, budget=60):
    plan = plan_of(experiment=network(budget=budget))
    return plan.replicas(point, plan.config.search)[0]


def monitored_run(replica, task=None, **known):
    task = task or search_task()
    monitor = TrialMonitor(job_of(replica, **known), task, ORDER)
    steps = [e.step for e in train([replica], task, "cpu", stop=monitor)]
    return monitor, monitor.outcome(), steps


def test_the_crossing_is_that_of_the_recorded_curve():
    _, found, steps = monitored_run(replica_of(GOOD, budget=200))
    recorded = list(train([replica_of(GOOD, budget=200)], search_task(), "cpu"))
    accuracy = [e.metrics["validation_accuracy"] for e in recorded]
    crossed = first_crossing(np.array([e.step for e in recorded]), np.array(accuracy), budget=200)
    assert found.reason == GENERALIZED
    assert found.step == crossed
    assert found.value == log_cost(crossed)
    assert (found.gap, found.cost) == (0.0, crossed)
    assert found.generalization_norm == next(e.metrics["weight_norm"] for e in recorded if e.step == crossed)
    assert found.memorization_step == next(e.step for e in recorded if e.metrics["train_accuracy"] >= 0.99)
    held = hold_end(crossed, SEARCH_HOLD_STEPS)
    assert steps[-1] == found.steps_run == next(e.step for e in recorded if e.step >= held)
    assert found.curves["step"] == steps
    assert found.curves["validation_accuracy"] == pytest.approx(accuracy[: len(steps)], rel=1e-4)


def test_a_crossing_that_does_not_hold_is_none(monkeypatch):
    """The same readings, but for one in the middle of the time a crossing must hold."""
    replica, task = replica_of(GOOD, budget=200), search_task()
    _, whole, _ = monitored_run(replica, task)
    monitor = TrialMonitor(job_of(replica), task, ORDER)

    def with_a_relapse(observation):
        if observation.step == whole.step + 20:
            observation = replace(observation, metrics=observation.metrics | {"validation_accuracy": 0.9})
        return monitor(observation)

    for _ in train([replica], task, "cpu", stop=with_a_relapse):
        pass
    assert monitor.outcome().step == whole.step + 21


def shown(monkeypatch, readings):
    """The monitor of a replica with a budget of 100 steps, after these readings by step; others are 1."""
    nothing = {"zero_gradient": 0.0, "r_sum": math.nan, "ipr": math.nan}
    monkeypatch.setattr(TrialMonitor, "_structure", lambda *given: nothing)
    replica = replica_of(GOOD, budget=100)
    monitor = TrialMonitor(job_of(replica), search_task(), ORDER)
    others = dict.fromkeys((*trial_monitor.CURVES, "weight_norm", "logit_rms"), 1.0)
    for at, seen in readings.items():
        if monitor(Observation(replica, at, 0.0, others | seen, dict)):
            break
    return monitor


# step -> accuracy of a replica with a budget of 100 steps
HELD = {80: 0.5, 90: 0.99, 100: 0.99, 120: 0.985, 139: 1.0, 140: 1.0}
LOST = {80: 0.5, 90: 0.99, 100: 0.99, 120: 0.98, 130: 1.0, 180: 1.0}
LATE = {80: 0.5, 100: 0.98, 101: 1.0, 160: 1.0}


@pytest.mark.parametrize(
    ("accuracies", "end", "reason", "step"),
    [
        (HELD, 140, GENERALIZED, 90),  # the trial goes on past the budget
        (dict(list(HELD.items())[:-1]), 139, BUDGET, None),  # training ended: that proves nothing
        (LOST, 120, BUDGET, None),
        (LATE, 100, BUDGET, None),  # nothing is on trial at the budget, so it ends there
        ({99: 0.98, 100: 0.99, 150: 1.0}, 150, GENERALIZED, 100),
    ],
)
def test_a_crossing_within_the_budget_must_hold_through_its_trial(accuracies, end, reason, step, monkeypatch):
    """Whether the loop itself ends at the budget, at the trial's end or never."""
    monitor = shown(monkeypatch, {at: {"validation_accuracy": seen} for at, seen in accuracies.items()})
    found = monitor.outcome()
    assert (found.steps_run, found.reason, found.step) == (end, reason, step)
    assert (found.cost, found.gap > 0) == (step, step is None)
    assert found.value == log_cost(step) if step else found.value > log_cost(100)


# step -> loss: by its last three checks it would be zero at 80, seen at the fourth, and at 78, at the fifth
FALL = {10: 10.0, 20: 9.0, 30: 8.0, 40: 6.0, 60: 3.0}


@pytest.mark.parametrize(("generalized", "ratio"), [(80, 1.0), (100, 0.8), (None, None)])
def test_rules_and_forecasts_see_the_loss_of_the_monitor_part(generalized, ratio, monkeypatch):
    """The error is the largest forecast over the step at which the replica generalized."""
    readings = {at: {"validation_loss": loss, "validation_accuracy": 0.5} for at, loss in FALL.items()}
    if generalized:
        readings |= {at: {"validation_accuracy": 1.0} for at in (generalized, 200)}
    monitor = shown(monkeypatch, readings)
    assert {point.step: point.monitor_loss for point in monitor.curve} == FALL
    assert {point.train_loss for point in monitor.curve} == {1.0}
    assert monitor.outcome().forecast_error == ratio


def test_who_generalized_before_any_forecast_has_an_error_of_zero(monkeypatch):
    readings = {at: {"validation_accuracy": 1.0} for at in (10, 100)}
    assert shown(monkeypatch, readings).outcome().forecast_error == 0.0


def test_who_does_not_arrive_is_graded_by_how_far_it_was():
    (_, found, steps), (_, better, _) = (
        monitored_run(replica_of(SLUGGISH)),
        monitored_run(replica_of(GOOD, budget=30)),
    )
    assert found.reason == better.reason == BUDGET
    assert steps[-1] == found.steps_run == 60
    assert (found.cost, found.step, found.generalization_norm) == (None, None, None)
    assert log_cost(60) < found.value < failed_value(60)
    assert found.gap == pytest.approx(found.value - log_cost(60))
    assert 0 < better.gap < found.gap


def test_a_rule_stops_a_replica_and_its_value_is_that_of_the_whole_budget():
    """Graded as if it had trained to the end: a rule that stops early makes nothing look better."""
    _, found, steps = monitored_run(replica_of(SLUGGISH, budget=400), exempt=False, limit=30.0)
    assert found.reason == found.stopped_by == "raced"
    assert steps[-1] == found.steps_run == found.stop_step == 31
    assert found.limit == 30.0
    assert log_cost(400) < found.value < failed_value(400)


def test_an_exempt_replica_goes_on_and_the_rule_is_noted():
    monitor, found, steps = monitored_run(replica_of(SLUGGISH), exempt=True, limit=30.0)
    assert found.reason == BUDGET
    assert (found.stopped_by, found.stop_step) == ("raced", 31)
    assert steps[-1] == 60
    _, free, _ = monitored_run(replica_of(SLUGGISH))
    assert found.curves == free.curves
    assert found.value == pytest.approx(free.value, rel=1e-3)  # R_sum is that of the last check
    assert len(monitor.curve) > FEWEST_CHECKS


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_who_diverges_before_its_first_step_is_worse_than_who_generalizes(objective, monkeypatch):
    replica = replica_of(GOOD)
    monitor = TrialMonitor(replace(job_of(replica), objective=objective), search_task(), ORDER)
    metrics = dict.fromkeys((*trial_monitor.CURVES, "weight_norm", "logit_rms"), math.inf)
    assert monitor(Observation(replica, 0, 0.0, metrics, dict))
    assert monitor.outcome().reason == DIVERGED
    late = OBJECTIVES[objective](60, monitor.price, 60.0)
    assert monitor.outcome().value == pytest.approx(failed_value(late))


def test_a_loss_that_was_infinite_once_does_not_bring_a_replica_nearer():
    def value_after(first: float) -> float:
        replica = replica_of(SLUGGISH)
        monitor = TrialMonitor(job_of(replica), search_task(), ORDER)
        others = dict.fromkeys((*trial_monitor.CURVES, "weight_norm", "logit_rms"), 0.5)
        for step, loss in ((0, first), (1, 4.0), (2, 3.0)):
            monitor(Observation(replica, step, 0.1, others | {"validation_loss": loss}, dict))
        return monitor.outcome().value

    assert value_after(math.inf) == value_after(4.0) > value_after(30.0)


@pytest.mark.parametrize(("leads_below", "reason"), [(90.0, GENERALIZED), (90.1, BUDGET)])
def test_a_crossing_that_leads_must_hold_longer(leads_below, reason, monkeypatch):
    """It holds from 90 to 150, and is lost at 200."""
    monkeypatch.setattr(TrialMonitor, "_is_pruned", lambda *given: False)
    replica = replica_of(GOOD, budget=100)
    job = replace(job_of(replica), leads_below=leads_below, leader_hold_steps=300)
    monitor = TrialMonitor(job, search_task(), ORDER)
    others = dict.fromkeys((*trial_monitor.CURVES, "weight_norm", "logit_rms"), 1.0)
    for step, accuracy in ((80, 0.5), (90, 0.99), (145, 0.99), (200, 0.9)):
        if monitor(Observation(replica, step, 0.0, others | {"validation_accuracy": accuracy}, dict)):
            break
    assert monitor.outcome().reason == reason
    assert monitor.outcome().step == (90 if reason == GENERALIZED else None)


def test_who_generalizes_before_the_limit_is_not_raced_while_it_holds():
    _, found, _ = monitored_run(replica_of(GOOD, budget=200), exempt=False, limit=60.0)
    assert found.reason == GENERALIZED
    assert found.stopped_by is None
    assert found.steps_run > 60


def test_a_replica_that_diverges_is_lost_and_its_value_finite():
    wild = {"model.init_scale": 0.2, "optimizer.learning_rate": 1e6, "optimizer.decay_rate": 1e-3}
    _, found, steps = monitored_run(replica_of(wild), exempt=False)
    assert found.reason == DIVERGED
    assert steps[-1] < 60
    assert found.value == pytest.approx(failed_value(60))
    assert found.gap == pytest.approx(found.value - log_cost(60))
    assert all(math.isfinite(v) for v in vars(found).values() if isinstance(v, float))


def test_validation_is_the_monitor_part_only():
    """What is judged is a tenth of the equations; the rest of the validation set changes nothing."""
    task = search_task()
    open_part = task.train_mask(0) | task.validation_mask(0)
    assert int(task.validation_mask(0).sum()) == 12
    table = task.equations.copy()
    table.loc[~open_part, "c"] = (table.loc[~open_part, "c"] + 1) % 11
    changed = replace(task, table=replace(task.table, equations=table))
    (_, found, _), (_, same, _) = monitored_run(replica_of(GOOD)), monitored_run(replica_of(GOOD), changed)
    assert decisive(found) == decisive(same)
    assert monitored(make_task()).validation_mask(0).sum() == 12


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("operation", ["add", "permutation_product"])
def test_every_family_is_followed_on_every_kind_of_table(family, operation):
    """Structure is looked at where the table has a cyclic order; elsewhere it is NaN."""
    optimizer = "sgd" if family == "numpy_mlp" else "adamw"
    (replica,) = expand(experiment(family, optimizer, precision="float32"), "e")
    task = monitored(make_task(operation))
    monitor = TrialMonitor(job_of(replica), task, cyclic.find_order(operation, 11))
    for _ in train([replica], task, "cpu", stop=monitor):
        pass
    found = monitor.outcome()
    assert (found.reason, found.steps_run) == (BUDGET, 30)
    assert log_cost(30) < found.value < failed_value(30)
    assert len(monitor.curve) >= FEWEST_CHECKS
    assert all(math.isnan(point.r_sum) != (operation == "add") for point in monitor.curve)


@pytest.mark.parametrize("family", MODELS)
def test_a_family_that_shows_no_neurons_is_followed_without_their_ipr(family, monkeypatch):
    """No entry in INTERNALS, as a family may be that was just added."""
    monkeypatch.delitem(INTERNALS, family, raising=False)
    monkeypatch.setattr(trial_monitor, "ABOVE_CHANCE", 0.0)  # looks at structure from the first check on
    (replica,) = expand(experiment(family, "sgd", precision="float32"), "e")
    monitor = TrialMonitor(job_of(replica), monitored(make_task()), ORDER)
    for _ in train([replica], monitored(make_task()), "cpu", stop=monitor):
        pass
    assert len(monitor.curve) >= FEWEST_CHECKS
    assert all(math.isnan(point.ipr) and 0 < point.r_sum < 1 for point in monitor.curve)


def test_no_forecast_from_a_loss_that_has_only_left_its_peak():
    """The fall must be of a tenth of it."""
    peak = [4.0] * 5
    assert forecast(curve(monitor_loss=[*peak, 3.95, 3.9, 3.61])) == 0.0
    assert forecast(curve(monitor_loss=[*peak, 3.95, 3.9, 3.59])) > 280


def test_a_network_that_guesses_has_no_structure():
    """One answer for all: of such logits, rounding alone makes R_sum 1, and IPR of dying weights grows."""
    dead = {"model.init_scale": 0.1, "optimizer.learning_rate": 1e-4, "optimizer.decay_rate": 0.5}
    (monitor, _, _), (living, _, _) = monitored_run(replica_of(dead)), monitored_run(replica_of(GOOD))
    assert max(point.train_accuracy for point in monitor.curve) < 3 / 11
    assert {(point.r_sum, point.ipr) for point in monitor.curve} == {(0.0, 0.0)}
    knowing = [point for point in living.curve if point.train_accuracy > 3 / 11]
    assert knowing
    assert all(point.r_sum > 0 and point.ipr > 0 for point in knowing)
