"""One seed of a trial: the job to train it, and its outcome."""

from dataclasses import dataclass, field

from grokking.experiment import Replica
from grokking.search.pruning import PruningContext

GENERALIZED, BUDGET, DIVERGED = "generalized", "budget", "diverged"  # ends that no rule brought about


@dataclass(frozen=True)
class SeedJob:
    """One replica to train for a trial."""

    trial: int
    seed_number: int  # position among the study's seeds
    replica: Replica
    objective: str
    context: PruningContext
    exempt: bool  # no rule may stop it; the rule that would have is recorded
    leads_below: float = 0.0  # cost below which its crossing must hold for `leader_hold_steps`
    leader_hold_steps: int = 0


@dataclass(frozen=True)
class SeedOutcome:
    """How a job ended. It is kept in the Optuna trial as JSON."""

    trial: int
    seed_number: int
    reason: str  # GENERALIZED, BUDGET, DIVERGED or the name of the rule that stopped it
    value: float  # log10 of the cost in units of the objective, graded where the goal was not reached
    gap: float  # how far the value lies above that of the whole budget; 0 where it generalized
    cost: float | None  # to generalization
    step: int | None  # of generalization
    steps_run: int
    flops: float  # of all steps run
    seconds: float
    memorization_step: int | None
    generalization_norm: float | None  # weight norm at generalization
    stopped_by: str | None  # the first rule that applied, also to an exempt replica
    stop_step: int | None  # where it applied
    limit: float | None  # the cost it was raced against, if any
    forecast_error: float | None  # the largest ratio of its forecasts to the step at which it generalized
    curves: dict[str, list[float]] = field(repr=False)
