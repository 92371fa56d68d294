"""MLflow as a view: published twice is published once, refilled from files, streamed, never blocking."""

import json
import multiprocessing
import sqlite3
import time
from contextlib import closing
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_task
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stores import PARENT, runs_of

from grokking.engine.evaluation_steps import steps_within
from grokking.experiment import ExperimentConfig
from grokking.tracking import identity, metrics, store, stream
from grokking.tracking.descriptions import NOTE
from grokking.tracking.publish import publish
from grokking.training.loop import train

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn


def rows(root: Path) -> dict[str, int]:
    """How many rows each table of the store has."""
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def test_everything_is_there_for_every_run(client, trained):
    assert publish(client, trained)
    runs = {run.info.run_name: run for run in runs_of(client)}
    assert set(runs) == {PARENT, "seed 0", "seed 1"}
    parent = runs.pop(PARENT)
    table, curves, diagnosed = trained.run.replicas, trained.run.history, trained.diagnosed
    for run in [parent, *runs.values()]:
        assert run.info.status == "FINISHED"
        assert run.data.params["optimizer.learning_rate"] == "0.01"
        assert {"system", "family", "stage", "fingerprint", "experiment"} <= set(run.data.tags)
        assert run.data.tags["group"] == "systems"
        keys = {field.name for field in fields(ExperimentConfig)} & set(table)
        assert {"loss", "budget", "frozen", "role"} <= keys <= set(run.data.params)
        (dataset,) = run.inputs.dataset_inputs
        assert (dataset.dataset.name, dataset.dataset.digest) == ("test", trained.split.digest)
        assert [each["name"] for each in json.loads(dataset.dataset.schema)["mlflow_colspec"]] == list("abc")
        assert run.data.tags["mlflow.source.name"] == "pipelines/train.py"
        assert len(run.data.tags["mlflow.source.git.commit"]) == 40
        assert run.data.params["data.modulus"] == "11"
        assert "A small network." in run.data.tags[NOTE]
        assert "within 12 steps" in run.data.tags[NOTE]
    assert client.list_artifacts(parent.info.run_id, "figures")
    for replica, child in enumerate(runs.values()):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        replica = int(child.data.tags["replica"])
        points = client.get_metric_history(child.info.run_id, "accuracy/validation")
        own = metrics.bends(curves[curves["replica"] == replica].set_index("step")["validation_accuracy"])
        assert [(p.step, p.value) for p in points] == list(own.items())
        assert child.data.metrics["result/steps_run"] == table["steps_run"][replica]
        points = client.get_metric_history(child.info.run_id, "measure/r_sum")
        own = diagnosed[diagnosed["replica"] == replica]
        assert [(p.step, p.value) for p in points] == list(zip(own["step"], own["r_sum"], strict=True))
        assert "measure/ntk/whole" not in child.data.metrics  # it has two hidden layers
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"history.parquet", "replicas.parquet", "run.json", "diagnostics.parquet"} <= names
    assert {"network.safetensors", "summary.md"} <= names


def test_long_curves_are_thinned_out_around_their_events():
    """Nothing is lost at first, at the events and at the end; no gap is longer than promised.

    The kept step is the first evaluation after the wanted one: evaluations are 2 % of the step apart.
    """
    steps = steps_within(20_000)
    row = dict.fromkeys(metrics.EVENTS, float("nan")) | {"generalization_step": float(steps[300])}
    history = pd.DataFrame({"train_accuracy": np.linspace(0, 1, len(steps) - 1)}, index=steps[:-1])
    kept = [step for step, values in metrics.curve_points(history, row) if "accuracy/train" in values]
    every = 2 * metrics.ACCURACIES_SHARE + 1
    assert kept[:every] == steps[:every]
    assert {steps[300], steps[-2]} <= set(kept)
    assert len(kept) < len(steps) / 2
    widest = max((after - before) / before for before, after in pairwise(kept[1:]) if before > every)
    assert widest < 1 / metrics.ACCURACIES_SHARE + 0.02


def test_of_a_flat_stretch_only_the_ends_are_published_and_the_line_is_the_same():
    curve = pd.Series(
        [0.1, 0.1, 0.1, 0.4, 0.4, 0.9, 1.0, 1.0, 1.0, 1.0], index=[0, 1, 2, 3, 5, 8, 9, 10, 20, 40]
    )
    kept = metrics.bends(curve)
    assert list(kept.index) == [0, 2, 3, 5, 8, 9, 40]
    assert list(np.interp(curve.index, kept.index, kept)) == list(curve)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, float("nan")]), min_size=1))
def test_a_curve_without_flat_stretches_is_drawn_alike(values):
    curve = pd.Series(values)
    kept = metrics.bends(curve)
    assert np.isnan(curve).sum() == np.isnan(kept).sum()
    seen, kept = curve.dropna(), kept.dropna()
    if len(seen):
        assert list(np.interp(seen.index, kept.index, kept)) == list(seen)


