"""A search from its first trial to the files it leaves, and which of its trials are to be confirmed."""

from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.diagnostics.cyclic import Order
from grokking.experiment import Replica
from grokking.search import study, table
from grokking.search.config import StudyPlan
from grokking.search.driver import Search
from grokking.search.lanes import lanes
from grokking.search.progress import Display
from grokking.search.proof import lasting
from grokking.search.study import Enough, Storage, Trials
from grokking.training.fingerprint import fingerprint

ARMS = ("winner", "runner_up")  # of the search
WANTED = {"search": len(ARMS), "random": 1}  # how many of each study's trials are to be confirmed
BEST = "best.yaml"


def search(plan: StudyPlan, task: Task, order: Order | None, storage: Storage, enough: Enough) -> Trials:
    """The study with all its trials ended, by this process or by others."""
    core = fingerprint(plan.replicas({}, plan.config.search), task)
    trials = study.opened(plan, study.study_key(plan, core), storage, enough)
    with lanes(task, order) as lanes_here, Display(plan) as display:
        while True:
            Search(plan, trials, lanes_here, display.show).run()
            if not trials.running():
                return trials
            display.wait_for_others(trials)


def flops(trials: Trials, plan: StudyPlan) -> float:
    """What the training of all trials has cost."""
    return float(table.trial_table(trials, plan)["flops"].sum())


def write(arms: dict[str, Trials], plan: StudyPlan, task: Task, folder: Path) -> None:
    """trials.parquet, replicas.parquet and curves.parquet of all arms, and best.yaml."""
    found = {arm: table.trial_table(trials, plan) for arm, trials in arms.items()}
    by_number = {arm: {trial.number: trial for trial in trials.ended()} for arm, trials in arms.items()}
    proofs = {
        arm: lasting([by_number[arm][n] for n in table.best_trials(found[arm])], WANTED[arm], plan, task)
        for arm in arms
    }
    tables = {
        "trials": {arm: rows.assign(lasts=rows["trial"].map(proofs[arm])) for arm, rows in found.items()},
        "replicas": {arm: table.replica_table(trials) for arm, trials in arms.items()},
        "curves": {arm: table.curve_table(trials) for arm, trials in arms.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, by_arm in tables.items():
        joined = pd.concat([part.assign(arm=arm) for arm, part in by_arm.items()], ignore_index=True)
        joined.to_parquet(folder / f"{name}.parquet", index=False)
    best = chosen(proofs, plan)
    with (folder / BEST).open("w", encoding="utf-8") as file:
        of_arms = {arm: table.chosen(by_number[of][number], plan) for arm, (of, number) in best.items()}
        YAML().dump(of_arms, file)


def chosen(proofs: dict[str, dict[int, bool]], plan: StudyPlan) -> dict[str, tuple[str, int]]:
    """Which trials are to be confirmed, as study and number."""
    proven = {arm: [number for number, lasts in tried.items() if lasts] for arm, tried in proofs.items()}
    if not proven["search"]:
        tried = len(proofs["search"])
        known = f"none of {tried} trials generalised for good" if tried else "no trial generalised"
        raise ConfigError(
            f"{known} with the seeds of `{plan.where}`; raise `trials` or the budget, "
            "or widen `space`, and run the search again"
        )
    best = {arm: ("search", number) for arm, number in zip(ARMS, proven["search"], strict=False)}
    if proven.get("random"):
        best["random_best"] = ("random", proven["random"][0])
    return best


def read_best(folder: Path) -> dict[str, Any]:
    """What `write` has chosen: by arm the trial, its cost and the values it sets."""
    file = folder / BEST
    if not file.exists():
        raise ConfigError(f"{file} does not exist; run `dvc repro search@{folder.name}` first")
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def confirmation_arms(plan: StudyPlan, best: dict[str, Any]) -> dict[str, list[Replica]]:
    """The replicas of each arm on fresh seeds: what the search chose, and what was published."""
    found = {arm: plan.replicas(chosen["values"], plan.config.confirm) for arm, chosen in best.items()}
    return found | ({"published": plan.published(plan.config.confirm)} if plan.config.published else {})
