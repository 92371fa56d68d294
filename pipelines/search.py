"""Stage `search`: an Optuna study of one entry of `studies`; killed and started again, it goes on."""

from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from grokking.config import ConfigError, entry, load, read_params
from grokking.data.monitor import monitored
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.diagnostics.cyclic import Order
from grokking.experiment import Replica
from grokking.search import tables
from grokking.search.config import StudyPlan, random_arm, read_study
from grokking.search.executor import replica_executor
from grokking.search.scheduler import Scheduler
from grokking.search.storage import Storage
from grokking.search.study import (
    SharedStudy,
    StopCondition,
    max_flops,
    max_trials,
    open_study,
    study_key,
)
from grokking.search.study_progress import StudyProgress
from grokking.search.sustain import first_sustained
from grokking.training.fingerprint import fingerprint
from pipelines.stage import PARAMS, SEARCHES, STUDIES, STUDY_SECTIONS, TASK_SECTIONS, named, run
from pipelines.training import read_task

Params = dict[str, dict[str, Any]]
ARMS = ("winner", "runner_up")  # of the search
WANTED = {"search": len(ARMS), "random": 1}  # how many of each study's trials are to be confirmed


def main() -> None:
    parser = named(__doc__, STUDY_SECTIONS)
    parser.add_argument("--storage", help="any Optuna storage URL; without it a file under studies/")
    parser.add_argument("--take-over", action="store_true", help="also trials begun on other hosts")
    arguments = parser.parse_args()
    name, section = arguments.name, arguments.section

    params = read_params(PARAMS)
    plan = read_study(entry(params, section, name), name, f"{section}.{name}")
    replicas = plan.replicas({}, plan.config.search)
    later = [*plan.replicas({}, plan.config.sustain_seeds), *plan.replicas({}, plan.config.confirm)]
    # that the splits of what comes later exist must be known before hours
    task = monitored(read_task(params, [*replicas, *later], plan.where))
    order = order_of(params, replicas[0])

    storage = Storage(STUDIES, arguments.storage, arguments.take_over)

    arms = {"search": searched(plan, task, order, storage, max_trials(plan.config.trials))}
    if plan.config.random_baseline:
        compute = max_flops(float(tables.trial_table(arms["search"], plan)["flops"].sum()))
        arms["random"] = searched(random_arm(plan), task, order, storage, compute)
    write(arms, plan, task, SEARCHES / name)


def order_of(params: Params, replica: Replica) -> Order | None:
    """The cyclic order of the replica's task, where its operation has one."""
    name = replica.config.task
    section = next(section for section in TASK_SECTIONS if name in params[section])
    operation = load(TaskConfig, params[section][name], f"{section}.{name}").operation
    return cyclic.find_order(operation.name, getattr(operation, "modulus", None))


def searched(
    plan: StudyPlan, task: Task, order: Order | None, storage: Storage, stop: StopCondition
) -> SharedStudy:
    """The study with all its trials ended, by this process or by others."""
    core = fingerprint(plan.replicas({}, plan.config.search), task)
    study = open_study(plan, study_key(plan, core), storage, stop)
    with replica_executor(task, order) as executor, StudyProgress(plan) as progress:
        while True:
            Scheduler(plan, study, executor, progress.show).run()
            if not study.running():
                return study
            progress.wait_for_others(study)


def write(arms: dict[str, SharedStudy], plan: StudyPlan, task: Task, folder: Path) -> None:
    """trials.parquet, replicas.parquet and curves.parquet of all arms, and best.yaml."""
    found = {arm: tables.trial_table(study, plan) for arm, study in arms.items()}
    by_number = {arm: {trial.number: trial for trial in study.ended()} for arm, study in arms.items()}
    sustained = {
        arm: first_sustained(
            [by_number[arm][n] for n in tables.best_trials(found[arm])], WANTED[arm], plan, task
        )
        for arm in arms
    }
    written = {
        "trials": {arm: t.assign(sustained=t["trial"].map(sustained[arm])) for arm, t in found.items()},
        "replicas": {arm: tables.replica_table(study) for arm, study in arms.items()},
        "curves": {arm: tables.curve_table(study) for arm, study in arms.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, by_arm in written.items():
        joined = pd.concat([part.assign(arm=arm) for arm, part in by_arm.items()], ignore_index=True)
        joined.to_parquet(folder / f"{name}.parquet", index=False)
    best = chosen(sustained, plan)
    with (folder / "best.yaml").open("w", encoding="utf-8") as file:
        of_arms = {arm: tables.chosen(by_number[of][number], plan) for arm, (of, number) in best.items()}
        YAML().dump(of_arms, file)


def chosen(sustained: dict[str, dict[int, bool]], plan: StudyPlan) -> dict[str, tuple[str, int]]:
    """Which trials are to be confirmed, as study and number."""
    kept = {arm: [number for number, holds in tried.items() if holds] for arm, tried in sustained.items()}
    if not kept["search"]:
        tried = len(sustained["search"])
        known = f"none of {tried} trials generalized for good" if tried else "no trial generalized"
        raise ConfigError(
            f"{known} with the seeds of `{plan.where}`; raise `trials` or the budget, "
            "or widen `space`, and run the search again"
        )
    best = {arm: ("search", number) for arm, number in zip(ARMS, kept["search"], strict=False)}
    if kept.get("random"):
        best["random_best"] = ("random", kept["random"][0])
    return best


if __name__ == "__main__":
    run(main)
