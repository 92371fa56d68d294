"""What a search minimizes: log10 time-to-grok, graded beyond the budget where it was not reached."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from grokking.data.batches import batch_size
from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.training.history import flops_per_example

# Above log10 of the budget's cost: a censored replica by its distance to the goal, then a failed one
CENSORED, SPREAD, FAILED = 0.05, 0.45, 0.6


@dataclass(frozen=True)
class Price:
    """What a step of a replica costs; `seconds` have no fixed price and are measured."""

    examples: int
    flops: int


def price(replica: Replica, task: Task) -> Price:
    """Examples and dense-layer FLOP of one step."""
    examples = batch_size(replica.config.batch, task.train_size(replica.split_seed))
    return Price(examples, examples * flops_per_example(replica, task))


# Each objective as a function of steps, their price and the seconds they took.
# docs/search.md says what else a new one needs
OBJECTIVES: dict[str, Callable[[int, Price, float], float]] = {
    "steps": lambda steps, price, seconds: steps,
    "examples": lambda steps, price, seconds: steps * price.examples,
    "flops": lambda steps, price, seconds: steps * price.flops,
    "seconds": lambda steps, price, seconds: seconds,
}


def log_cost(cost: float) -> float:
    """The value of a replica that generalized at this cost."""
    return math.log10(max(cost, 1e-12))


def censored_value(bound: float, distance: float) -> float:
    """The value of a replica that had not generalized at the cost `bound`: above all that had."""
    return log_cost(bound) + CENSORED + SPREAD * distance


def failed_value(bound: float) -> float:
    """The value of a replica that diverged or collapsed: above all that could still generalize."""
    return log_cost(bound) + FAILED


def distance_to_goal(monitor_loss: float, peak_loss: float, r_sum: float | None) -> float:
    """How far a replica still was, in [0, 1]: the mean of its loss over its peak and of 1 - R_sum.

    Without R_sum (None, NaN) only the loss counts. A loss that overflowed is at distance 1.
    """
    share = monitor_loss / peak_loss if peak_loss > 0 else 1.0
    loss_part = min(max(share, 0.0), 1.0) if math.isfinite(monitor_loss) else 1.0
    parts = [loss_part] if r_sum is None or math.isnan(r_sum) else [loss_part, 1 - r_sum]
    return sum(parts) / len(parts)
