"""Follows one replica of a trial while it trains: when it generalised, or why it should stop."""

# P equations of the task, V classes

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from grokking.data.tasks import Task
from grokking.diagnostics import fourier, stability
from grokking.diagnostics.cyclic import Order
from grokking.diagnostics.measured_network import MeasuredNetwork, MeasurementContext
from grokking.diagnostics.network_arrays import arrays_of
from grokking.engine.answers import answers
from grokking.engine.events import ACCURACY_THRESHOLD, CrossingDetector
from grokking.experiment import Replica
from grokking.search import objective
from grokking.search.objective import OBJECTIVES, price
from grokking.search.pruning import FEWEST, Circumstances, Sign, forecast, verdict
from grokking.training.loop import Observation

GENERALISED, BUDGET, DIVERGED = "generalised", "budget", "diverged"
LOST = (DIVERGED, "collapsed")
HOLD_SHARE, HOLD_STEPS = 1.2, 50  # a crossing must hold so long; `confirm` asks for 500 steps, see events
FIRST_CHECK, CHECK_RATIO = 10, 1.3  # steps of the checks, a few percent of a replica's time
KNOWS = 3.0  # times the accuracy of guessing; 512 guesses are that good once in ten thousand times
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
DIGITS = 5  # of the curves that are kept


@dataclass(frozen=True)
class Job:
    """One replica to train for a trial."""

    trial: int
    seed_number: int  # which of the study's seeds
    replica: Replica
    objective: str
    circumstances: Circumstances
    exempt: bool  # never stopped; what would have stopped it is noted


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    trial: int
    seed_number: int
    reason: str  # GENERALISED, BUDGET, DIVERGED or the rule that stopped it
    value: float  # of the objective: log10 cost, graded where it was not reached
    gap: float  # by how much the value is above that of the whole budget; 0 where it generalised
    cost: float | None  # to generalisation
    step: int | None  # of generalisation
    steps_run: int
    flops: float  # of all steps run
    seconds: float
    memorization_step: int | None
    generalization_norm: float | None  # weight norm there
    stopped_by: str | None  # the first rule that applied, also to an exempt replica
    stop_step: int | None
    limit: float | None  # the cost it was raced against, where there was one
    forecast_error: float | None  # the largest ratio of its forecasts to the step at which it generalised
    curves: dict[str, list[float]] = field(repr=False)


