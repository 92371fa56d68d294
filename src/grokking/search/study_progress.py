"""One progress line of a study, on a terminal only."""

import time

from optuna.trial import TrialState
from tqdm import tqdm

from grokking.search.config import StudyPlan
from grokking.search.ended_trials import EndedTrials
from grokking.search.study import LEASE_SECONDS, OWNER, SharedStudy

POLL_SECONDS = 2.0


class StudyProgress(tqdm):
    """Trials ended, running, stopped by a rule and generalized, the best so far, time left."""

    def __init__(self, plan: StudyPlan) -> None:
        self.plan, self.announced, self.ended = plan, False, EndedTrials(plan)
        super().__init__(total=plan.config.trials, desc=plan.name, unit="trial", disable=None)

    def wait_for_others(self, study: SharedStudy) -> None:
        """Wait a moment for trials of other processes: they decide the result too."""
        self.show(study)
        hosts = {trial.user_attrs[OWNER]["host"] for trial in study.running() if OWNER in trial.user_attrs}
        if hosts and not self.announced:
            self.write(
                f"{self.plan.name}: waiting for trials that others have begun on {', '.join(sorted(hosts))}; "
                f"those of a host that is not heard of for {LEASE_SECONDS / 60:g} minutes are taken over"
            )
            self.announced = True
        time.sleep(POLL_SECONDS)

    def show(self, study: SharedStudy) -> None:
        """Redraw the line."""
        if self.disable:
            return
        ended = study.ended()
        best = self.ended.read(study.trials()).best
        stopped = sum(trial.state == TrialState.PRUNED for trial in ended)
        reached = sum(trial.state == TrialState.COMPLETE and trial.constraints["gap"] <= 0 for trial in ended)
        best_text = "none yet" if best is None else f"{10**best:.4g} {self.plan.config.objective}"
        self.set_postfix_str(
            f"{len(study.running())} running, {stopped} stopped, {reached} generalized, best {best_text}",
            refresh=False,
        )
        self.update(len(ended) - self.n)
