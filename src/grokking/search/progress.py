"""One progress line of a study, on a terminal only."""

import time
from typing import Self

from optuna.trial import TrialState
from tqdm import tqdm

from grokking.search.config import StudyPlan
from grokking.search.driver import Search, best_value
from grokking.search.study import OWNER, Trials

POLL_SECONDS = 2.0


class Display:
    """Trials ended, running, stopped by a rule and generalised, the best so far, time left."""

    def __init__(self, plan: StudyPlan) -> None:
        self.plan, self.told = plan, False
        self.bar = tqdm(total=plan.config.trials, desc=plan.name, unit="trial", disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def show(self, search: Search) -> None:
        """Redraw after something has changed."""
        self._show(search.trials)

    def wait_for_others(self, trials: Trials) -> None:
        """Trials that other processes are still at decide the result too."""
        self._show(trials)
        hosts = {trial.user_attrs[OWNER]["host"] for trial in trials.running() if OWNER in trial.user_attrs}
        if hosts and not self.told:
            self.bar.write(
                f"{self.plan.name}: waiting for trials that others have begun on {', '.join(sorted(hosts))}; "
                "if none of these is at work any more, interrupt and start again with --take-over"
            )
            self.told = True
        time.sleep(POLL_SECONDS)

    def _show(self, trials: Trials) -> None:
        if self.bar.disable:
            return
        ended = trials.ended()
        best = best_value(trials, len(self.plan.config.search.seeds))
        stopped = sum(trial.state == TrialState.PRUNED for trial in ended)
        reached = sum(trial.state == TrialState.COMPLETE and trial.constraints["gap"] <= 0 for trial in ended)
        found = "none yet" if best is None else f"{10**best:.4g} {self.plan.config.objective}"
        self.bar.set_postfix_str(
            f"{len(trials.running())} running, {stopped} stopped, {reached} generalised, best {found}",
            refresh=False,
        )
        self.bar.update(len(ended) - self.bar.n)
