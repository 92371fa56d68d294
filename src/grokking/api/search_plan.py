"""What `grokking search` runs on a task: the study of a family of networks, put on that task."""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokking.api.checkout import Checkout, here
from grokking.api.keys import flat
from grokking.api.recipe import Config, changed, named_by_changes, task_of, task_section
from grokking.api.searching import TaskSearch
from grokking.config import PARAMS_PREFIX, ConfigError, load
from grokking.data.tasks import Task
from grokking.experiment import require_fit
from grokking.search.config import read_study
from grokking.search.monitor import monitored
from grokking.search.results import BEST, read_best
from grokking.search.space import Space, dimensions

FAMILY = "one_hot_mlp"  # unless another is asked for
BUDGET = 1000  # steps at least: a study's own is for its own task, and most trials are stopped long before
# By family, what is searched beside the study's own space, and where that is tried first (lists as text)
WIDER: dict[str, Config] = {
    "one_hot_mlp": {"model.hidden_widths": {"kind": "choice", "values": [[128], [256], [512]]}}
}
FIRST: dict[str, Config] = {"one_hot_mlp": {"model.hidden_widths": "[256]"}}
UNLIMITED = 1_000_000  # trials; time is the limit


def plan_search(task: str, changes: Mapping[str, Any], family: str = FAMILY) -> TaskSearch:
    """The search of a task of the catalogue, with changed values; ConfigError where it cannot be trained."""
    checkout = here()
    study = _study(checkout, family)
    section, name = _task(checkout, study, task, changes)
    named = name if family == FAMILY else f"{name}-{family}"
    plan = read_study(_mapping(checkout, study, task), f"own_{named}", f"studies.{study}")
    parts = (plan.config.search, plan.config.sustain_seeds, plan.config.confirm)
    replicas = [replica for part in parts for replica in plan.replicas({}, part)]
    seeds = {"seeds": [r.seed for r in replicas], "split_seeds": [r.split_seed for r in replicas], "grid": {}}
    built: Task = task_of({"task": section, "replicas": seeds}, f"tasks.{task}")
    for values, part in itertools.product(plan.extremes(), parts):
        for replica in plan.replicas(values, part):
            require_fit(replica, built, plan.where)
    return TaskSearch(checkout, named, plan, section, monitored(built))


def families(checkout: Checkout) -> dict[str, str]:
    """The families that can be searched, each with the first study of it."""
    found: dict[str, str] = {}
    for study in checkout.catalogue.names("studies"):
        family = flat(checkout.catalogue.entry("studies", study)).get("experiment.model.family")
        found.setdefault(str(family), study)
    return found


def _study(checkout: Checkout, family: str) -> str:
    known = families(checkout)
    if family not in known:
        raise ConfigError(
            f"no entry of `studies` trains the family {family!r}, and a search is built from one; families "
            f"with one: {', '.join(known) or '(none)'}; write an entry for yours (docs/recipes.md)"
        )
    return known[family]


def _task(checkout: Checkout, study: str, task: str, changes: Mapping[str, Any]) -> tuple[Config, str]:
    """The task with changed values, as a configuration has it, and its name in files."""
    section = task_section(checkout.catalogue, task)
    whole = checkout.catalogue.entry("studies", study)["experiment"] | {"task": section}
    config, meant = changed(checkout.catalogue, whole | {"replicas": {"grid": {}}}, changes)
    others = [key for key in meant if not key.startswith("task.")]
    if others:
        raise ConfigError(
            f"`{others[0]}` is no key of a task, and a search takes changes of the task only; for a space of "
            "your own write an entry of `studies` (docs/recipes.md)"
        )
    return config["task"], named_by_changes(task, meant)


def _mapping(checkout: Checkout, study: str, task: str) -> Config:
    """The study on this task: more steps, a wider space, no published configuration, no limit of trials."""
    entry = copy.deepcopy(checkout.catalogue.entry("studies", study))
    family = entry["experiment"]["model"]["family"]
    entry["experiment"] |= {"task": task, "budget": max(BUDGET, entry["experiment"]["budget"])}
    entry["space"] = WIDER.get(family, {}) | entry["space"]
    entry["pruner"]["exempt_first"] = 2  # the known point and one more: one that is never stopped is slow
    entry["initial_points"] = [*_winner(checkout, study, family, entry["space"]), *entry["initial_points"]]
    return entry | {"published": {}, "trials": UNLIMITED, "random_baseline": False}


def _winner(checkout: Checkout, study: str, family: str, space: Config) -> list[Config]:
    """The point that the study itself has found, tried first: on a similar task it is good already."""
    folder = checkout.root / "results/search" / study
    if not (folder / BEST).exists():
        return []
    trials, number = pd.read_parquet(folder / "trials.parquet"), read_best(folder)["winner"]["trial"]
    row = trials[(trials["arm"] == "search") & (trials["trial"] == number)].iloc[0].to_dict()
    point = {str(column).removeprefix(PARAMS_PREFIX): value for column, value in row.items()}
    known = dimensions(load(Space, space, f"studies.{study}.space"))
    kept = FIRST.get(family, {}) | point
    return [{key: value for key, value in kept.items() if key in known and known[key].holds(value)}]
