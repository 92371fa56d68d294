"""A search from its first trial to the files it leaves, and which of its trials are to be confirmed."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from ruamel.yaml import YAML

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.diagnostics.cyclic import Order
from grokking.experiment import Replica
from grokking.search import tables
from grokking.search.config import StudyPlan
from grokking.search.dashboard import write_note
from grokking.search.executor import replica_executor
from grokking.search.scheduler import Scheduler
from grokking.search.storage import Storage
from grokking.search.study import SharedStudy, StopCondition, open_study, study_key
from grokking.search.study_progress import StudyProgress
from grokking.search.sustain import first_sustained
from grokking.storage.runs import checksums, read_facts, require_as_written
from grokking.training.fingerprint import fingerprint

ARMS = ("winner", "runner_up")  # of the search
WANTED = {"search": len(ARMS), "random": 1}  # how many of each study's trials are to be confirmed
BEST = "best.yaml"
RUN = "run.json"


def search(
    plan: StudyPlan, task: Task, order: Order | None, storage: Storage, stop: StopCondition
) -> SharedStudy:
    """The study with all its trials ended, by this process or by others."""
    core = fingerprint(plan.replicas({}, plan.config.search), task)
    study = open_study(plan, study_key(plan, core), storage, stop)
    with replica_executor(task, order) as executor, StudyProgress(plan) as progress:
        while True:
            Scheduler(plan, study, executor, progress.show).run()
            if not study.running():
                page = f"`reports/search/{plan.name}.md`"
                write_note(study.optuna, plan, f"Confirmed on fresh seeds, with figures: {page}.")
                return study
            progress.wait_for_others(study)


def flops(study: SharedStudy, plan: StudyPlan) -> float:
    """What the training of all trials has cost."""
    return float(tables.trial_table(study, plan)["flops"].sum())


def write(arms: dict[str, SharedStudy], plan: StudyPlan, task: Task, folder: Path) -> None:
    """trials.parquet, replicas.parquet and curves.parquet of all arms, best.yaml, run.json with sums."""
    found = {arm: tables.trial_table(study, plan) for arm, study in arms.items()}
    by_number = {arm: {trial.number: trial for trial in study.ended()} for arm, study in arms.items()}
    ranking = {arm: tables.ranked(study, found[arm]) for arm, study in arms.items()}
    checked = {arm: first_sustained(ranking[arm], WANTED[arm], plan, task) for arm in arms}
    sustained = {arm: {n: median is not None for n, median in own.items()} for arm, own in checked.items()}
    written = {
        "trials": {arm: t.assign(sustained=t["trial"].map(sustained[arm])) for arm, t in found.items()},
        "replicas": {arm: tables.replica_table(study) for arm, study in arms.items()},
        "curves": {arm: tables.curve_table(study) for arm, study in arms.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(folder)
    for name, by_arm in written.items():
        joined = pd.concat([part.assign(arm=arm) for arm, part in by_arm.items()], ignore_index=True)
        with _whole(folder / f"{name}.parquet") as fresh:
            joined.to_parquet(fresh, index=False)
    if not any(sustained["search"].values()):
        for name in (BEST, RUN):  # of an earlier search
            (folder / name).unlink(missing_ok=True)
    best = chosen(sustained, plan)
    of_arms = {arm: tables.chosen(by_number[of][number], plan) for arm, (of, number) in best.items()}
    with _whole(folder / BEST) as fresh, fresh.open("w", encoding="utf-8") as file:
        YAML().dump(of_arms, file)
    sums = checksums(folder, [*(f"{name}.parquet" for name in written), BEST])
    with _whole(folder / RUN) as fresh:
        fresh.write_text(
            json.dumps({"fingerprint": arms["search"].key, "sha256": sums}) + "\n", encoding="utf-8"
        )


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Where to write a file that is then put in place: processes that share a study write the same ones."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    yield fresh
    fresh.replace(file)


def _remove_left_behind(folder: Path) -> None:
    """Files that a process was writing when it was killed."""
    for file in folder.glob(".*"):
        process = file.suffix.removeprefix(".")
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            file.unlink(missing_ok=True)


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


def left_over(folder: Path, arms: Iterable[str]) -> list[Path]:
    """Folders of arms that a study has no longer; whatever else lies there is not ours."""
    gone = {*ARMS, "random_best", "published"} - set(arms)
    return [folder / arm for arm in sorted(gone) if (folder / arm).is_dir()]


def read_key(folder: Path) -> str:
    """The key that the study was searched under; code that was rewritten since has another."""
    file = folder / RUN
    if not file.exists():
        raise ConfigError(f"{file} does not exist; run `dvc repro search@{folder.name}` first")
    return str(read_facts(file)["fingerprint"])


def read_best(folder: Path) -> dict[str, Any]:
    """What `write` has chosen: by arm the trial, its cost and the values it sets."""
    file = folder / BEST
    if not file.exists():
        raise ConfigError(f"{file} does not exist; run `dvc repro search@{folder.name}` first")
    require_as_written(file)
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def confirmation_arms(plan: StudyPlan, best: dict[str, Any]) -> dict[str, list[Replica]]:
    """The replicas of each arm on fresh seeds: what the search chose, and what was published."""
    found = {arm: plan.replicas(chosen["values"], plan.config.confirm) for arm, chosen in best.items()}
    return found | ({"published": plan.published(plan.config.confirm)} if plan.config.published else {})
