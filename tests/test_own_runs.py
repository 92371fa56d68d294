"""Runs of `grokking run` in MLflow: beside those of the stages, told apart, published once."""

import shutil

import pytest
from laboratory import enter, make
from stores import runs_of

import grokking
from grokking.tracking.descriptions import NOTE
from grokking.tracking.publish import publish
from pipelines.common.own import own_runs

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return make(tmp_path_factory.mktemp("own") / "lab")


def test_own_runs_are_published(laboratory, monkeypatch, client):
    enter(laboratory, monkeypatch)
    mine = grokking.train("wide_mlp", weight_decay=0.5, steps=20, seeds=2, name="mine")
    (trained,) = own_runs()
    assert publish(client, trained)
    assert not publish(client, trained)
    runs = {run.info.run_name: run for run in runs_of(client)}
    assert set(runs) == {"system 2 · mine · own run", "seed 0", "seed 1"}
    parent = runs["system 2 · mine · own run"]
    assert parent.data.tags["group"] == "own"
    assert parent.data.params["data.operation.name"] == mine.config["task"]["operation"]["name"]
    told = parent.data.tags[NOTE]
    assert "A run of your own" in told
    assert "Like `wide_mlp`, but budget 20, optimizer.weight_decay 0.5." in told
    points = client.get_metric_history(runs["seed 0"].info.run_id, "loss/validation")
    own = mine.history()
    own = own[own["replica"] == 0]
    assert {(p.step, p.value) for p in points} <= set(zip(own["step"], own["validation_loss"], strict=True))
    assert client.list_artifacts(parent.info.run_id, "figures")


def test_a_run_that_cannot_be_read_does_not_keep_the_others_out(laboratory, monkeypatch, capsys):
    enter(laboratory, monkeypatch)
    old = laboratory / "artifacts" / "own" / "old"
    shutil.copytree(old.with_name("mine"), old)
    config = old / "config.yaml"
    config.write_text(config.read_text().replace("label_noise:", "noise_of_labels:"))
    assert [trained.name for trained in own_runs()] == ["mine"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: old is not published: `old.label_noise` is missing")
    shutil.rmtree(old)


def test_a_run_without_results_is_left_out(laboratory, monkeypatch):
    enter(laboratory, monkeypatch)
    folder = laboratory / "artifacts" / "own" / "begun"
    folder.mkdir(parents=True)
    known = [trained.name for trained in own_runs()]
    (folder / "config.yaml").write_text((folder.parent / "mine" / "config.yaml").read_text())
    assert [trained.name for trained in own_runs()] == known
