"""Which trials of a study have ended, without a look at each of ten thousand every time."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class EndedPrefix:
    """How many of the first trials have ended: they stay as they are."""

    def __init__(self) -> None:
        self.length = 0

    def rest(self, trials: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
        """Trials, by number, but for the first ones that had all ended at the last call."""
        found = trials[self.length :]
        while self.length < len(trials) and trials[self.length].state in ENDED:
            self.length += 1
        return found
