"""One progress line of a study, on a terminal only."""

import time

from tqdm import tqdm

from grokking.search.config import StudyPlan
from grokking.search.leases import LEASE_SECONDS
from grokking.search.owner import OWNER
from grokking.search.study import SharedStudy

POLL_SECONDS = 2.0


class StudyProgress(tqdm):
    """Trials ended, running, stopped by a rule and generalized, the best so far, time left."""

    def __init__(self, plan: StudyPlan) -> None:
        self.plan, self.announced = plan, False
        super().__init__(total=plan.config.trials, desc=plan.name, unit="trial", disable=None)

    def wait_for_others(self, study: SharedStudy) -> None:
        """Wait a moment for trials of other processes: they decide the result too."""
        self.show(study)
        running = study.look().running
        hosts = {trial.user_attrs[OWNER]["host"] for trial in running if OWNER in trial.user_attrs}
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
        known = study.look()
        best = "none yet" if known.best is None else f"{10**known.best:.4g} {self.plan.config.objective}"
        running, stopped, generalized = len(known.running), known.stopped, known.generalized
        text = f"{running} running, {stopped} stopped, {generalized} generalized, best {best}"
        self.set_postfix_str(text, refresh=False)
        self.update(known.ended - self.n)
