"""A search on any task, with a limit of time in place of trials, and the confirmation of what it finds."""

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from grokking.api import training
from grokking.api.checkout import Checkout
from grokking.api.recipe import Config
from grokking.api.training import OwnRun
from grokking.config import load
from grokking.data.tasks import TaskConfig
from grokking.diagnostics import cyclic
from grokking.executors.resources import processes
from grokking.experiment import ExperimentConfig
from grokking.search.config import StudyPlan
from grokking.search.confirmation_time import FEWEST_SEEDS, ConfirmationTime
from grokking.search.dashboard import write_note
from grokking.search.executor import replica_executor
from grokking.search.known_trials import KnownTrials
from grokking.search.monitored_task import Monitored
from grokking.search.scheduler import Scheduler
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, open_study
from grokking.search.study_key import study_key
from grokking.search.tables import as_chosen, ranked, trial_table
from grokking.search.timed_check import TimedCheck
from grokking.storage.whole_file import whole_file
from grokking.training.fingerprint import fingerprint


@dataclass(frozen=True)
class Confirmation:
    """What a search has found, and the run that trains it on fresh seeds."""

    best: Mapping[str, Any]  # number of the trial, its cost in steps, the values that it sets
    run: OwnRun
    too_slow: Mapping[str, Any] | None  # a trial of fewer steps, whose confirmation did not fit into the time


@dataclass(frozen=True)
class TaskSearch:
    """A study of one task, ready to run."""

    checkout: Checkout
    name: str  # of the task, what is changed of it, and the family where it is not the usual one
    plan: StudyPlan
    section: Config  # the task, as a configuration has it
    task: Monitored

    @property
    def journal(self) -> Path:
        """Optuna's storage, which its dashboard opens."""
        return self.checkout.studies / f"{self.plan.name}.journal"

    @property
    def found(self) -> Path:
        """The best configuration, as `grokking run` reads it."""
        return self.checkout.searches / f"{self.name}.yaml"

    def run(self, deadline: float, show: Callable[[SharedStudy], None]) -> SharedStudy:
        """Try configurations until only time to confirm the best is left before `deadline` (monotonic).

        Trials under way are finished. Called again, it goes on with the same study.
        """
        core = fingerprint(self.plan.replicas({}, self.plan.config.search), self.task)
        needs = self._needs(deadline)

        def is_over(known: KnownTrials) -> bool:
            return time.monotonic() + needs.kept_back(study) >= deadline

        with replica_executor(self.task, self._order()) as executor:
            storage = Storage(self.checkout.studies)
            study = open_study(self.plan, study_key(self.plan, core), storage, is_over)
            Scheduler(self.plan, study, executor, show).run()
        runs = f"{self.plan.name}-<number>"
        write_note(study.optuna, self.plan, f"The best was confirmed on fresh seeds, by the run `{runs}`.")
        return study

    def best_steps(self, study: SharedStudy) -> float | None:
        """What the best trial so far has cost."""
        best = study.look().best
        return None if best is None else float(10**best)

    def confirmation(self, study: SharedStudy, deadline: float) -> Confirmation | None:
        """The best trial, ready to be trained on fresh seeds and splits; None where no trial generalized.

        Of the trials whose crossings are found to be sustained, the fastest on the further seeds is the best:
        on its own three the first of many is often lucky. A trial of large networks that cannot be checked
        and confirmed in time gives way to those that can.
        """
        ranking = ranked(study, trial_table(study, self.plan)) if study.ended() else []
        needs = self._needs(deadline)
        checked = TimedCheck(self.plan, self.task, ranking, needs, deadline).run()
        left = [trial for trial in ranking if checked.get(trial.number, math.inf) is not None]
        if not left:
            return None
        seconds = deadline - time.monotonic()
        sustained = [trial for trial in left if trial.number in checked]
        fit = [trial for trial in left if needs.seconds_to_train(trial, FEWEST_SEEDS) <= seconds]
        best = min(sustained or fit or left, key=lambda trial: checked.get(trial.number) or math.inf)
        faster = left[: left.index(best)]
        too_slow = next((as_chosen(t, self.plan) for t in faster if t.number not in checked), None)
        return self._confirmation(as_chosen(best, self.plan), needs.fresh_seeds(best, seconds), too_slow)

    def _confirmation(
        self, best: Mapping[str, Any], seeds: int, too_slow: Mapping[str, Any] | None
    ) -> Confirmation:
        config = self.recipe(best["values"])
        run = training.plan(config, {}, seeds, self.run_name(best["trial"], config))
        self._write(config)
        return Confirmation(best, run, too_slow)

    def recipe(self, values: Mapping[str, Any]) -> Config:
        """The configuration at this point of the space, with all fresh seeds."""
        seeds = self.plan.config.confirm
        return _nested(self.plan.replicas(values, seeds)[0].config) | {
            "task": self.section,
            "replicas": {"seeds": [*seeds.seeds], "split_seeds": [*seeds.split_seeds], "grid": {}},
        }

    def run_name(self, trial: int, config: Config) -> str:
        """A name that is free, or of this very run: a search by other params has trials of equal numbers."""
        name = f"{self.plan.name}-{trial}"
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        return next(name for name in names if training.is_free_for(self.checkout, name, config))

    def _write(self, config: Config) -> None:
        self.found.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.found) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            YAML().dump({"config": config}, file)

    def _needs(self, deadline: float) -> ConfirmationTime:
        return ConfirmationTime(self.plan, self.task, processes(None), deadline - time.monotonic())

    def _order(self) -> cyclic.Order | None:
        keys = {key: value for key, value in self.section.items() if key != "name"}
        return cyclic.order_of(load(TaskConfig, keys | {"split_seeds": [0]}, self.plan.where))


def _nested(config: ExperimentConfig) -> Config:
    """A loaded experiment as the mapping that it was, lists in place of tuples."""
    plain: Config = json.loads(json.dumps(asdict(config)))
    return plain
