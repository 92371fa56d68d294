"""How the benchmark of searches reads a study and calls the project's search."""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna

from benchmarks.cases import ROOT
from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.diagnostics.cyclic import Order
from grokking.search.config import StudyPlan, read_study
from grokking.search.executor import replica_executor
from grokking.search.monitored_task import monitored
from grokking.search.scheduler import Scheduler
from grokking.search.space import suggest
from grokking.search.storage import Storage
from grokking.search.study import max_trials, open_study
from grokking.search.tables import replica_table

STUDIES = ("quick", "speedrun", "system_2")
NO_RACING = 1e9  # times the best


@dataclass(frozen=True)
class Study:
    """A study, what its replicas are trained on, and the points that all searches try."""

    plan: StudyPlan
    task: Task
    order: Order | None
    points: list[dict[str, Any]]  # by Optuna's names, one for each trial


def prepare(name: str, trials: int) -> Study:
    """A study by its name in params.yaml, cut to this number of trials."""
    catalogue = read_catalogue(ROOT)
    plan = shortened(read_study(catalogue.entry("studies", name), name, f"studies.{name}"), trials)
    task_name = plan.config.experiment["task"]
    config = load(TaskConfig, catalogue.entry("tasks", task_name), f"tasks.{task_name}")
    task = monitored(tasks.build(config, f"tasks.{task_name}"))
    return Study(plan, task, cyclic.order_of(config), draw_points(plan))


def shortened(plan: StudyPlan, trials: int) -> StudyPlan:
    """The study cut to this number of trials, the same share of them unpruned."""
    pruner = plan.config.pruner
    exempt_first = round(pruner.exempt_first * trials / plan.config.trials)
    config = replace(plan.config, trials=trials, pruner=replace(pruner, exempt_first=exempt_first))
    return replace(plan, config=config)


def draw_points(plan: StudyPlan) -> list[dict[str, Any]]:
    """A point for each trial: the study's initial points, then random ones."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=plan.config.sampler.seed))
    for point in plan.config.initial_points:
        study.enqueue_trial(point)
    trials = [study.ask() for _ in range(plan.config.trials)]
    for trial in trials:
        suggest(trial, plan.config.space)
    return [trial.params for trial in trials]


def without_rules(study: Study) -> Study:
    """The study with neither racing nor pruning."""
    pruner = replace(study.plan.config.pruner, name="none", racing_factor=NO_RACING)
    return replace(study, plan=replace(study.plan, config=replace(study.plan.config, pruner=pruner)))


def run(study: Study, processes: int) -> tuple[int, float | None]:
    """Steps of all replicas, and the lowest median time-to-grok of a trial whose seeds all generalized."""
    plan = replace(study.plan, config=replace(study.plan.config, initial_points=tuple(study.points)))
    environment = patch.dict(os.environ, {"GROKKING_PROCESSES": str(processes)})
    executors = replica_executor(study.task, study.order)
    with environment, tempfile.TemporaryDirectory() as folder, executors as executor:
        trials = open_study(plan, "benchmark", Storage(Path(folder)), max_trials(len(study.points)))
        Scheduler(plan, trials, executor).run()
        best = trials.look().best
        steps = int(replica_table(trials)["steps_run"].sum())
        return steps, None if best is None else 10**best
