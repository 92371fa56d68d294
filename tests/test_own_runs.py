"""Runs of `grokking run` in MLflow: beside those of the stages, told apart, published once."""

import re
import shutil

import pytest
from laboratory import enter, untrained
from stores import runs_of
from test_cli import call

import grokking
from grokking.tracking.descriptions import NOTE
from grokking.tracking.publish import publish
from pipelines.common.own import own_runs

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """Without results of the stages, on which no own run rests."""
    return untrained(tmp_path_factory.mktemp("own") / "lab", "\n")


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
    assert parent.data.tags["role"] == "variant"
    assert parent.data.params["data.operation.name"] == mine.config["task"]["operation"]["name"]
    told = parent.data.tags[NOTE]
    assert "A run of your own" in told
    assert "Like `wide_mlp`, but budget 20, optimizer.weight_decay 0.5." in told
    points = client.get_metric_history(runs["seed 0"].info.run_id, "loss/validation")
    own = mine.history()
    own = own[own["replica"] == 0]
    assert {(p.step, p.value) for p in points} <= set(zip(own["step"], own["validation_loss"], strict=True))
    assert client.list_artifacts(parent.info.run_id, "figures")


def test_a_run_on_another_task_is_not_of_a_published_system(laboratory, monkeypatch, client):
    enter(laboratory, monkeypatch)
    grokking.train("wide_mlp", steps=20, modulus=7, name="other")
    (other,) = (trained for trained in own_runs() if trained.name == "other")
    publish(client, other)
    (parent,) = (run for run in runs_of(client) if run.info.run_name == "other · own run")
    assert (parent.data.tags["system"], parent.data.tags["role"]) == ("none", "variant")
    shutil.rmtree(laboratory / "artifacts" / "own" / "other")


def test_an_interrupted_run_is_published_and_says_what_is_missing(laboratory, monkeypatch, client):
    enter(laboratory, monkeypatch)
    monkeypatch.setenv("GROKKING_PROCESSES", "1")

    def stop_in_the_second(evaluation):
        if evaluation.replica == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grokking.train("wide_mlp", steps=30, seeds=3, name="part", watch=stop_in_the_second)
    told = "1 of 3 networks are trained to their end: go on with `grokking run wide_mlp budget=30 --seeds 3"
    assert told in call("show", "part")
    assert re.search(r"part .*0 of 1, 2 not trained", call("list", "--group", "own"))
    trained = next(trained for trained in own_runs() if trained.name == "part")
    assert publish(client, trained)
    grokking.train("wide_mlp", steps=30, seeds=3, name="part")
    assert "not trained" not in call("list", "--group", "own")
    shutil.rmtree(laboratory / "artifacts" / "own" / "part")


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
