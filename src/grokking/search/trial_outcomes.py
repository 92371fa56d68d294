"""The outcomes of a trial's seeds, kept in the trial's attributes."""

from optuna.trial import FrozenTrial, Trial, TrialState

from grokking.search.seed_job import SeedOutcome

OUTCOME = "outcome"  # prefix of the attributes


def save_outcome(trial: Trial, outcome: SeedOutcome) -> None:
    """Write one seed's outcome to the trial, so that it need not be trained again."""
    trial.set_user_attr(f"{OUTCOME}/{outcome.seed_number}", dict(vars(outcome)))


def seed_outcomes(trial: FrozenTrial) -> list[SeedOutcome]:
    """A trial's outcomes so far, by seed number."""
    saved = [value for key, value in trial.user_attrs.items() if key.startswith(f"{OUTCOME}/")]
    return sorted((SeedOutcome(**value) for value in saved), key=lambda outcome: outcome.seed_number)


def all_seeds_generalized(trial: FrozenTrial, seeds: int) -> bool:
    """Whether a trial ended after all of its `seeds` had generalized."""
    outcomes = seed_outcomes(trial)
    complete = trial.state == TrialState.COMPLETE and len(outcomes) == seeds
    return complete and all(outcome.cost is not None for outcome in outcomes)
