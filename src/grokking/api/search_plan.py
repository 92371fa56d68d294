"""What `grokking search` runs on a task: the study of a family of networks, put on that task."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grokking.api.checkout import Checkout, here
from grokking.api.keys import flat
from grokking.api.recipe import Config, changed, named_by_changes, task_of, task_section
from grokking.api.searching import TaskSearch
from grokking.config import PARAMS_PREFIX, ConfigError, load
from grokking.data.tasks import Task
from grokking.search.config import SEARCH_HOLD_STEPS, StudyPlan, read_study
from grokking.search.monitored_task import monitored
from grokking.search.results import BEST, read_best
from grokking.search.space import DECAY_RATES, Space, dimensions
from grokking.storage.runs import read_table

FAMILY = "one_hot_mlp"  # unless another is asked for
BUDGET = 1000  # steps at least: a study's own is for its own task, and most trials are stopped long before


@dataclass(frozen=True)
class FamilySearch:
    """What a family's searches have beside the study that they are built from."""

    study: str
    network: Config = field(default_factory=dict)  # of the family's own network, in place of the study's
    # studies whose winners are tried first, each with what is changed of it; without any, that of `study`
    winners: tuple[tuple[str, Config], ...] = ()
    wider: Config = field(default_factory=dict)  # searched beside the space of `study`
    budget: int = BUDGET
    leader_hold_steps: int = SEARCH_HOLD_STEPS


# A step of 256 neurons takes a quarter of that of the 1,024 that `speedrun` has found. Lists are text
NARROW: Config = {"model.hidden_widths": "[256]"}
# Another family, or one without its study, is searched as the first study that trains it
FAMILY_SEARCHES = {
    "one_hot_mlp": FamilySearch(
        "speedrun",
        network={"loss": "mean_squared_error"},
        winners=(("speedrun", NARROW), ("quick", NARROW), ("speedrun", {})),
        wider={
            "model.activation": {"kind": "choice", "values": ["square", "relu", "gelu"]},
            "loss": {"kind": "choice", "values": ["mean_squared_error", "cross_entropy"]},
        },
        leader_hold_steps=300,  # the fastest are those with most decay, which lose their crossings by then
    ),
    "transformer": FamilySearch(
        "system_3",
        winners=(("system_3", {"model.layers": 1}),),
        wider={"model.layers": {"kind": "choice", "values": [1, 2]}},
        budget=300,  # its steps take all training equations
    ),
}
FULL: Config = {"sampling": "full"}
UNLIMITED = 1_000_000  # trials; time is the limit


def plan_search(task: str, changes: Mapping[str, Any], family: str = FAMILY) -> TaskSearch:
    """The search of a task of the catalogue, with changed values; ConfigError where it cannot be trained.

    Values of the network and its training are the same in all trials, and leave the space. Batches are full
    where those of the family's study have more examples than the task has to train on.
    """
    checkout = here()
    _require_task(checkout, task)
    own = _family_search(checkout, family)
    config, meant = changed(checkout.catalogue, _before_changes(checkout, own, task), changes)
    name = named_by_changes(task, meant) + ("" if family == FAMILY else f"-{family}")
    space = checkout.catalogue.entry("studies", own.study)["space"]
    config, meant = _with_batches_that_fit(config, meant, space, task)
    plan = read_study(_mapping(checkout, own, config, meant), f"own-{name}", f"studies.{own.study}")
    built = _task_with_splits(config["task"], plan, f"tasks.{task}")
    plan.require_fit(built)
    return TaskSearch(checkout, name, plan, config["task"], monitored(built))


def _require_task(checkout: Checkout, task: str) -> None:
    """Refuse a study's name, which is easily taken for a task's; other unknown names are refused later."""
    if task in set(checkout.catalogue.names("studies")) - set(checkout.catalogue.names("tasks")):
        own = checkout.catalogue.entry("studies", task)["experiment"]["task"]
        raise ConfigError(
            f"`{task}` is a study, which runs as docs/recipes.md says; a search takes a task, such as {own}"
        )


def _before_changes(checkout: Checkout, own: FamilySearch, task: str) -> Config:
    """The experiment of the family's study with the family's own network, on this task."""
    experiment = checkout.catalogue.entry("studies", own.study)["experiment"]
    whole = experiment | own.network | {"task": task_section(checkout.catalogue, task)}
    return whole | {"budget": max(own.budget, whole["budget"]), "replicas": {"grid": {}}}


def _with_batches_that_fit(config: Config, meant: Config, space: Config, task: str) -> tuple[Config, Config]:
    """The experiment and its changes, with full batches where the study's would be too large or full are set.

    Full batches count as a change, so that no size of a batch is searched.
    """
    if _is_set("batch", meant):
        return config, meant | ({"batch": "full"} if config["batch"] == FULL else {})
    if _batches_fit(config, space, task):
        return config, meant
    return config | {"batch": FULL}, meant | {"batch": "full"}


