"""A submission to the benchmark in MLflow: one run with its scores, its space and its files."""

import pytest
from submissions import ADAMW, OWN_ADAMW, train

from grokking.leaderboard.submission import parse
from grokking.tracking import identity, store
from grokking.tracking.submissions import find, publish

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn


def found(benchmark):
    """Two submissions trained, as they lie on disk."""
    for name, source in (("adamw", ADAMW), ("own", OWN_ADAMW)):
        (benchmark.root / f"leaderboard/submissions/{name}.py").write_text(source)
        train(benchmark, parse(name, source, name))
    return find(benchmark.root)


def test_a_submission_is_one_run_with_its_scores_and_files(client, benchmark):
    ranked = found(benchmark)
    assert [publish(client, submitted) for submitted in ranked] == [True, True]
    runs = client.search_runs(
        [store.experiment_id(client, identity.RANKED)], order_by=["metrics.`result/rank`"]
    )
    assert [run.info.run_name for run in runs] == [submitted.name for submitted in ranked]
    first = runs[0]
    assert first.data.metrics["result/score_in_steps"] == ranked[0].steps.score
    assert "result/score_in_seconds" not in first.data.metrics  # nothing was measured
    assert first.data.params["space.learning_rate"] == "log 0.02 to 0.1"
    assert first.data.params["weight_decay"] == "1.0"
    assert first.data.tags["kind"] == "submission"
    files = {file.path for file in client.list_artifacts(first.info.run_id)}
    assert files == {f"{ranked[0].submission.name}.py", "runs.parquet", "curves.parquet"}


def test_publishing_a_submission_twice_adds_nothing_and_a_new_score_is_published(client, benchmark):
    ranked = found(benchmark)
    assert publish(client, ranked[0])
    assert not publish(client, ranked[0])
    (benchmark.root / "results/leaderboard/v1/own/runs.parquet").unlink()
    (alone,) = find(benchmark.root)
    assert publish(client, alone)
    runs = client.search_runs([store.experiment_id(client, identity.RANKED)])
    assert {run.info.run_name for run in runs} == {submitted.name for submitted in ranked[:1]} | {alone.name}


def test_where_nothing_is_ranked_nothing_is_published(benchmark, tmp_path):
    assert find(benchmark.root) == []
    assert find(tmp_path / "elsewhere") == []
