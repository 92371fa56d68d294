"""What a search minimises: log10 time-to-grok, graded beyond the budget where it was not reached."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from grokking.data.batches import batch_size
from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.training.history import flops_per_example

JUST_BEYOND, SPREAD = 0.05, 0.45  # a censored replica lies between these above the budget, by its badness
LOST = 0.6  # above the budget: collapsed, diverged; worse than any that could still generalise


@dataclass(frozen=True)
class Price:
    """What an update of a replica costs; `seconds` have no fixed price and are measured."""

    examples: int
    flops: int


def price(replica: Replica, task: Task) -> Price:
    """Examples and dense-layer FLOP of one update."""
    examples = batch_size(replica.config.batch, int(task.train_mask(replica.split_seed).sum()))
    return Price(examples, examples * flops_per_example(replica, task))


# Each objective as a function of updates, their price and the seconds they took
OBJECTIVES: dict[str, Callable[[int, Price, float], float]] = {
    "steps": lambda steps, price, seconds: steps,
    "examples": lambda steps, price, seconds: steps * price.examples,
    "flops": lambda steps, price, seconds: steps * price.flops,
    "seconds": lambda steps, price, seconds: seconds,
}


def badness(monitor_loss: float, peak_loss: float, r_sum: float | None) -> float:
    """How far a replica still was, in [0, 1]: its loss against its peak, and 1 - R_sum where there is one.

    A loss that overflowed is as far away as there is.
    """
    share = monitor_loss / peak_loss if peak_loss > 0 else 1.0
    of_loss = min(max(share, 0.0), 1.0) if math.isfinite(monitor_loss) else 1.0
    parts = [of_loss] if r_sum is None or math.isnan(r_sum) else [of_loss, 1 - r_sum]
    return sum(parts) / len(parts)


def reached(cost: float) -> float:
    """The value of a replica that generalised at this cost."""
    return math.log10(max(cost, 1e-12))


def censored(bound: float, badness: float) -> float:
    """The value of a replica that had not generalised at the cost `bound`: above every one that had."""
    return reached(bound) + JUST_BEYOND + SPREAD * badness


def lost(bound: float) -> float:
    """The value of a replica that diverged or collapsed."""
    return reached(bound) + LOST
