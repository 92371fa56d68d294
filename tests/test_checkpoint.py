"""Interrupted training goes on to the same bits."""

import multiprocessing
import os
import pickle
import random
import signal
import time

import pytest
from conftest import every_evaluation, make_task
from examples import experiment

from grokking.config import ConfigError
from grokking.experiment import expand
from grokking.training import history
from grokking.training.checkpoint import Checkpoint
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import train
from grokking.training.state import TrainingState
from grokking.training.workers import train_all

KILLS = 10


def example(family="one_hot_mlp", optimizer="adamw", batch="without_replacement", budget=400, **changes):
    seeds = (0, 1, 2)
    mapping = experiment(family, optimizer, batch, seeds, precision="float32", budget=budget, **changes)
    return expand(mapping, "e")


def assert_same_bits(first, second):
    """Histories and snapshots; seconds differ."""
    assert history.history_table(first).equals(history.history_table(second))
    for one, other in zip(first, second, strict=True):
        assert (one.parameters is None) == (other.parameters is None)
        assert one.finished == other.finished
        for name, value in (one.parameters or {}).items():
            assert value.tobytes() == other.parameters[name].tobytes(), name


def _run(replicas, task, folder, result):
    """In a process group of its own, so that its workers can be killed with it."""
    os.setsid()
    evaluations = every_evaluation(train_all(replicas, task, [], folder))
    partial = result.with_suffix(".part")
    partial.write_bytes(pickle.dumps(evaluations))
    partial.replace(result)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups, which this system lacks")
@pytest.mark.parametrize(
    ("family", "optimizer", "budget"),
    [("transformer", "adamw", 400), ("numpy_mlp", "sgd", 3000)],
)
def test_killed_at_ten_moments_it_ends_at_the_same_bits(family, optimizer, budget, tmp_path, monkeypatch):
    """SIGKILL to driver and workers at random moments; a checkpoint every fifth of a second."""
    monkeypatch.setenv("GROKKING_DEVICE", "cpu")
    monkeypatch.setenv("GROKKING_PROCESSES", "2")
    monkeypatch.setenv("GROKKING_CHECKPOINT_SECONDS", "0.2")
    moments = random.Random(0)
    task, replicas = make_task(), example(family, optimizer, budget=budget)
    started = time.monotonic()
    whole = every_evaluation(train_all(replicas, task, [], tmp_path / "whole"))
    seconds = time.monotonic() - started

    result, kills = tmp_path / "result", 0
    fork = multiprocessing.get_context("fork")
    while not result.exists():
        process = fork.Process(target=_run, args=(replicas, task, tmp_path / "killed", result))
        process.start()
        # all waits together are less than half of the run, lest a machine that speeds up ends it too soon
        process.join(moments.uniform(0, 0.8 * seconds / KILLS) if kills < KILLS else None)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
    assert kills == KILLS
    assert_same_bits(whole, pickle.loads(result.read_bytes()))


def test_an_interrupted_run_does_not_begin_again(tmp_path):
    """Evaluations made before the interruption are yielded from the file, with the time they took."""
    task, replicas = make_task(), example()[:1]
    whole = list(train(replicas, task, "cpu"))
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.every = 0.0
    interrupted = train(replicas, task, "cpu", checkpoint=checkpoint)
    first = [next(interrupted) for _ in range(60)]
    resumed = list(train(replicas, task, "cpu", checkpoint=checkpoint))
    assert [e.seconds for e in resumed[:59]] == [e.seconds for e in first[:59]]
    assert_same_bits(resumed, whole)
    again = list(train(replicas, task, "cpu", checkpoint=checkpoint))
    assert [e.seconds for e in again] == [e.seconds for e in resumed]