class Follower:
    """The judge of one replica."""

    def __init__(self, job: Job, task: Task, order: Order | None) -> None:
        self.job, self.task, self.order = job, task, order
        replica = job.replica
        mask_P = task.train_mask(replica.split_seed)
        self.context = MeasurementContext(task, mask_P, answers(replica, task), order)
        self.price = price(replica, task)
        self.watch = CrossingDetector()
        self.signs: list[Sign] = []
        self.forecasts: list[float] = []
        self.crossing: Observation | None = None
        self.memorization_step: int | None = None
        self.stopped: tuple[str, int] | None = None
        self.reason = BUDGET
        self.rows: list[list[float]] = []
        self.last: Observation | None = None

    def __call__(self, reading: Observation) -> bool:
        """Take a reading; True where the replica should stop."""
        self._take(reading)
        if not math.isfinite(reading.metrics["train_loss"]):
            self.reason = DIVERGED
            return True
        if self.crossing is not None:
            self.reason = GENERALISED
            return reading.step >= max(HOLD_SHARE * self.crossing.step, self.crossing.step + HOLD_STEPS)
        self.reason = BUDGET
        return self._stops(reading)

    def outcome(self) -> Outcome:
        """What became of the replica, once its training has ended."""
        assert self.last is not None
        crossing, last, job = self.crossing, self.last, self.job
        cost = self._cost(crossing) if crossing is not None and self.reason == GENERALISED else None
        rule, stop_step = self.stopped or (None, None)
        return Outcome(
            job.trial,
            job.seed_number,
            self.reason,
            self._value(cost),
            0.0 if cost is not None else self._value(cost) - objective.reached(self._bound()),
            cost,
            crossing.step if crossing is not None and cost is not None else None,
            last.step,
            float(last.step * self.price.flops),
            last.seconds,
            self.memorization_step,
            crossing.metrics["weight_norm"] if crossing is not None and cost is not None else None,
            rule,
            stop_step,
            None if math.isinf(job.circumstances.limit) else job.circumstances.limit,
            max(self.forecasts, default=0.0) / crossing.step if crossing and cost is not None else None,
            self._curves(),
        )

    def _take(self, reading: Observation) -> None:
        metrics = reading.metrics
        self.last = replace(reading, parameters=dict)  # the copy of parameters belongs to the engine
        self.rows.append([reading.step, *(metrics[name] for name in CURVES)])
        if self.memorization_step is None and metrics["train_accuracy"] >= ACCURACY_THRESHOLD:
            self.memorization_step = reading.step
        before = self.watch.candidate
        self.watch.take(reading.step, metrics["validation_accuracy"])
        if self.watch.candidate != before:
            self.crossing = self.last if self.watch.candidate is not None else None

    def _stops(self, reading: Observation) -> bool:
        late = self.stopped is None and self._cost(reading) > self.job.circumstances.limit
        if not late and not self._check_is_due(reading.step):
            return False
        self.signs.append(self._sign(reading))
        if len(self.signs) >= FEWEST:
            self.forecasts.append(forecast(self.signs))
        rule = "raced" if late else verdict(self.signs, self.job.circumstances)
        if rule is None:
            return False
        self.stopped = self.stopped or (rule, reading.step)
        if not self.job.exempt:
            self.reason = rule
        return not self.job.exempt

    def _check_is_due(self, step: int) -> bool:
        return step >= max(FIRST_CHECK, CHECK_RATIO * self.signs[-1].step if self.signs else 0)

    def _sign(self, reading: Observation) -> Sign:
        metrics = reading.metrics
        return Sign(
            reading.step,
            self._cost(reading),
            metrics["train_loss"],
            metrics["train_accuracy"],
            metrics["validation_loss"],
            metrics["weight_norm"],
            metrics["logit_rms"],
            **self._structure(reading),
        )

    def _structure(self, reading: Observation) -> dict[str, float]:
        """R_sum, IPR and the share of equations without a gradient, from a pass over all equations.

        A network that still guesses has no structure: R_sum and IPR of what rounding leaves may be 1.
        """
        arrays, context = arrays_of(self.job.replica, self.task, reading.parameters()), self.context
        found = {"zero_gradient": 0.0, "r_sum": math.nan, "ipr": math.nan}
        if self.job.replica.config.loss == "cross_entropy":
            trained = arrays.logits_PV[context.train_P], context.answer_P[context.train_P]
            found["zero_gradient"] = stability.collapse(*trained)["zero_gradient"]
        if self.order is not None and not self._knows(reading):
            found["r_sum"] = found["ipr"] = 0.0
        elif self.order is not None:
            net = MeasuredNetwork(arrays, context)
            found["r_sum"] = fourier.sum_energy(net.logits_nnV)
            found["ipr"] = float(fourier.inverse_participation_ratio(net.neuron_power_KN).mean())
        return found

    def _knows(self, reading: Observation) -> bool:
        return reading.metrics["train_accuracy"] > KNOWS / self.task.sizes.classes

    def _cost(self, reading: Observation) -> float:
        return OBJECTIVES[self.job.objective](reading.step, self.price, reading.seconds)

    def _value(self, cost: float | None) -> float:
        if cost is not None:
            return objective.reached(cost)
        if self.reason in LOST:
            return objective.lost(self._bound())
        losses = [row[1 + CURVES.index("validation_loss")] for row in self.rows]
        r_sum = self.signs[-1].r_sum if self.signs else None
        return objective.censored(self._bound(), objective.badness(losses[-1], max(losses), r_sum))

    def _bound(self) -> float:
        """The cost of the whole budget, at the rate so far."""
        assert self.last is not None
        share = max(self.last.step, 1) / self.job.replica.config.budget
        return max(self._cost(self.last), 1e-9) / share

    def _curves(self) -> dict[str, list[float]]:
        columns = zip(*self.rows, strict=True)
        return {
            name: [rounded(value) for value in column]
            for name, column in zip(("step", *CURVES), columns, strict=True)
        }


def rounded(value: float) -> Any:
    """A number of DIGITS significant digits; None for what is not finite, which JSON does not have."""
    if not math.isfinite(value):
        return None
    return float(np.format_float_positional(value, DIGITS, fractional=False))
