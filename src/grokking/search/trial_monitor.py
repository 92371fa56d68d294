"""Watches one replica of a trial while it trains: when it generalized, or why it should stop."""

# P equations of the task, V classes, n tokens of the cyclic order, K frequencies, N neurons

import math
from dataclasses import replace
from typing import Any

import numpy as np

from grokking.data.tasks import Task
from grokking.diagnostics import fourier, stability
from grokking.diagnostics.cyclic import Order
from grokking.diagnostics.measured_network import NEEDS, MeasuredNetwork, MeasurementContext
from grokking.diagnostics.network_arrays import arrays_of
from grokking.engine.answers import answers
from grokking.engine.events import ACCURACY_THRESHOLD, CrossingDetector
from grokking.search.config import SEARCH_HOLD_STEPS
from grokking.search.objective import (
    OBJECTIVES,
    censored_value,
    distance_to_goal,
    failed_value,
    log_cost,
    price,
)
from grokking.search.pruning import COLLAPSED, FEWEST_CHECKS, RACED, CurvePoint, forecast, stop_rule
from grokking.search.seed_job import BUDGET, DIVERGED, GENERALIZED, SeedJob, SeedOutcome
from grokking.training.records import Observation

FIRST_CHECK, CHECK_RATIO = 10, 1.3  # steps of the checks, a few percent of a replica's time
ABOVE_CHANCE = 3.0  # times the accuracy of guessing; 512 guesses are that good once in ten thousand times
HOPELESS = (DIVERGED, COLLAPSED)  # ends after which no training would have helped
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
DIGITS = 5  # of the curves that are kept


