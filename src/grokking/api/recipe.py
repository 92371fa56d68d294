"""The configuration of a run: an experiment together with its task, and changed values of it.

It is one nested mapping: the keys of an experiment, with the task's own keys under `task` and its name as
`task.name`. So `task.split.train_fraction` and `optimizer.weight_decay` are keys of the same kind.
"""

import copy
import dataclasses
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from grokking.api.keys import flat, resolve
from grokking.catalogue import TAGS, Catalogue
from grokking.config import ConfigError, load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.experiment import MOST_REPLICAS, ExperimentConfig, Replica, ReplicasConfig, expand, require_fit

Config = dict[str, Any]
TASK = "task.name"
LONGEST_NAME = 60  # of what `named_by_changes` makes; a run of a search adds its family and trial


def configuration(catalogue: Catalogue, experiment: str) -> Config:
    """The configuration of an entry of `experiments`."""
    entry = catalogue.entry("experiments", experiment)
    return entry | {"task": task_section(catalogue, entry["task"])}


def task_section(catalogue: Catalogue, name: str) -> Config:
    """A task of the catalogue as a section of a configuration; its split seeds follow from the replicas."""
    entry = catalogue.entry("tasks", name)
    return {"name": name} | {key: value for key, value in entry.items() if key != "split_seeds"}


def experiment_of(config: Config) -> Config:
    """The part that `expand` takes."""
    return config | {"task": config["task"]["name"]}


def task_of(config: Config, where: str) -> Task:
    """The task, built with the splits that the replicas need."""
    plan = load(ReplicasConfig, config.get("replicas"), f"{where}.replicas")
    own = {key: value for key, value in config["task"].items() if key != "name"}
    seeds = list(dict.fromkeys(plan.split_seeds))
    return tasks.build(load(TaskConfig, own | {"split_seeds": seeds}, f"{where}.task"), f"{where}.task")


def prepared(config: Config, where: str) -> tuple[list[Replica], Task]:
    """Everything that training needs; ConfigError for whatever could not be trained."""
    _require_task(config, where)
    replicas, task = expand(experiment_of(config), where), task_of(config, where)
    for replica in replicas:
        require_fit(replica, task, where)
    return replicas, task


def _require_task(config: Config, where: str) -> None:
    task = config.get("task")
    if not isinstance(task, Mapping) or not isinstance(task.get("name"), str):
        raise ConfigError(
            f"`{where}.task` must be a mapping with name, operation, labels and split, but got {task!r}"
        )


def changed(catalogue: Catalogue, config: Config, changes: Mapping[str, Any]) -> tuple[Config, Config]:
    """The configuration with these values, and the changes by dotted key.

    Keys may be short names. Tags come first: another task or another optimizer has keys of its own.
    """
    config, meant = copy.deepcopy(config), dict[str, Any]()
    changes = {str(written): _plain(written, value) for written, value in changes.items()}
    tags = {written: tag for written in changes if (tag := _tag(written, config)) is not None}
    task_first = sorted(tags, key=lambda written: tags[written] != TASK)  # it brings tags of its own
    for written in task_first:
        dotted = tags[written]
        _require_new(written, dotted, meant)
        config = _with_tag(catalogue, config, dotted, changes[written])
        meant[dotted] = changes[written]
    for written in [written for written in changes if written not in tags]:
        dotted = resolve(written, _known(config))
        _require_new(written, dotted, meant)
        _set(config, dotted, changes[written])
        meant[dotted] = changes[written]
    _require_complete(config, meant)
    _name_task(config, meant)
    for dotted in meant:
        config["replicas"]["grid"].pop(dotted, None)
    return config, dict(sorted(meant.items()))


def _require_new(written: str, dotted: str, meant: Mapping[str, Any]) -> None:
    if dotted in meant:
        raise ConfigError(f"`{written}` is `{dotted}`, which is given twice; write it once")


def _plain(written: object, value: Any) -> Any:
    """NumPy's numbers as Python's; ConfigError for a value that no file of YAML could hold."""
    try:
        json.dumps(value, default=str)
    except (TypeError, ValueError):  # a key that is a tuple; a list that holds itself
        raise ConfigError(
            f"`{written}` must be a number, a word, a list or a mapping of words, but got {value!r}"
        ) from None
    return _as_yaml(value)


def _as_yaml(value: Any) -> Any:
    """The value as it comes back from a file: lists in place of tuples, Python's numbers."""
    match value:
        case list() | tuple():
            return [_as_yaml(part) for part in value]
        case Mapping():
            return {key: _as_yaml(part) for key, part in value.items()}
        case np.generic():
            return value.item()
    return value


