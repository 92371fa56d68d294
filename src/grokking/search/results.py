"""A search from its first trial to the files it leaves, and which of its trials are to be confirmed."""

import json
import os
import socket
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
from grokking.search.study import SharedStudy, StopCondition, open_study
from grokking.search.study_key import study_key
from grokking.search.study_progress import StudyProgress
from grokking.search.sustain import check_in_order
from grokking.storage.runs import checksums, read_facts, require_as_written
from grokking.training.fingerprint import fingerprint

SEARCHED_ARMS = ("winner", "runner_up")  # arms of the confirmation that the search chooses
WANTED = {"search": len(SEARCHED_ARMS), "random": 1}  # how many trials of each search are to be confirmed
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


def write(searches: dict[str, SharedStudy], plan: StudyPlan, task: Task, folder: Path) -> None:
    """Check the best trials of each search, and write what it did and what is to be confirmed.

    `searches` are "search" and, where there is one, "random". Writes trials.parquet, replicas.parquet,
    curves.parquet, best.yaml and, with their sums, run.json. Raises ConfigError where no trial is sustained.
    """
    found = {name: tables.trial_table(study, plan) for name, study in searches.items()}
    sustained = {
        name: _check(study, found[name], WANTED[name], plan, task) for name, study in searches.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(folder)
    written = {
        "trials": {name: t.assign(sustained=t["trial"].map(sustained[name])) for name, t in found.items()},
        "replicas": {name: tables.replica_table(study) for name, study in searches.items()},
        "curves": {name: tables.curve_table(study) for name, study in searches.items()},
    }
    for table, parts in written.items():
        joined = pd.concat([part.assign(arm=name) for name, part in parts.items()], ignore_index=True)
        with _whole(folder / f"{table}.parquet") as fresh:
            joined.to_parquet(fresh, index=False)
    if not any(sustained["search"].values()):
        for file in (BEST, RUN):  # of an earlier search
            (folder / file).unlink(missing_ok=True)
    _write_best(choose(sustained, plan), searches, plan, folder)
    sums = checksums(folder, [*(f"{table}.parquet" for table in written), BEST])
    facts = {"fingerprint": searches["search"].key, "sha256": sums}
    with _whole(folder / RUN) as fresh:
        fresh.write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _check(
    study: SharedStudy, table: pd.DataFrame, wanted: int, plan: StudyPlan, task: Task
) -> dict[int, bool]:
    """Of the trials that were checked, by number, whether their crossings are sustained."""
    checked = check_in_order(tables.ranked(study, table), wanted, plan, task)
    return {number: median is not None for number, median in checked.items()}


def _write_best(
    best: dict[str, tuple[str, int]], searches: dict[str, SharedStudy], plan: StudyPlan, folder: Path
) -> None:
    trials = {name: {trial.number: trial for trial in study.ended()} for name, study in searches.items()}
    entries = {arm: tables.as_chosen(trials[name][number], plan) for arm, (name, number) in best.items()}
    with _whole(folder / BEST) as fresh, fresh.open("w", encoding="utf-8") as file:
        YAML().dump(entries, file)


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Where to write a file that is then put in place: processes that share a study write the same ones."""
    fresh = file.with_name(f".{file.name}.{socket.gethostname()}.{os.getpid()}")
    yield fresh
    fresh.replace(file)


def _remove_left_behind(folder: Path) -> None:
    """Files that a process of this host was writing when it was killed."""
    for file in folder.glob(f".*.{socket.gethostname()}.*"):
        process = file.suffix.removeprefix(".")
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            file.unlink(missing_ok=True)


def choose(sustained: dict[str, dict[int, bool]], plan: StudyPlan) -> dict[str, tuple[str, int]]:
    """Which trials are to be confirmed: by arm the search and the trial's number."""
    kept = {name: [number for number, holds in tried.items() if holds] for name, tried in sustained.items()}
    if not kept["search"]:
        tried = len(sustained["search"])
        known = f"none of {tried} trials generalized for good" if tried else "no trial generalized"
        raise ConfigError(
            f"{known} with the seeds of `{plan.where}`; raise `trials` or the budget, "
            "or widen `space`, and run the search again"
        )
    best = {arm: ("search", number) for arm, number in zip(SEARCHED_ARMS, kept["search"], strict=False)}
    if kept.get("random"):
        best["random_best"] = ("random", kept["random"][0])
    return best


def left_over(folder: Path, arms: Iterable[str]) -> list[Path]:
    """Folders of arms that a study has no longer; whatever else lies there is not ours."""
    gone = {*SEARCHED_ARMS, "random_best", "published"} - set(arms)
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
    found = {arm: plan.replicas(entry["values"], plan.config.confirm) for arm, entry in best.items()}
    return found | ({"published": plan.published(plan.config.confirm)} if plan.config.published else {})
