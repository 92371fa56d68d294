"""Values that nobody thought of: any value at any key, any split, journals damaged anywhere.

Hypothesis derives the examples from the tests alone, so that every call tries the same ones.
"""

import math
import re
import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_task
from examples import BATCHES, CLAMPS, FILTERS, MODELS, OPTIMIZERS, experiment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searches import open_in, plan_of, search, study_mapping

from grokking.config import ConfigError, load
from grokking.data import tasks
from grokking.data.splits import SPLITS
from grokking.data.tasks import TaskConfig
from grokking.experiment import expand, require_fit
from grokking.search.config import read_study
from grokking.search.study import max_trials

SAME_EVERY_TIME = settings(
    derandomize=True, deadline=None, database=None, max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-3, 99), st.floats(allow_subnormal=False),
    st.text(max_size=8),
    st.sampled_from([0, -1, 2**31, 2**63, 1e308, -0.0, math.inf, math.nan, "", "none", "1e-3", "..", "yes"]),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=6), SCALARS, max_size=2)
)
TASK = make_task()


def experiments() -> list[dict[str, Any]]:
    """Examples in which every kind of model, optimizer, batch, filter and clamp occurs."""
    kinds = zip_longest(MODELS, OPTIMIZERS, BATCHES, FILTERS, CLAMPS)
    return [
        experiment(
            family or "one_hot_mlp",
            "adamw" if family == "numpy_mlp" else optimizer or "adamw",
            batch or "full",
            gradient_filter=FILTERS[gradient_filter or "none"],
            weight_clamp=CLAMPS[clamp or "none"],
        )
        for family, optimizer, batch, gradient_filter, clamp in kinds
    ]


def paths(mapping: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a mapping, sections included."""
    for key, value in mapping.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from paths(value, (*above, key))


def changed(mapping: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    copy = deepcopy(mapping)
    section = copy
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return copy


TASK_MAPPING = {
    "operation": {"name": "add", "modulus": 11},
    "labels": {"name": "exact"},
    "split": {"name": "random", "train_fraction": 0.5},
    "split_seeds": [0],
}


def read_experiment(mapping: dict[str, Any]) -> None:
    for replica in expand(mapping, "experiments.e"):
        require_fit(replica, TASK, "experiments.e")


ENTRIES = {  # how each kind of entry is read, and examples of it
    "experiments.e": (read_experiment, experiments()),
    "tasks.t": (lambda entry: tasks.build(load(TaskConfig, entry, "tasks.t"), "tasks.t"), [TASK_MAPPING]),
    "studies.s": (lambda entry: read_study(entry, "s", "studies.s"), [study_mapping()]),
}


def require_one_line(told: ConfigError, where: str) -> None:
    """It names a key, and a terminal shows it as one line."""
    message = str(told)
    assert where in message
    assert "\n" not in message
    assert re.search(r"`[^`]+`", message)


@pytest.mark.parametrize("where", ENTRIES)
@SAME_EVERY_TIME
@given(data=st.data(), value=VALUES)
def test_any_value_at_any_key_is_taken_or_refused_in_one_line(where, data, value):
    read, examples = ENTRIES[where]
    mapping, path = data.draw(st.sampled_from([(m, path) for m in examples for path in paths(m)]))
    try:
        read(changed(mapping, path, value))
    except ConfigError as told:
        require_one_line(told, where)


@SAME_EVERY_TIME
@given(
    st.sampled_from([name for name in SPLITS if name not in ("triangle", "two_differences")]),
    st.floats(0.02, 0.98),
    st.integers(5, 29),
    st.integers(0, 2**31 - 1),
)
def test_any_split_is_a_partition_of_the_asked_size_and_the_same_again(name, fraction, modulus, seed):
    mapping = TASK_MAPPING | {
        "operation": {"name": "add", "modulus": modulus},
        "split": {"name": name, "train_fraction": fraction},
        "split_seeds": [seed],
    }
    config = load(TaskConfig, mapping, "tasks.t")
    try:
        task = tasks.build(config, "tasks.t")
    except ConfigError as told:  # a part would be empty
        require_one_line(told, "tasks.t")
        return
    train, validation = task.train_mask(seed), task.validation_mask(seed)
    assert (train ^ validation).all()
    assert 0 < train.sum() < modulus**2
    coarsest = 2 * modulus  # equations that some splits keep together
    assert abs(train.sum() - fraction * modulus**2) <= coarsest
    assert np.array_equal(tasks.build(config, "tasks.t").train_mask(seed), train)


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> Path:
    """That of a finished search, with its sum."""
    folder = tmp_path_factory.mktemp("studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROKKING_DEVICE", "cpu")
        patch.setenv("GROKKING_PROCESSES", "1")
        search(plan_of(), folder, max_trials(2))
    return folder / "tiny.journal"


@SAME_EVERY_TIME
@given(st.data())
def test_a_journal_that_is_damaged_anywhere_is_refused(journal, tmp_path, data):
    """A byte changed, or the end cut off, at any place."""
    whole = journal.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]) | st.none())
    shutil.copy(journal.with_name("tiny.journal.sum"), tmp_path)
    damaged = whole[:at] if byte is None else whole[:at] + bytes([byte]) + whole[at + 1 :]
    (tmp_path / "tiny.journal").write_bytes(damaged)
    with pytest.raises(ConfigError, match="is damaged"):
        open_in(tmp_path, plan_of())
    assert (tmp_path / "tiny.journal").read_bytes() == damaged