class TrialMonitor:
    """The stop rule of one replica in a search.

    A crossing counts if it begins within the budget and holds to max(1.2 t, t + 50), or longer where it
    leads, for which training goes on past the budget. No rule stops a replica whose crossing is pending.
    """

    def __init__(self, job: SeedJob, task: Task, order: Order | None) -> None:
        self.job, self.task, self.order = job, task, order
        self.budget = job.replica.config.budget
        train_P = task.train_mask(job.replica.split_seed)
        self.context = MeasurementContext(task, train_P, answers(job.replica, task), order)
        self.price = price(job.replica, task)
        self.detector = CrossingDetector(self.budget, SEARCH_HOLD_STEPS)
        self.crossing: Observation | None = None  # pending
        self.curve: list[CurvePoint] = []  # at the checks
        self.rows: list[list[float]] = []  # step and CURVES at every evaluation
        self.forecasts: list[float] = []
        self.memorization_step: int | None = None
        self.stopped: tuple[str, int] | None = None  # the first rule that applied, and where
        self.reason = BUDGET
        self.last: Observation | None = None

    def __call__(self, observation: Observation) -> bool:
        """Record an observation; True where the replica should stop."""
        self._record(observation)
        if not math.isfinite(observation.metrics["train_loss"]):
            self.reason = DIVERGED
            return True
        if self.crossing is not None:
            if self.detector.sustained:
                self.reason = GENERALIZED
            return self.detector.sustained
        return self._is_pruned(observation) or observation.step >= self.budget

    def outcome(self) -> SeedOutcome:
        """How the job ended, once training is over."""
        assert self.last is not None
        last, job = self.last, self.job
        reached = self.crossing if self.reason == GENERALIZED else None
        cost = None if reached is None else self._cost(reached)
        value = self._value(cost)
        rule, stop_step = self.stopped or (None, None)
        return SeedOutcome(
            trial=job.trial,
            seed_number=job.seed_number,
            reason=self.reason,
            value=value,
            gap=0.0 if reached else value - log_cost(self._budget_cost()),
            cost=cost,
            step=reached.step if reached else None,
            steps_run=last.step,
            flops=float(last.step * self.price.flops),
            seconds=last.seconds,
            memorization_step=self.memorization_step,
            generalization_norm=reached.metrics["weight_norm"] if reached else None,
            stopped_by=rule,
            stop_step=stop_step,
            limit=None if math.isinf(job.context.limit) else job.context.limit,
            forecast_error=max(self.forecasts, default=0.0) / max(reached.step, 1) if reached else None,
            curves=self._curves(),
        )

    def _record(self, observation: Observation) -> None:
        metrics = observation.metrics
        self.last = replace(observation, parameters=dict)  # lets go of the engine's parameters
        self.rows.append([observation.step, *(metrics[name] for name in CURVES)])
        if self.memorization_step is None and metrics["train_accuracy"] >= ACCURACY_THRESHOLD:
            self.memorization_step = observation.step
        self.detector.update(observation.step, metrics["validation_accuracy"])
        if self.detector.candidate is None:
            self.crossing = None
        elif self.detector.candidate == observation.step:
            self.crossing = self.last
            leads = self._cost(self.last) < self.job.leads_below
            self.detector.hold_steps = self.job.leader_hold_steps if leads else SEARCH_HOLD_STEPS

    def _is_pruned(self, observation: Observation) -> bool:
        late = self.stopped is None and self._cost(observation) > self.job.context.limit
        if not late and not self._check_is_due(observation.step):
            return False
        self.curve.append(self._curve_point(observation))
        if len(self.curve) >= FEWEST_CHECKS:
            self.forecasts.append(forecast(self.curve))
        rule = RACED if late else stop_rule(self.curve, self.job.context)
        if rule is None:
            return False
        self.stopped = self.stopped or (rule, observation.step)
        if not self.job.exempt:
            self.reason = rule
        return not self.job.exempt

    def _check_is_due(self, step: int) -> bool:
        return step >= max(FIRST_CHECK, CHECK_RATIO * self.curve[-1].step if self.curve else 0)

    def _curve_point(self, observation: Observation) -> CurvePoint:
        metrics = observation.metrics
        return CurvePoint(
            step=observation.step,
            cost=self._cost(observation),
            train_loss=metrics["train_loss"],
            train_accuracy=metrics["train_accuracy"],
            monitor_loss=metrics["validation_loss"],
            weight_norm=metrics["weight_norm"],
            logit_rms=metrics["logit_rms"],
            **self._structure(observation),
        )

    def _structure(self, observation: Observation) -> dict[str, float]:
        """R_sum, IPR and the share of equations without a gradient, from a pass over all equations.

        R_sum and IPR are 0 while the network guesses: rounding alone can make them 1. IPR is NaN where the
        family shows no neurons.
        """
        arrays, context = arrays_of(self.job.replica, self.task, observation.parameters()), self.context
        found = {"zero_gradient": 0.0, "r_sum": math.nan, "ipr": math.nan}
        if self.job.replica.config.loss == "cross_entropy":
            trained = arrays.logits_PV[context.train_P], context.answer_P[context.train_P]
            found["zero_gradient"] = stability.collapse(*trained)["zero_gradient"]
        if self.order is not None and not self._is_above_chance(observation):
            found["r_sum"] = found["ipr"] = 0.0
        elif self.order is not None:
            net = MeasuredNetwork(arrays, context)
            found["r_sum"] = fourier.sum_energy(net.logits_nnV)
            if NEEDS["neurons"](net):
                found["ipr"] = float(fourier.inverse_participation_ratio(net.neuron_power_KN).mean())
        return found

    def _is_above_chance(self, observation: Observation) -> bool:
        return observation.metrics["train_accuracy"] > ABOVE_CHANCE / self.task.sizes.classes

    def _cost(self, observation: Observation) -> float:
        return OBJECTIVES[self.job.objective](observation.step, self.price, observation.seconds)

    def _budget_cost(self) -> float:
        """The cost of the whole budget; its seconds at the rate so far, or before any step a second each."""
        assert self.last is not None
        steps, seconds = (self.last.step, self.last.seconds) if self.last.step else (1, 1.0)
        return OBJECTIVES[self.job.objective](self.budget, self.price, seconds * self.budget / steps)

    def _value(self, cost: float | None) -> float:
        if cost is not None:
            return log_cost(cost)
        if self.reason in HOPELESS:
            return failed_value(self._budget_cost())
        losses = [row[1 + CURVES.index("validation_loss")] for row in self.rows]
        peak = max(filter(math.isfinite, losses), default=0.0)
        r_sum = self.curve[-1].r_sum if self.curve else None
        return censored_value(self._budget_cost(), distance_to_goal(losses[-1], peak, r_sum))

    def _curves(self) -> dict[str, list[float]]:
        columns = [[rounded(value) for value in column] for column in zip(*self.rows, strict=True)]
        return dict(zip(("step", *CURVES), columns, strict=True))


def rounded(value: float) -> Any:
    """The value to DIGITS significant digits; None for NaN and infinity, which JSON does not have."""
    if not math.isfinite(value):
        return None
    return float(np.format_float_positional(value, DIGITS, fractional=False))
