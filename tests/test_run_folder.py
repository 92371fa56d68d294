"""Results of an experiment on disk: kept in pieces, never trained twice, refused by name where damaged."""

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import every_evaluation, make_task
from examples import experiment

from grokking.config import ConfigError
from grokking.experiment import expand
from grokking.storage import runs, snapshots
from grokking.storage.run_folder import RunFolder
from grokking.training import fingerprint
from grokking.training.workers import train_all


def replicas_of(seeds=(0, 1, 2), **changes):
    return expand(experiment(seeds=seeds, budget=12, **changes), "e")


@pytest.fixture(scope="module")
def task():
    return make_task()


@pytest.fixture(scope="module")
def evaluations(task, tmp_path_factory):
    """Of seeds 0, 1 and 2, by seed."""
    found = every_evaluation(train_all(replicas_of(), task, [], tmp_path_factory.mktemp("checkpoints")))
    return [[e for e in found if e.replica == index] for index in range(3)]


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def without_machine(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=["seconds", "processor"])


@pytest.fixture
def whole(task, evaluations, tmp_path):
    """The folder of a run that was saved at once, and its snapshots."""
    folder = RunFolder(tmp_path / "whole", replicas_of(), task, tmp_path / "networks")
    folder.add([e for own in evaluations for e in own])
    folder.close()
    return tmp_path / "whole", tmp_path / "networks"


def test_a_run_in_pieces_is_the_run_at_once(task, evaluations, whole, tmp_path):
    """Finished in another order, each in a call of its own, the files are the same to the last bit."""
    for number in (2, 0, 1):
        folder = RunFolder(tmp_path / "pieces", replicas_of(), task, tmp_path / "others")
        assert number in [replica.index for replica in folder.unfinished(False)]
        folder.add(evaluations[number])
    RunFolder(tmp_path / "pieces", replicas_of(), task, tmp_path / "others").close()
    at_once, pieces = runs.read(whole[0]), runs.read(tmp_path / "pieces")
    pd.testing.assert_frame_equal(without_machine(pieces.replicas), without_machine(at_once.replicas))
    pd.testing.assert_frame_equal(pieces.history, at_once.history)
    assert pieces.facts["fingerprint"] == at_once.facts["fingerprint"]


def test_only_what_is_missing_is_trained(task, whole):
    """More seeds, fewer seeds, another order and another number: a replica is known by its inputs."""
    folder, networks = whole
    more = RunFolder(folder, replicas_of(seeds=(3, 2, 1, 0)), task, networks)
    assert [replica.seed for replica in more.unfinished(False)] == [3]
    other = RunFolder(folder, replicas_of(seeds=(1,), loss="mean_squared_error"), task, networks)
    assert len(other.unfinished(False)) == 1
    fewer = RunFolder(folder, replicas_of(seeds=(2, 1)), task, networks)
    assert fewer.unfinished(False) == []
    fewer.close()
    run = runs.read(folder)
    assert run.replicas["seed"].tolist() == [2, 1]
    assert run.history["replica"].unique().tolist() == [0, 1]
    assert {path.name for path in networks.iterdir()} == set(run.replicas["inputs"])


def test_copied_tables_are_enough_where_networks_are_not_wanted(task, whole, tmp_path):
    """A clone has the tables from git and no snapshots."""
    shutil.copytree(whole[0], tmp_path / "copied")
    folder = RunFolder(tmp_path / "copied", replicas_of(), task, tmp_path / "none")
    assert folder.unfinished(tables_suffice=True) == []
    assert len(folder.unfinished(tables_suffice=False)) == 3


def test_the_same_outcome_once_more_changes_no_file(task, evaluations, whole):
    """So a study that is repeated in a clone leaves nothing modified."""
    before = written(whole[0])
    shutil.rmtree(whole[1])
    again = RunFolder(whole[0], replicas_of(), task, whole[1])
    again.add([e for own in evaluations for e in own])
    again.close()
    assert written(whole[0]) == before
    assert len(list(whole[1].glob("*/*.safetensors"))) > 0


def test_results_of_other_code_are_trained_again_unless_accepted(task, whole, tmp_path, monkeypatch):
    accepted, results_of = tmp_path / "accepted.json", fingerprint.code_hash()
    monkeypatch.setattr(fingerprint, "ACCEPTED", accepted)
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "another")
    for code, equal, missing in (
        ("another", [], 3),
        ("another", [results_of], 0),
        ("older", [results_of], 3),
    ):
        accepted.write_text(json.dumps({"code": code, "equal": equal}))
        assert len(RunFolder(whole[0], replicas_of(), task, whole[1]).unfinished(False)) == missing


