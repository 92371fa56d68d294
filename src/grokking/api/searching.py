"""A search on any task: a study built from the entry `quick`, with a limit of time in place of trials."""

import copy
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from grokking.api.checkout import Checkout, here
from grokking.api.recipe import Config, changed, named_by_changes, task_of, task_section
from grokking.config import ConfigError, load
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.experiment import ExperimentConfig, require_fit
from grokking.search.config import StudyPlan, read_study
from grokking.search.dashboard import write_note
from grokking.search.executor import replica_executor
from grokking.search.monitor import Monitored, monitored
from grokking.search.results import BEST, read_best
from grokking.search.scheduler import Scheduler
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, open_study, study_key
from grokking.search.tables import best_trials, chosen, trial_table
from grokking.training.fingerprint import fingerprint

ENTRY = "quick"
BUDGET = 1000  # steps: the entry's own is for the easiest task, and pruning ends most trials long before
WIDTHS = {"model.hidden_widths": {"kind": "choice", "values": [[128], [256], [512]]}}  # as harder tasks need
KNOWN_WIDTHS = {"model.hidden_widths": "[256]"}  # Optuna keeps lists as text
UNLIMITED = 1_000_000  # trials; time is the limit


@dataclass(frozen=True)
class TaskSearch:
    """A study of one task, ready to run."""

    checkout: Checkout
    name: str  # of the task and what is changed of it
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

    def run(self, seconds: float, show: Callable[[SharedStudy], None]) -> SharedStudy:
        """Try configurations until the time is over and the last trials have ended; goes on when repeated."""
        core = fingerprint(self.plan.replicas({}, self.plan.config.search), self.task)
        deadline = time.monotonic() + seconds
        storage = Storage(self.checkout.studies)
        study = open_study(
            self.plan, study_key(self.plan, core), storage, lambda _: time.monotonic() > deadline
        )
        order = self._order()
        with replica_executor(self.task, order) as executor:
            Scheduler(self.plan, study, executor, show).run()
        write_note(study.optuna, self.plan, "`grokking search` has printed how to confirm it on fresh seeds.")
        return study

    def best(self, study: SharedStudy) -> dict[str, Any] | None:
        """The best trial all of whose seeds generalized: its number, its cost in steps, its values."""
        ranking = best_trials(trial_table(study, self.plan)) if study.ended() else []
        by_number = {trial.number: trial for trial in study.ended()}
        return chosen(by_number[ranking[0]], self.plan) if ranking else None

    def best_steps(self, study: SharedStudy) -> float | None:
        """What the best trial so far has cost."""
        best = study.look().best
        return None if best is None else float(10**best)

    def save(self, values: Mapping[str, Any]) -> Path:
        """Write the best configuration with fresh seeds and splits, for `grokking run` to confirm."""
        replica = self.plan.replicas(values, self.plan.config.confirm)[0]
        seeds = self.plan.config.confirm
        config = _nested(replica.config) | {
            "task": self.section,
            "replicas": {"seeds": [*seeds.seeds], "split_seeds": [*seeds.split_seeds], "grid": {}},
        }
        self.found.parent.mkdir(parents=True, exist_ok=True)
        with self.found.open("w", encoding="utf-8") as file:
            YAML().dump({"config": config}, file)
        return self.found

    def _order(self) -> cyclic.Order | None:
        keys = {key: value for key, value in self.section.items() if key != "name"}
        return cyclic.order_of(load(TaskConfig, keys | {"split_seeds": [0]}, self.plan.where))


def plan_search(task: str, changes: Mapping[str, Any]) -> TaskSearch:
    """The search of a task of the catalogue, with changed values; ConfigError where it cannot be trained."""
    checkout = here()
    if ENTRY not in checkout.catalogue.names("studies"):
        raise ConfigError(f"`studies.{ENTRY}` is not in params.yaml; a search is built from it")
    section, name = _task(checkout, task, changes)
    plan = read_study(_mapping(checkout, task), f"own_{name}", f"studies.{ENTRY}")
    parts = (plan.config.search, plan.config.sustain_seeds, plan.config.confirm)
    replicas = [replica for part in parts for replica in plan.replicas({}, part)]
    seeds = {"seeds": [r.seed for r in replicas], "split_seeds": [r.split_seed for r in replicas], "grid": {}}
    built: Task = task_of({"task": section, "replicas": seeds}, f"tasks.{task}")
    for values, part in itertools.product(plan.extremes(), parts):
        for replica in plan.replicas(values, part):
            require_fit(replica, built, plan.where)
    return TaskSearch(checkout, name, plan, section, monitored(built))


def _task(checkout: Checkout, task: str, changes: Mapping[str, Any]) -> tuple[Config, str]:
    """The task with changed values, as a configuration has it, and its name in files."""
    section = task_section(checkout.catalogue, task)
    whole = checkout.catalogue.entry("studies", ENTRY)["experiment"] | {"task": section}
    config, meant = changed(checkout.catalogue, whole | {"replicas": {"grid": {}}}, changes)
    others = [key for key in meant if not key.startswith("task.")]
    if others:
        raise ConfigError(
            f"`{others[0]}` is no key of a task, and a search takes changes of the task only; for a space of "
            "your own write an entry of `studies` (docs/recipes.md)"
        )
    return config["task"], named_by_changes(task, meant)


def _mapping(checkout: Checkout, task: str) -> Config:
    """The entry `quick` on this task, with a wider space and no published configuration."""
    entry = copy.deepcopy(checkout.catalogue.entry("studies", ENTRY))
    entry["experiment"] |= {"task": task, "budget": BUDGET}
    entry["space"] = WIDTHS | entry["space"]
    entry["pruner"]["exempt_first"] = (
        2  # the known point and one more: a trial that goes on to the budget is slow
    )
    entry["initial_points"] = _known_points(checkout, entry["space"])
    return entry | {"published": {}, "trials": UNLIMITED, "random_baseline": False}


def _known_points(checkout: Checkout, space: Config) -> list[Config]:
    """What the entry's own search has found, tried first: on a similar task it is good already."""
    folder = checkout.root / "results/search" / ENTRY
    if not (folder / BEST).exists():
        return []
    found = read_best(folder)["winner"]["values"]
    return [{key: value for key, value in found.items() if key in space} | KNOWN_WIDTHS]


def _nested(config: ExperimentConfig) -> Config:
    """A loaded experiment as the mapping that it was, lists in place of tuples."""
    plain: Config = json.loads(json.dumps(asdict(config)))
    return plain