def test_a_state_comes_back_with_its_crossings_and_its_seconds(tmp_path):
    """Pending, sustained and none, of the replicas that are left; the seconds to the last bit."""
    task, replicas = make_task(), example()
    state, again = (TrainingState(replicas, task, "cpu") for _ in range(2))
    state.select([0, 2])
    of_first, of_last = (evaluator.detectors for evaluator in state.evaluators)
    of_first["train"].update(5, 1.0)
    of_first["train"].update(505, 1.0)
    of_first["validation"].update(300, 0.99)
    of_last["train"].update(7, 0.995)
    state.stack.update(3)
    state.seconds = 0.1 + 0.2

    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.save(state.to_checkpoint())
    again.restore(checkpoint.load())
    assert again.seconds == 0.1 + 0.2
    assert again.stack.step == 3
    assert [replica.index for replica in again.replicas] == [0, 2]
    assert [evaluator.detectors for evaluator in again.evaluators] == [of_first, of_last]
    assert of_first["train"].sustained
    assert of_last["train"].is_pending


def test_a_crossing_that_is_pending_is_still_pending_after_an_interruption(tmp_path):
    """Memorization begins within the budget and is followed beyond it, to the same step as without one."""
    task, replicas = make_task(train_fraction=0.3), example("numpy_mlp", "adam", "full", budget=80)[:1]
    whole = list(train(replicas, task, "cpu", snapshots=False))
    memorized = history.replica_table(replicas, whole, task)["memorization_step"][0]
    assert 500 <= whole[-1].step - memorized < 520
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.every = 0.0
    interrupted = train(replicas, task, "cpu", checkpoint=checkpoint, snapshots=False)
    assert next(evaluation for evaluation in interrupted if evaluation.step > 100)
    resumed = train(replicas, task, "cpu", checkpoint=Checkpoint(tmp_path, "key"), snapshots=False)
    assert_same_bits(list(resumed), whole)


def test_a_checkpoint_of_another_fingerprint_is_not_used(tmp_path, monkeypatch):
    """The file's name is the fingerprint: another learning rate, split, or code finds nothing."""
    monkeypatch.setenv("GROKKING_DEVICE", "cpu")
    task, replicas, other = make_task(), example(), example(optimizer="sgd")
    every_evaluation(train_all(replicas, task, [], tmp_path))
    files = {file.stem for file in tmp_path.iterdir()}
    assert files == {fingerprint([replica], task) for replica in replicas}
    direct = every_evaluation(train_all(other, task, [], tmp_path / "elsewhere"))
    assert_same_bits(every_evaluation(train_all(other, task, [], tmp_path)), direct)
    assert len({file.stem for file in tmp_path.glob("*.checkpoint")}) == 6


def test_a_replica_of_another_shape_is_refused():
    replicas = expand(experiment(grid={"model.hidden_widths": [[8], [16]]}), "e")
    with pytest.raises(ValueError, match=r"replicas of one stack may differ only in"):
        list(train(replicas, make_task(), "cpu"))


@pytest.mark.parametrize("position", [3, 60, 0.5, -1])
def test_a_damaged_checkpoint_is_refused_by_name(position, tmp_path):
    """One flipped bit in the head, in the records, in a tensor, at the end."""
    task, replicas = make_task(), example()[:1]
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.every = 0.0
    interrupted = train(replicas, task, "cpu", checkpoint=checkpoint)
    for _ in range(20):
        next(interrupted)
    content = bytearray(checkpoint.file.read_bytes())
    content[int(position * len(content)) if isinstance(position, float) else position] ^= 1
    checkpoint.file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"key.checkpoint is damaged; remove it"):
        list(train(replicas, task, "cpu", checkpoint=checkpoint))


def test_a_wrong_interval_is_told_in_one_line(tmp_path, monkeypatch):
    for value in ("often", "-1", "nan"):
        monkeypatch.setenv("GROKKING_CHECKPOINT_SECONDS", value)
        with pytest.raises(ConfigError, match=f"GROKKING_CHECKPOINT_SECONDS must be .*, but got '{value}'"):
            Checkpoint(tmp_path, "key")