def test_rows_are_kept_where_replicas_have_other_columns(task, tmp_path):
    """The history of a deeper network has columns that are empty for the others."""
    replicas = expand(experiment("one_hot_mlp", budget=12, grid={"model.hidden_widths": [[8], [8, 8]]}), "e")
    found = every_evaluation(train_all(replicas, task, [], tmp_path / "checkpoints"))
    RunFolder(tmp_path / "run", replicas, task).add(found)
    before = written(tmp_path / "run")
    again = RunFolder(tmp_path / "run", replicas, task)
    again.add([replace(e, seconds=e.seconds + 1) for e in found])
    assert not again.changed
    assert written(tmp_path / "run") == before


def test_a_write_that_fails_leaves_the_earlier_run(task, evaluations, whole, monkeypatch):
    before = written(whole[0])
    changed = RunFolder(whole[0], replicas_of(loss="mean_squared_error"), task)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        changed.add(evaluations[0])
    assert written(whole[0]) == before


@pytest.mark.parametrize(
    ("name", "call"), [("rename", 1), ("rename", 2), ("rmtree", 1), ("rmtree", 2), ("rmtree", 3)]
)
def test_who_is_killed_on_the_way_loses_no_replica(
    name, call, task, evaluations, whole, tmp_path, monkeypatch
):
    """A fourth replica has finished; at each renaming, and in the midst of each removal, the process ends."""
    replicas = replicas_of(seeds=(0, 1, 2, 3))
    fourth = every_evaluation(train_all(replicas[3:], task, [], tmp_path / "checkpoints"))
    folder, calls = RunFolder(whole[0], replicas, task), []
    rename, rmtree = Path.rename, shutil.rmtree

    def killed(path, *arguments, **options):
        calls.append(path)
        if len(calls) < call:
            return (rename if name == "rename" else rmtree)(path, *arguments, **options)
        if name == "rmtree" and Path(path).exists():
            next(file for file in Path(path).iterdir() if file.is_file()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(*((Path, "rename") if name == "rename" else (shutil, "rmtree")), killed)
        folder.add(fourth)
    assert len(calls) == call
    left = [replica.index for replica in RunFolder(whole[0], replicas, task).unfinished(True)]
    assert left in ([3], [])
    assert len(runs.read(whole[0]).replicas) == 4 - len(left)


def test_killed_between_two_folders_the_new_one_is_found(task, whole):
    """The earlier folder is gone, the new one whole but not yet in its place."""
    folder = RunFolder(whole[0], replicas_of(), task, whole[1])
    whole[0].rename(folder.unfinished_folder)
    assert RunFolder(whole[0], replicas_of(), task, whole[1]).unfinished(False) == []
    assert runs.exists(whole[0])


def test_killed_before_the_facts_are_in_place_nothing_is_taken_over(task, whole, monkeypatch):
    """run.json comes last: a folder in which it was opened but not yet written is not whole."""
    known = runs.read(whole[0]).facts
    folder = RunFolder(whole[0], replicas_of(), task, whole[1])
    whole[0].rename(folder.unfinished_folder)
    (folder.unfinished_folder / runs.FACTS).unlink()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        runs.write_facts(folder.unfinished_folder, known)
    assert len(RunFolder(whole[0], replicas_of(), task, whole[1]).unfinished(False)) == 3
    assert not whole[0].exists()


@pytest.mark.parametrize("name", ["history.parquet", "replicas.parquet"])
def test_a_damaged_table_is_refused_by_name(name, task, whole):
    flip_a_bit(whole[0] / name)
    with pytest.raises(ConfigError, match=rf"whole/{name} is missing or damaged; restore it"):
        runs.read(whole[0])
    with pytest.raises(ConfigError, match=rf"whole/{name} is missing or damaged"):
        RunFolder(whole[0], replicas_of(), task, whole[1])


def test_a_damaged_or_lost_snapshot_is_refused_by_name(whole):
    of_one = next(whole[1].iterdir())
    steps = snapshots.files(of_one)
    assert min(steps) == 0
    flip_a_bit(steps[0])
    with pytest.raises(ConfigError, match=r"step_0.safetensors is missing or damaged"):
        snapshots.files(of_one)
    steps[0].unlink()
    with pytest.raises(ConfigError, match=r"step_0.safetensors is missing or damaged"):
        snapshots.files(of_one)
    shutil.rmtree(of_one)
    with pytest.raises(ConfigError, match=r"holds no snapshots; run `dvc repro --force train@networks`"):
        snapshots.files(of_one)


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
