"""What Optuna's dashboard shows of a study in words, and of each trial its result and curve."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import Trial

from grokking.search.config import StudyPlan
from grokking.search.seed_job import SeedOutcome

POINTS = 40  # of a trial's learning curve
CURVE = "validation_accuracy"  # on the monitor part


def name_objective(study: Study, plan: StudyPlan) -> None:
    study.set_metric_names([f"log10 of {plan.config.objective} to generalization"])


def write_note(study: Study, plan: StudyPlan, next_step: str) -> None:
    """Say on the study's page what it is and what it found; `next_step` is a sentence on its confirmation."""
    from optuna_dashboard import save_note  # takes two seconds to import, so not before the search

    save_note(study, note(study, plan, next_step))


def note(study: Study, plan: StudyPlan, next_step: str) -> str:
    """What is minimized on which task, the best trial so far, and what comes next."""
    config, seeds = plan.config, len(plan.config.search.seeds)
    lines = [
        f"# {plan.name}",
        f"Minimizes {config.objective} to generalization on `{config.experiment['task']}`: the median over "
        f"{seeds} seeds, as its logarithm to base 10. A trial that did not generalize has a value above all "
        "that did, by how far it still was.",
    ]
    generalized = [trial for trial in study.get_trials(deepcopy=False) if "cost" in trial.user_attrs]
    if generalized:
        best = min(generalized, key=lambda trial: float(trial.user_attrs["cost"]))
        values = ", ".join(f"`{name}` = {text(value)}" for name, value in best.params.items())
        cost = f"{text(best.user_attrs['cost'])} {config.objective}"
        lines.append(f"Best so far: trial {best.number}, {cost}, with {values}.")
    return "\n\n".join([*lines, next_step])


def text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe_trial(trial: Trial, outcomes: Sequence[SeedOutcome]) -> None:
    """Say how each seed of a trial ended; its cost only where every seed generalized."""
    ends = {o.seed_number: f"{o.step:,} steps" if o.step is not None else o.reason for o in outcomes}
    trial.set_user_attr("seeds", ", ".join(ends[number] for number in sorted(ends)))
    costs = [outcome.cost for outcome in outcomes if outcome.cost is not None]
    if outcomes and len(costs) == len(outcomes):
        trial.set_user_attr("cost", float(np.median(costs)))


def report_curve(trial: Trial, known: Sequence[int], outcomes: Sequence[SeedOutcome]) -> None:
    """Give Optuna the first seed's accuracy over the steps, but for the steps that are `known` to it.

    Only of a trial that no rule stopped: Optuna takes the value of a pruned one from its reports.
    """
    for outcome in outcomes[:1]:
        pairs = zip(outcome.curves["step"], outcome.curves[CURVE], strict=True)
        points = [(int(step), value) for step, value in pairs if value is not None]
        for step, value in points[:: math.ceil(len(points) / POINTS) or 1]:
            if step not in known:
                trial.report(value, step)