def _task_with_splits(section: Config, plan: StudyPlan, where: str) -> Task:
    """The task with the splits of all parts of a study."""
    parts = (plan.config.search, plan.config.sustain_seeds, plan.config.confirm)
    seeds = {
        kind: [seed for part in parts for seed in getattr(part, kind)] for kind in ("seeds", "split_seeds")
    }
    return task_of({"task": section, "replicas": seeds | {"grid": {}}}, where)


def families(checkout: Checkout) -> dict[str, str]:
    """The families that can be searched, each with the study that its searches are built from."""
    trained = _family_by_study(checkout)
    found = {family: own.study for family, own in FAMILY_SEARCHES.items() if trained.get(own.study) == family}
    for study, family in trained.items():
        found.setdefault(family, study)
    return found


def _family_by_study(checkout: Checkout) -> dict[str, str]:
    catalogue = checkout.catalogue
    entries = {name: flat(catalogue.entry("studies", name)) for name in catalogue.names("studies")}
    return {name: str(entry.get("experiment.model.family")) for name, entry in entries.items()}


def _family_search(checkout: Checkout, family: str) -> FamilySearch:
    known = families(checkout)
    if family not in known:
        raise ConfigError(
            f"no entry of `studies` trains the family {family!r}, and a search is built from one; families "
            f"with one: {', '.join(known) or '(none)'}; write an entry for yours (docs/recipes.md)"
        )
    own = FAMILY_SEARCHES.get(family)
    return own if own is not None and own.study == known[family] else FamilySearch(known[family])


def _mapping(checkout: Checkout, own: FamilySearch, config: Config, meant: Config) -> Config:
    """The study with this experiment and task: a wider space, nothing published, no limit of trials."""
    entry = copy.deepcopy(checkout.catalogue.entry("studies", own.study))
    wider = own.wider | entry["space"]
    experiment = {key: value for key, value in config.items() if key != "replicas"}
    entry["experiment"] = experiment | {"task": config["task"]["name"]}
    entry["space"] = {key: values for key, values in wider.items() if not _is_set(key, meant)}
    # Two that are never stopped are enough to begin with; more would only show how often the rules are wrong
    entry["pruner"] |= {"exempt_first": 2, "exempt_every": UNLIMITED}
    known = dimensions(load(Space, entry["space"], f"studies.{own.study}.space"))
    points = [*_winners(checkout, own), *entry["initial_points"]]
    entry["initial_points"] = [_held(point, known) for point in points]
    entry |= {
        "published": {},
        "trials": UNLIMITED,
        "random_baseline": False,
        "objective": "steps",
        "round": 1,
        "leader_hold_steps": own.leader_hold_steps,
    }
    return entry


def _batches_fit(config: Config, space: Config, task: str) -> bool:
    """Whether no batch of a study has more examples than there are to train on."""
    one: Config = {"seeds": [0], "split_seeds": [0], "grid": {}}
    equations = task_of({"task": config["task"], "replicas": one}, f"tasks.{task}").train_size(0)
    batches = [config["batch"], *space.get("batch", {}).get("values", [])]
    sizes = [batch.get("size", 0) for batch in batches] + space.get("batch.size", {}).get("values", [])
    return bool(max(sizes) <= equations)


def _is_set(key: str, meant: Config) -> bool:
    """Whether a change sets this key of a space, a part of it, or the section that it is in."""
    keys = {key, *DECAY_RATES.get(key, ())[1:]}
    return any(_holds(one, other) or _holds(other, one) for one in keys for other in meant)


def _holds(section: str, key: str) -> bool:
    return f"{key}.".startswith(f"{section}.")


def _winners(checkout: Checkout, own: FamilySearch) -> Iterator[Config]:
    """The points that studies of this family have found: on a similar task they are good already.

    A key that such a study does not search has the value of its experiment.
    """
    trained = _family_by_study(checkout)
    for name, changed_values in own.winners or ((own.study, {}),):
        folder = checkout.root / "results/search" / name
        if trained.get(name) == trained[own.study] and (folder / BEST).exists():
            not_searched = flat(checkout.catalogue.entry("studies", name)["experiment"])
            yield not_searched | _winner(folder) | changed_values


def _winner(folder: Path) -> Config:
    trials, number = read_table(folder / "trials.parquet"), read_best(folder)["winner"]["trial"]
    row = trials[(trials["arm"] == "search") & (trials["trial"] == number)].iloc[0].to_dict()
    return {str(column).removeprefix(PARAMS_PREFIX): value for column, value in row.items()}


def _held(point: Config, known: Mapping[str, Any]) -> Config:
    """What the space has of a point."""
    return {key: value for key, value in point.items() if key in known and known[key].holds(value)}