def test_a_parents_first_crossing_is_a_median_with_those_that_never_crossed(trained):
    three = pd.concat([trained.run.replicas, trained.run.replicas[:1]]).assign(budget=1000)
    crossed = three.assign(first_crossing_step=[100.0, 300.0, float("nan")])
    seldom = three.assign(first_crossing_step=[100.0, float("nan"), float("nan")])
    assert metrics.parent_results(crossed)["result/first_crossing_step"] == 300
    assert metrics.parent_results(seldom)["result/first_crossing_step"] is None


def test_publishing_twice_adds_nothing(client, trained, tmp_path):
    publish(client, trained)
    before = rows(tmp_path)
    assert not publish(client, trained)
    (parent,) = [r for r in runs_of(client) if r.info.run_name == PARENT]
    client.delete_tag(parent.info.run_id, "published")  # as after a crash half-way: everything is sent again
    assert publish(client, trained)
    assert rows(tmp_path) == before


def test_pictures_lie_under_a_slider_once_each(client, trained, tmp_path):
    files = {step: tmp_path / f"{step}.png" for step in (0, 8)}
    for shade, file in enumerate(files.values()):
        Image.new("P", (40, 20), shade).save(file)
    for pictures in (files, {8: files[8]}):
        publish(client, replace(trained, pictures=pictures))
        (parent,) = [run for run in runs_of(client) if run.info.run_name == PARENT]
        names = [Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "images")]
        of_steps = sorted({int(name.split("+")[2]) for name in names})
        assert of_steps == sorted(pictures)
        assert len(names) == 2 * len(pictures)  # whole, and small
        assert parent.data.tags["mlflow.loggedImages"] == "True"


def test_diagnostics_that_come_later_are_added_and_need_not_be_there(client, trained, tmp_path):
    without = replace(trained, diagnostics=tmp_path / "none" / "diagnostics.parquet")
    assert publish(client, without)
    before = rows(tmp_path)
    assert publish(client, trained)
    after = rows(tmp_path)
    assert after["metrics"] > before["metrics"]
    assert {name: count for name, count in after.items() if "metrics" not in name} == {
        name: count for name, count in before.items() if "metrics" not in name
    }
    assert not publish(client, trained)


def test_streamed_evaluations_are_part_of_what_is_published(client, trained, replicas, tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKING_STREAM_AFTER", "0")
    monkeypatch.setattr(stream, "STREAM_EVERY_SECONDS", 0.2)
    fingerprint = trained.run.facts["fingerprint"]
    with stream.Stream("small", "systems", replicas, fingerprint) as streaming:
        for evaluation in train(replicas[:1], make_task(), "cpu"):
            streaming.send(evaluation)
        deadline = time.monotonic() + 30
        while not _points(client) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert {run.info.status for run in runs_of(client)} == {"RUNNING"}
    assert _points(client) == len(trained.run.history.query("replica == 0"))
    publish(client, trained)
    assert {run.info.status for run in runs_of(client)} == {"FINISHED"}
    assert _points(client) == len(trained.run.history.query("replica == 0"))


def _points(client) -> int:
    """Points of validation loss of replica 0."""
    runs = [run for run in runs_of(client) if run.data.tags.get("replica") == "0"]
    return sum(len(client.get_metric_history(run.info.run_id, "accuracy/validation")) for run in runs)


def test_a_store_in_trouble_costs_only_the_view(replicas, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKING_STREAM_AFTER", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens there
    with stream.Stream("small", "systems", replicas, "f" * 32) as streaming:
        started = time.monotonic()
        for evaluation in train(replicas[:1], make_task(), "cpu"):
            streaming.send(evaluation)
        assert time.monotonic() - started < 10
        streaming.thread.join(timeout=60)
    assert "small: not streamed to MLflow" in capsys.readouterr().err


def test_infinite_metrics_are_left_out(client):
    run = client.create_run(store.experiment_id(client, identity.TRAINED))
    store.log(client, run, {}, [(0, {"loss": float("inf"), "norm": 1.0, "none": None})])
    assert client.get_run(run.info.run_id).data.metrics == {"norm": 1.0}


def test_four_processes_create_one_store(tmp_path, monkeypatch):
    """Without the lock all four fail and the database stays broken."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_create_run) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    client = store.connect()
    assert len(client.search_runs([store.experiment_id(client, "race")])) == 4


def _create_run() -> None:
    client = store.connect()
    client.create_run(store.experiment_id(client, "race"))


def test_queued_dvc_experiment_writes_to_the_repository_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(Path(__file__).parent)
    assert store.tracking_uri() == f"sqlite:///{tmp_path.resolve()}/mlruns/mlflow.db"
