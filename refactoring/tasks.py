"""Digests of tiny tasks: every operation, every way to split a table and to label it."""

import json
from collections.abc import Mapping
from typing import Any

from grokking.config import ConfigError, load
from grokking.data import tasks
from grokking.data.labels import LABELS
from grokking.data.operations import OPERATIONS
from grokking.data.splits import SPLITS
from grokking.data.tasks import Task, TaskConfig
from grokking.storage import task_files
from refactoring.sha256 import Digests, sha256

# What an entry of a task may ask for; each takes the first that it accepts
OPERATION_KEYS: tuple[dict[str, Any], ...] = ({"modulus": 11}, {"degree": 3}, {"size": 7, "seed": 0})
RANDOM = {"name": "random", "train_fraction": 0.6}
SPLIT_KEYS: tuple[dict[str, Any], ...] = ({"train_fraction": 0.6}, {})
LABEL_KEYS: tuple[dict[str, Any], ...] = ({}, {"seed": 0})


def every_task() -> Digests:
    """Every operation, every way to split one and to label one."""
    add = {"name": "add", "modulus": 11}
    found = {
        f"operation={name}": task_of(with_keys(name, OPERATION_KEYS, "operation")) for name in OPERATIONS
    }
    for name in SPLITS:
        found[f"split={name}"] = task_of(add, split=with_keys(name, SPLIT_KEYS, "split"))
    for name in LABELS:
        found[f"labels={name}"] = task_of(add, labels=with_keys(name, LABEL_KEYS, "labels"))
    return {name: {"files": digest_of_task(task)} for name, task in found.items()}


def sums(modulus: int) -> Task:
    return task_of({"name": "add", "modulus": modulus})


def task_of(operation: Mapping[str, Any], **changes: Any) -> Task:
    """A table with its splits, exact labels and random splits where nothing else is asked for."""
    mapping = {"operation": operation, "labels": {"name": "exact"}, "split": RANDOM, "split_seeds": [0, 1, 2]}
    return tasks.build(load(TaskConfig, mapping | changes, "examples"), "examples")


def with_keys(name: str, candidates: tuple[dict[str, Any], ...], section: str) -> dict[str, Any]:
    """The first of the candidates that a task accepts as the keys of this name."""
    for keys in candidates:
        mapping = {"name": name, **keys}
        try:
            task_of(**{"operation": {"name": "add", "modulus": 11}} | {section: mapping})
        except ConfigError as error:
            refusal = error
        else:
            return mapping
    raise ConfigError(f"{section} `{name}` has no example; add its keys to refactoring/tasks.py: {refusal}")


def digest_of_task(task: Task) -> str:
    """Of what the stage `split` writes: equations, splits, description."""
    tables = [json.dumps(table.to_dict("list")).encode() for table in (task.equations, task.splits)]
    return sha256([*tables, json.dumps(task_files.describe(task), sort_keys=True).encode()])
