"""Fingerprints: they change with all that determines a result, and with nothing else."""

import shutil
from dataclasses import replace

import pytest
from conftest import make_task
from examples import SCHEDULES, experiment

from grokking.experiment import expand
from grokking.training import fingerprint as of
from grokking.training.fingerprint import fingerprint, input_hash

code_hash = of.code_hash.__wrapped__  # which is asked once only


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, of which the code's hash is taken."""
    copy = tmp_path / "grokking"
    shutil.copytree(of.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(of, "PACKAGE", copy)
    return copy


def replica_of(**changes):
    return expand(experiment(seeds=(0, 3, 1), **changes), "e")[0]


def moved(task, split_seed):
    """The task with one training equation of a split held out instead."""
    mask = task.train_mask(split_seed).copy()
    mask[mask.argmax()] = False
    return replace(task, splits=task.splits.assign(**{str(split_seed): mask}))


def relabelled(task):
    """The task with the first of its answers changed."""
    equations = task.equations.copy()
    equations.loc[0, "c"] += 1
    return replace(task, table=replace(task.table, equations=equations))


def test_inputs_are_configuration_seeds_and_data(tiny_task):
    replica = replica_of()
    given = [
        (replica, tiny_task),
        (replica_of(budget=31), tiny_task),
        (replica_of(schedule=SCHEDULES["cosine"]), tiny_task),
        (replace(replica, seed=3), tiny_task),
        (replace(replica, split_seed=1), tiny_task),
        (replica, moved(tiny_task, 0)),
        (replica, relabelled(tiny_task)),
        (replica, make_task("subtract")),
    ]
    assert len({input_hash(*each) for each in given}) == len(given)


def test_split_seeds_of_equal_splits_are_other_inputs(tiny_task):
    """The equations of an evaluation's sample are drawn by the split seed."""
    task = replace(tiny_task, splits=tiny_task.splits.assign(**{"1": tiny_task.splits["0"]}))
    assert len({input_hash(replace(replica_of(), split_seed=seed), task) for seed in (0, 1)}) == 2


def test_inputs_are_not_a_replicas_number_nor_the_splits_of_others(tiny_task):
    replica = replica_of()
    own = input_hash(replica, tiny_task)
    assert input_hash(replace(replica, index=7), tiny_task) == own
    assert input_hash(replica, moved(tiny_task, 1)) == own
    assert input_hash(replica_of(), make_task()) == own


@pytest.mark.parametrize(
    "file",
    [
        "config.py",
        "experiment.py",
        "ops/mlp.py",
        "data/batches.py",
        "updates/schedules.py",
        "models/layers.py",
        "engine/stack.py",
        "training/loop.py",
        "executors/process_settings.py",
    ],
)
def test_code_is_every_part_of_the_core(file, package):
    """An edit changes its hash, even of a comment; and so does a file more."""
    before = code_hash()
    content = (package / file).read_bytes()
    (package / file).write_bytes(content + b"# a comment\n")
    assert code_hash() != before
    (package / file).write_bytes(content)
    assert code_hash() == before
    if "/" in file and not file.startswith("executors"):  # of which it takes one file
        (package / file).with_name("another.py").write_text("x = 1\n")
        assert code_hash() != before


def test_code_elsewhere_is_not_hashed(package):
    before = code_hash()
    for file in ("analysis/pages.py", "figures/style.py", "cli/main.py", "search/study.py", "progress.py"):
        with (package / file).open("a") as opened:
            opened.write("# a comment\n")
    (package / "training" / "accepted_code.json").write_text("{}")
    assert code_hash() == before


def test_code_is_the_versions_of_its_libraries_too(monkeypatch):
    before = code_hash()
    torch_version = of.torch.__version__.partition("+")[0]
    for build in ("", "+cpu", "+cu128"):
        monkeypatch.setattr(of.torch, "__version__", torch_version + build)
        assert code_hash() == before
    for library in (of.torch, of.numba):
        with monkeypatch.context() as patch:
            patch.setattr(library, "__version__", "0.0.1")
            assert code_hash() != before


def test_a_fingerprint_covers_the_numbers_the_inputs_and_the_code(tiny_task, monkeypatch):
    """Numbers, since a checkpoint says by number which replicas are still in training."""
    first, second = expand(experiment(seeds=(0, 3)), "e")
    own = fingerprint([first, second], tiny_task)
    assert fingerprint([first, second], make_task()) == own
    others = [
        fingerprint([first], tiny_task),
        fingerprint([first, replace(second, index=7)], tiny_task),
        fingerprint([first, replace(second, seed=6)], tiny_task),
        fingerprint([first, second], moved(tiny_task, 0)),
    ]
    monkeypatch.setattr(of, "code_hash", lambda: "another")
    others.append(fingerprint([first, second], tiny_task))
    assert len({own, *others}) == 6
