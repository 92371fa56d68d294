"""A small study of a quadratic network that learns a + b mod 11 in some tens of steps."""

import os
import time
from pathlib import Path
from typing import Any

from conftest import make_task
from examples import experiment
from ruamel.yaml import YAML

from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import TaskConfig
from grokking.diagnostics import cyclic
from grokking.experiment import Replica
from grokking.search import leases, owner, scheduler
from grokking.search.config import StudyPlan, read_study
from grokking.search.executor import replica_executor
from grokking.search.monitored_task import Monitored, monitored
from grokking.search.pruning import PruningContext
from grokking.search.scheduler import Scheduler
from grokking.search.seed_job import SeedJob, SeedOutcome
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, StopCondition, max_trials, open_study
from grokking.storage import task_files

ORDER = cyclic.find_order("add", 11)
SPACE = {
    "model.init_scale": {"kind": "log", "low": 0.05, "high": 0.2},
    "optimizer.learning_rate": {"kind": "log", "low": 0.02, "high": 0.06},
    "optimizer.decay_rate": {"kind": "log", "low": 0.03, "high": 0.2},
}


def network(**changes: Any) -> dict[str, Any]:
    """The experiment of a study, without replicas."""
    mapping = experiment(
        loss="mean_squared_error",
        precision="float32",
        loss_precision="float32",
        schedule={"name": "constant", "warmup_steps": 0},
        budget=100,
    )
    mapping["model"] |= {
        "hidden_widths": [32], "activation": "square", "alpha": 0.0, "bias": False,
        "initialisation": "standard_normal", "init_scale": 0.1, "output_scale": 1.0,
    }  # fmt: skip
    mapping["optimizer"] |= {"learning_rate": 0.03, "weight_decay": 3.0}
    del mapping["replicas"]
    return mapping | changes


def study_mapping(**changes: Any) -> dict[str, Any]:
    """An entry of `studies`; `changes` replace top-level keys."""
    return {
        "experiment": network(),
        "space": SPACE,
        "initial_points": [],
        "published": {},
        "objective": "steps",
        "trials": 6,
        "search": {"seeds": [0, 1], "split_seeds": [0, 1]},
        "sustain_seeds": {"seeds": [3], "split_seeds": [1]},
        "confirm": {"seeds": [5], "split_seeds": [2]},
        "sampler": {"name": "tpe", "seed": 0, "startup_trials": 3},
        "pruner": {"name": "progress", "racing_factor": 1.5, "exempt_first": 2, "exempt_every": 5},
        "random_baseline": False,
    } | changes


def plan_of(**changes: Any) -> StudyPlan:
    return read_study(study_mapping(**changes), "tiny", "studies.tiny")


def search_task() -> Monitored:
    return monitored(make_task(train_fraction=0.8))


def pruning_context(**changes: Any) -> PruningContext:
    """That of a first trial: nothing is known of others."""
    return PruningContext(
        **{
            "budget": 1000, "limit": float("inf"), "decay_rate": 1e-3, "decay_driven": True,
            "memorization_step": None, "generalization_norm": None, "slack": float("inf"),
        }
        | changes
    )  # fmt: skip


def job_of(replica: Replica, exempt: bool = True, objective: str = "steps", **known: Any) -> SeedJob:
    return SeedJob(replica.index, 0, replica, objective, pruning_context(**known), exempt)


def outcome_of(seed_number: int, cost: float | None = 1.0, **changes: Any) -> SeedOutcome:
    """That of a seed of which only these things matter."""
    return SeedOutcome(
        **{
            "trial": 0, "seed_number": seed_number, "reason": "", "value": 1.0, "gap": 0.0, "cost": cost,
            "step": None, "steps_run": 1, "flops": 1.0, "seconds": 1.0, "memorization_step": None,
            "generalization_norm": None, "stopped_by": None, "stop_step": None, "limit": None,
            "forecast_error": None, "curves": {},
        }
        | changes
    )  # fmt: skip


def open_in(
    folder: Path, plan: StudyPlan, stop: StopCondition | None = None, url: str | None = None
) -> SharedStudy:
    return open_study(plan, "key", Storage(folder, url), stop or max_trials(plan.config.trials))


def search(plan: StudyPlan, folder: Path, stop: StopCondition | None = None) -> SharedStudy:
    """Run the study to its end, or until the stop condition holds."""
    study = open_in(folder, plan, stop)
    with replica_executor(search_task(), ORDER) as executor:
        Scheduler(plan, study, executor).run()
    return study


def search_as(host: str, folder: Path, plan: StudyPlan, lease: float, url: str | None = None) -> None:
    """Search on a host of this name until all trials of the study have ended; in a process of its own."""
    os.setpgid(0, 0)  # its workers are stopped and killed with it
    owner.socket.gethostname = lambda: host
    leases.LEASE_SECONDS, leases.RENEW_SECONDS, scheduler.RENEW_SECONDS = lease, 0.1, 0.1
    folder.mkdir(parents=True, exist_ok=True)
    trials = open_in(folder, plan, url=url)
    with replica_executor(search_task(), ORDER) as executor:
        while True:
            Scheduler(plan, trials, executor).run()
            if not trials.running():
                return
            time.sleep(0.1)


def decisive(outcome: SeedOutcome) -> dict[str, Any]:
    """What may not depend on where or how fast a job ran."""
    return {name: value for name, value in vars(outcome).items() if name != "seconds"}


def stage_folder(folder: Path, **changes: Any) -> Path:
    """A folder with params.yaml and splits in which the stages of the study `tiny` can run."""
    task = {
        "operation": {"name": "add", "modulus": 11},
        "labels": {"name": "exact"},
        "split": {"name": "random", "train_fraction": 0.8},
        "split_seeds": [0, 1, 2],
    }
    study = {"extends": "defaults.study"} | study_mapping(**changes)
    study["experiment"] = {"extends": "defaults.experiment"} | study["experiment"]
    sections = {
        "defaults": {"task": {}, "experiment": {}, "study": {}},
        "tasks": {"test": {"extends": "defaults.task"} | task},
        "studies": {"tiny": study},
    }
    folder.mkdir(exist_ok=True)
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(sections, file)
    task_files.save(
        tasks.build(load(TaskConfig, task, "tasks.test"), "tasks.test"), folder / "results/splits/test"
    )
    return folder