def named_by_changes(origin: str, meant: Mapping[str, Any]) -> str:
    """A name for files: where a configuration comes from and what is changed of it.

    A long one ends in a hash of the changes: it is cut, as the run of a search has more to its name.
    """
    parts = [f"{key.removesuffix('.name').rpartition('.')[2]}={value}" for key, value in meant.items()]
    name = re.sub(r"[^A-Za-z0-9_.=+-]+", "+", "-".join([origin, *parts])).strip("+")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def with_seeds(config: Config, count: int) -> Config:
    """The configuration with this many pairs of seeds: the experiment's own, then further ones."""
    count = _plain("seeds", count)
    if type(count) is not int or not 1 <= count <= MOST_REPLICAS:  # nor True, which is 1
        raise ConfigError(f"`seeds` must be a whole number from 1 to {MOST_REPLICAS}, but got {count!r}")
    known = {key: list(config["replicas"][key]) for key in ("seeds", "split_seeds")}
    more = {key: range(max(own) + 1, max(own) + 1 + count - len(own)) for key, own in known.items()}
    return config | {
        "replicas": config["replicas"] | {key: [*known[key], *more[key]][:count] for key in known}
    }


def _tag(written: str, config: Config) -> str | None:
    """The dotted key where it says of which kind a section is."""
    try:
        dotted = resolve(written, _known(config))
    except ConfigError:
        return None  # perhaps a key of the new kind, looked up later
    return dotted if dotted.rpartition(".")[2] in TAGS and "." in dotted else None


def _with_tag(catalogue: Catalogue, config: Config, dotted: str, value: Any) -> Config:
    """The configuration with a section of another kind: empty, where its keys are other ones."""
    if dotted == TASK:
        if not isinstance(value, str):
            raise ConfigError(f"`task` must be a name of `tasks`, but got {value!r}; write one in quotes")
        return config | {"task": task_section(catalogue, value)}
    section, _, _ = dotted.rpartition(".")
    before, after = (_kind(section, name) for name in (flat(config).get(dotted), value))
    if after is not None and _keys_of(before) != _keys_of(after):
        _set(config, section, {})
    _set(config, dotted, value)
    return config


def _set(config: Config, dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        config = config[key]
    config[last] = copy.deepcopy(value)


def _sections() -> dict[str, list[Any]]:
    """By dotted name of a section, the dataclasses that it may be."""
    found = {}
    for inside, owner in (("", ExperimentConfig), ("task.", TaskConfig)):
        for name, hint in typing.get_type_hints(owner).items():
            members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            if all(map(dataclasses.is_dataclass, members)):
                found[inside + name] = list(members)
    return found


def _kind(section: str, tag: Any) -> Any:
    """The dataclass of a section with this tag; the only one there is, or None for an unknown tag."""
    members = _sections()[section]
    if len(members) == 1:
        return members[0]
    return next((kind for kind in members if tag in _tags(kind)), None)


def _keys_of(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)} if kind else set()


def _tags(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(typing.get_type_hints(kind)[dataclasses.fields(kind)[0].name])


def _known(config: Config) -> list[str]:
    """Every dotted key that there is or may be."""
    return list(dict.fromkeys([*flat(config), *_possible(config)]))


def _possible(config: Config) -> list[str]:
    """Every key that the sections of these kinds may have."""
    known = flat(config)
    keys = []
    for section, members in _sections().items():
        tag = f"{section}.{dataclasses.fields(members[0])[0].name}"
        kind = _kind(section, known.get(tag))
        keys += [f"{section}.{field.name}" for field in dataclasses.fields(kind)] if kind else []
    return keys


def _require_complete(config: Config, meant: Mapping[str, Any]) -> None:
    """Tell all keys at once that a section of another kind needs."""
    known = flat(config)
    missing = [key for key in _possible(config) if key not in known]
    if missing:
        section = missing[0].rpartition(".")[0]
        tag = next((f"{key}={value}" for key, value in meant.items() if key.startswith(section)), section)
        raise ConfigError(f"`{tag}` needs values of its own; add {' '.join(f'{k}=...' for k in missing)}")


def _name_task(config: Config, meant: Mapping[str, Any]) -> None:
    """A changed task is named by what was changed, so that it is never taken for the one in params.yaml."""
    values = [f"{key[5:]}={value}" for key, value in sorted(meant.items()) if key.startswith("task.")]
    own = [text for text in values if not text.startswith("name=")]
    if own:
        config["task"]["name"] = ", ".join([config["task"]["name"], *own])
