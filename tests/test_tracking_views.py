"""Views of MLflow's UI: the store answers the query of each, its columns and charts are of what is there."""

import base64
import json
import zlib

import pytest
from filelock import Timeout

from grokking.tracking import identity, metrics, store, views
from grokking.tracking.descriptions import NOTE
from grokking.tracking.publish import publish
from grokking.tracking.views import VIEWS

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn
KINDS = ("params", "metrics", "tags")


def read(tags: dict[str, str], view: views.View) -> dict:
    """A view as the UI reads it."""
    shared = json.loads(tags[f"mlflow.sharedViewState.{view.key}"])
    assert shared["name"] == view.name
    head, packed = shared["state"].split(";")
    assert head == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_every_view_is_published_and_named_in_the_banner(client):
    views.publish(client)
    for experiment in identity.EXPERIMENTS:
        tags = client.get_experiment_by_name(experiment).tags
        for view in views.of_experiment(experiment):
            state = read(tags, view)
            assert state["searchFilter"] == view.where
            assert state["orderByAsc"]
            assert {section["uuid"] for section in state.get("compareRunSections", [])} >= {
                chart["metricSectionId"] for chart in state.get("compareRunCharts", [])
            }
        for view in VIEWS:
            assert f"({views.address(client, view)[1:]})" in tags[NOTE]


def test_tags_are_written_while_no_other_process_can(client, monkeypatch):
    """MLflow looks for a tag and then adds it; its store refuses the second of two that were added."""
    set_tag, written = client.set_experiment_tag, []

    def set_alone(experiment_id, key, value):
        with pytest.raises(Timeout), store.creating(client).acquire(timeout=0):
            pass
        written.append(key)
        set_tag(experiment_id, key, value)

    monkeypatch.setattr(client, "set_experiment_tag", set_alone)
    views.publish(client)
    assert len(written) == len(VIEWS) + 2 * len(identity.EXPERIMENTS)


def test_views_are_the_same_bytes_each_time(client):
    views.publish(client)
    first = client.get_experiment_by_name(identity.TRAINED).tags
    views.publish(client)
    assert client.get_experiment_by_name(identity.TRAINED).tags == first


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.key)
def test_the_store_answers_the_query_of_every_view(client, trained, view):
    """MLflow has no IN for tags, for example."""
    publish(client, trained)
    order = [f"{views.quoted(view.order)} ASC"]
    found = client.search_runs([store.experiment_id(client, view.experiment)], view.where, order_by=order)
    shown = {"leaderboard", "curves"}
    assert [run.data.tags["kind"] for run in found] == (["experiment"] if view.key in shown else [])


def test_a_run_that_did_not_grok_wins_no_leaderboard(client):
    leaderboard = VIEWS[0]
    experiment = store.experiment_id(client, leaderboard.experiment)
    tags = {"kind": "experiment", "role": "variant"}
    rows = {
        "grokked late": {"generalization_step": 900.0, "memorization_step": 300.0},
        "grokked soon": {"generalization_step": 300.0, "memorization_step": 100.0},
        "no grokking": {"generalization_step": 299.0, "memorization_step": 100.0},
        "censored": {"generalization_step": float("nan"), "memorization_step": 10.0},
        "never": {"generalization_step": float("nan"), "memorization_step": float("nan")},
    }
    others = dict.fromkeys(
        ("first_crossing_step", "final_train_accuracy", "final_validation_accuracy", "steps_run"), 1.0
    )
    for name, row in rows.items():
        run = store.create_run(client, experiment, name, tags)
        points = [(0, metrics.replica_results(row | others | {"examples": 1, "flops": 1, "seconds": 1.0}))]
        store.log(client, run, {}, points)
    order = [f"{views.quoted(leaderboard.order)} ASC"]
    found = client.search_runs([experiment], leaderboard.where, order_by=order)
    names = [run.info.run_name for run in found]
    assert names[:2] == ["grokked soon", "grokked late"]
    assert set(names[2:]) == set(rows) - set(names[:2])


def test_what_the_columns_and_charts_show_is_published(client, trained):
    """Of the small run, which has no published number and is no search, everything else is there."""
    publish(client, trained)
    experiment = store.experiment_id(client, identity.TRAINED)
    runs = client.search_runs([experiment])
    there = {f"{kind}.{key}" for kind in KINDS for run in runs for key in getattr(run.data, kind)}
    unknown = {"params.data.operation.name", "params.data.split.train_fraction", "params.published"}
    unknown |= {"tags.verdict"}
    unknown |= {views.TIME_TO_GROK, views.RATIO, views.GENERALIZED, views.MEMORIZED}  # in twelve steps
    for view in views.of_experiment(identity.TRAINED):
        missing = {column for column in view.columns if "published/" not in column} - there
        assert missing <= unknown, view.name
    drawn = {
        key
        for view in VIEWS
        for chart in view.charts
        if isinstance(chart, views.Lines)
        for key in chart.metrics
    }
    assert {f"metrics.{key}" for key in drawn} <= there
