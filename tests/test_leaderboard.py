"""The benchmark: scores, and the command."""

import json
import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from submissions import ADAMW, ROOT
from test_cli import call, of_committed_results, refused
from typer.testing import CliRunner

from grokking.cli.main import app
from grokking.config import ConfigError
from grokking.leaderboard import assignment, page, running, scoring, table
from grokking.leaderboard.curves import NETWORK, all_curves
from grokking.leaderboard.submission import parse
from grokking.leaderboard.workloads import Workload, read_benchmark

# the score


def times(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=float)


def test_the_score_is_the_area_under_the_performance_profile():
    """By hand: twice as slow on one of two workloads, missed on the other."""
    inf = math.inf
    found = scoring.integral(times([10, 20], [20, inf], [inf, inf], [30, 20]), 4.0)
    np.testing.assert_allclose(found, [1.0, 0.5 * 2 / 3, 0.0, 0.5 + 0.5 / 3], atol=2e-3)
    assert scoring.integral(times([inf], [inf]), 4.0).tolist() == [0.0, 0.0]


def test_a_profile_counts_the_workloads_within_a_factor():
    found = scoring.shares_within(times([10, 20], [20, math.inf]), [1.0, 1.99, 2.0, 4.0])
    assert found.tolist() == [[1.0] * 4, [0.0, 0.0, 0.5, 0.5]]


def test_the_score_does_not_depend_on_the_unit_of_time():
    found = times([10, 20, 33], [14, 15, 60])
    np.testing.assert_array_equal(scoring.integral(found, 4.0), scoring.integral(7.5 * found, 4.0))


def runs(*steps: float) -> pd.DataFrame:
    """Two studies of two trials of one workload."""
    step = pd.Series(steps, dtype=float)
    return pd.DataFrame(
        {
            "workload": "w",
            "study": [0, 0, 1, 1],
            "trial": [0, 1, 0, 1],
            "generalization_step": step.where(np.isfinite(step)),
            "observed": np.isfinite(step),
            "budget": 100,
            "step_seconds": 0.5,
        }
    )


def test_the_fastest_trial_of_a_study_counts_and_the_median_study():
    own = runs(30, math.inf, 50, 40)
    assert scoring.study_times(own, "steps").tolist() == [30.0, 40.0]
    assert scoring.times(own, "steps").tolist() == [40.0]
    assert scoring.times(own, "seconds").tolist() == [20.0]
    assert scoring.times(runs(30, 30, math.inf, math.inf), "steps").tolist() == [math.inf]


def test_scores_have_intervals_over_trials_and_studies():
    fast, slow, never = runs(10, 11, 10, 12), runs(12, 39, 45, 20), runs(*[math.inf] * 4)
    found = scoring.scores({"slow": slow, "never": never, "fast": fast}, {"w": ""}, "steps", 4.0)
    assert [score.submission for score in found] == ["fast", "slow", "never"]
    for score in found:
        assert score.low <= score.score <= score.high
    assert (found[0].score, found[2].score, found[2].high) == (1.0, 0.0, 0.0)
    assert found[1].high - found[1].low > 0.3
    assert found[0].generalized[0] == 1.0
    assert scoring.difference_p(fast, never, "w") < 0.02 < scoring.difference_p(fast, fast, "w")


def in_three_studies(workload: str, *steps: float) -> pd.DataFrame:
    """Three studies of five trials of a workload."""
    return studies_of(workload, 3, steps)


def studies_of(workload: str, studies: int, steps: Sequence[float]) -> pd.DataFrame:
    """As many studies of a workload, with as many trials each."""
    step, trials = pd.Series(steps, dtype=float), len(steps) // studies
    return pd.DataFrame(
        {
            "workload": workload,
            "study": np.repeat(range(studies), trials),
            "trial": np.tile(range(trials), studies),
            "generalization_step": step.where(np.isfinite(step)),
            "observed": np.isfinite(step),
            "budget": 1000,
        }
    )


def test_a_study_is_drawn_from_the_trials_of_all_studies():
    """One trial of fifteen is fast: how often two of three studies that are drawn anew have it, by hand."""
    own = in_three_studies("w", 10.0, *[50.0] * 14)
    drawn = scoring._resampled({"own": own}, {"w": ""}, "steps")
    fast = 1 - (14 / 15) ** 5  # of a study
    expected = 3 * fast**2 - 2 * fast**3
    error = math.sqrt(expected * (1 - expected) / scoring.RESAMPLES)
    assert abs((drawn == 10.0).mean() - expected) < 5 * error


def test_a_variant_is_missed_where_its_workload_is():
    inf, parents = math.inf, {"w": "", "v": "w"}
    never, variant = in_three_studies("w", *[inf] * 15), in_three_studies("v", *[30.0] * 15)
    both = pd.concat([in_three_studies("w", *[20.0] * 15), variant])
    first, last = scoring.scores({"never": never, "both": both}, parents, "steps", 4.0)
    assert last.times == {"w": inf, "v": inf}
    assert (last.score, last.high, first.score) == (0.0, 0.0, 1.0)
    assert [score.generalized[0] for score in (first, last)] == [1.0, 0.0]
    assert first.generalized == scoring.share_with_interval(15, 15)  # not of 30: all have these trials
    rare = pd.concat([in_three_studies("w", *[20.0, inf, inf, inf, inf] * 3), variant])
    (score,) = scoring.scores({"rare": rare}, parents, "steps", 4.0)
    assert (score.low, score.score) == (0.0, 1.0)  # in draws that miss the workload both are missed


def test_equal_scores_have_equal_ranks():
    never = runs(*[math.inf] * 4)
    found = scoring.scores({"a": never, "b": runs(1, 2, 3, 4), "c": never}, {"w": ""}, "steps", 4.0)
    assert [(score.submission, score.rank) for score in found] == [("b", 1), ("a", 2), ("c", 2)]
    assert [score.ranks for score in found] == [(1, 1), (2, 2), (2, 2)]


@pytest.mark.parametrize(
    ("missed", "risky", "steady", "ranks"),
    [(6, (1.0, 1.0), (2 / 3, 2 / 3), [(1, 1), (2, 2)]), (7, (0.0, 1.0), (2 / 3, 1.0), [(1, 2), (1, 2)])],
)
def test_an_interval_leaves_a_fortieth_of_the_draws_out_on_either_side(missed, risky, steady, ranks):
    """By hand: how often two of three studies of four trials, drawn from twelve, have none that generalizes.

    The risky one is twice as fast as the steady one, and has missed where two of its studies have.
    """
    never = (missed / 12) ** 4  # of the trials of a study
    chance = 3 * never**2 - 2 * never**3
    assert (chance > 0.025) == (missed == 7)
    assert 0.01 < chance < 0.04  # so that an interval of 90 or 99 % would be another in one of the cases
    inf = math.inf
    own = {
        "risky": studies_of("w", 3, [inf] * missed + [10.0] * (12 - missed)),
        "steady": studies_of("w", 3, [20.0] * 12),
    }
    found = {score.submission: score for score in scoring.scores(own, {"w": ""}, "steps", 4.0)}
    assert (found["risky"].low, found["risky"].high) == pytest.approx(risky)
    assert (found["steady"].low, found["steady"].high) == pytest.approx(steady)
    assert [found[name].ranks for name in own] == ranks


def test_who_is_fastest_is_told_from_who_is_better_over_its_whole_space(benchmark):
    """One trial of each study is fast and no other generalizes; all of the other's do, some steps later."""
    submission = parse("adamw", ADAMW, "adamw.py")
    inf = math.inf
    own = {
        "lucky": in_three_studies("w", *[10, inf, inf, inf, inf] * 3),
        "steady": in_three_studies("w", *[12, 13, 14, 15, 16] * 3),
    }
    entries = {name: table.Entry(submission, each, 0, 0, leaks=False) for name, each in own.items()}
    scored = scoring.scores(own, {"w": ""}, "steps", 4.0)
    ranked = table.Ranking([Workload("w", None, {})], scored, {}, entries, {})
    (row,) = page._fastest(ranked).to_dict("records")
    assert row["fastest"] == "lucky"
    assert row[page.COMPARED[0]] == "none"
    assert row[page.COMPARED[1]].startswith("steady (0.0")


def test_best_points_at_an_edge_of_their_range_are_named(benchmark):
    submission = parse("adamw", ADAMW, "adamw.py")
    found = {}
    for rate in (0.021, 0.045, 0.099):
        own = runs(30, 40, 50, 60).assign(point=json.dumps({"learning_rate": rate}))
        entry = table.Entry(submission, own, 0, 0, leaks=False)
        found[rate] = page.at_an_edge(table.Ranking(["w"], [], {}, {"adamw": entry}, {}))
    edge = "`learning_rate` of `adamw`"
    assert found == {0.021: [f"{edge} (low)"], 0.045: [], 0.099: [f"{edge} (high)"]}


# the command


def refused_after_its_title(*arguments: str) -> str:
    """The line on standard error of a command that has printed what it works on."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, (done.output, done.exception)
    return done.stderr


def test_targets_are_searched_for_only_where_a_workload_is_named(checkout):
    missing = "tiny_mlp has no target yet: grokking bench targets --workload tiny_mlp"
    assert missing in call("bench", "targets")
    assert not (checkout / "results/leaderboard").exists()
    found = call("bench", "targets", "--workload", "tiny_mlp")
    assert missing not in found
    assert call("bench", "targets") in found  # the table, with nothing trained again


def test_a_submission_is_run_verified_and_ranked(checkout):
    assert "no results are here" in refused("bench", "table")
    for name in ("adamw", "own"):
        said = call("bench", "run", str(checkout / f"leaderboard/submissions/{name}.py"))
        assert "(0 left, about 00:00)" in said
        assert "8 trials; those that are kept are not trained again" in said  # no variants are drawn
        assert "latin_square: passed, 0 of 4 trials generalized" in said
        assert f"next: grokking bench verify {checkout}/leaderboard/submissions/{name}.py\nthen: " in said
    said = call("bench", "verify", str(checkout / "leaderboard/submissions/own.py"))
    assert "tiny_mlp, study 0, trial 0: the same (" in said
    assert "(8 of 8)" in said
    assert "own: 8 of 8 kept trials trained again, all figures are the same (" in said
    assert "`grokking bench seconds --write` measures all rules" in call("bench", "table")
    assert "trials that generalize" in call("bench", "table", "--write")
    assert (checkout / page.PICTURE).read_bytes().startswith(b"\x89PNG")
    written = (checkout / page.PAGE).read_text()
    assert re.search(r"`own`, \d+ minutes: AdamW written out.", written)
    assert "Not ranked: none." in written
    assert "Seconds: not measured yet." in written
    assert "## Within a factor of the fastest" in written
    assert "wrote" in call("bench", "seconds", "--write")
    assert "score in seconds" in call("bench", "table")
    file = checkout / "curves.parquet"
    assert "wrote 16 curves" in call("bench", "curves", str(file))
    curves = pd.read_parquet(file)
    ends = curves.groupby(NETWORK)["step"].agg(["min", "max"])
    assert len(ends) == 16
    assert (ends["min"] == 0).all()
    assert set(curves["ended"]) <= {"generalized", "budget", "diverged"}
    assert set(curves["rule"]) == {"adamw", "own"}


def test_a_name_that_another_submission_has_is_refused(checkout, tmp_path):
    for name in ("own", "targets"):
        mine = tmp_path / f"{name}.py"
        mine.write_text(ADAMW)
        assert f"another file has the name {name}; give yours a name of its own" in refused(
            "bench", "run", str(mine)
        )
    assert not (checkout / "results").exists()


def test_a_submission_whose_file_is_lost_is_not_ranked_and_the_others_are(checkout):
    for name in ("adamw", "own"):
        call("bench", "run", str(checkout / f"leaderboard/submissions/{name}.py"))
    (checkout / "leaderboard/submissions/own.py").unlink()
    said = call("bench", "table")
    assert "own is not ranked: " in said
    assert "submission.py is no file of text" in said
    assert re.search(r"^ *1 \(1–1\) *adamw\b", said, re.MULTILINE)
    (checkout / "leaderboard/submissions/adamw.py").unlink()
    assert "submission.py is no file of text" in refused("bench", "table")


def test_a_second_run_of_a_submission_at_once_is_refused(checkout, benchmark):
    own = checkout / "leaderboard/submissions/own.py"
    with running.alone(table.result_folder(benchmark, "own")):
        assert "another `grokking bench` is writing to" in refused_after_its_title("bench", "run", str(own))


def test_a_first_run_that_ends_in_an_error_leaves_nothing(benchmark):
    rule = "def update(param, grad, state, hparams):\n    param.sub_(grad[:, :3])\n"
    mine = parse("mine", f'"""Mine."""\n\nRULESET = "self-tuning"\n\n\n{rule}', "mine.py")
    folder = table.result_folder(benchmark, "mine")
    asked = assignment.trials_by_workload(benchmark, mine, [])
    with pytest.raises(ConfigError, match=r"mine, line 7"), table.source_kept(benchmark, mine):
        running.train_missing(mine, asked, asked, folder)
    assert not folder.exists()


def test_a_rule_is_trained_on_variants_of_those_workloads_on_which_it_generalizes(checkout):
    file = checkout / "leaderboard/v1.yaml"
    text = file.read_text().replace("budget: 60", "budget: 1500")
    file.write_text(text.replace("held_out_seed: null", "held_out_seed: 1"))
    slow = checkout / "leaderboard/submissions/slow.py"
    slow.write_text(ADAMW.replace("0.02", "1e-6").replace("0.1}", "1e-5}"))
    said = call("bench", "run", str(checkout / "leaderboard/submissions/own.py"))
    assert "8 trials, then up to 4 on held-out variants" in said
    assert re.search(
        "^now on variants of the workloads where it generalizes: tiny_mlp, .", said, re.MULTILINE
    )
    assert re.search(r"^tiny_mlp, .*: [\d,]+ steps", said, re.MULTILINE)
    said = call("bench", "run", str(slow))
    assert "now on variants" not in said
    assert not re.search("^tiny_mlp, (?!study)", said, re.MULTILINE)
    ranked = table.rank(read_benchmark(checkout, 1))
    assert [own.name for own in ranked.workloads] == ["tiny_mlp", "tiny_mlp_held_out"]
    assert [score.submission for score in ranked.steps] == ["own", "slow"]
    assert set(ranked.steps[1].times.values()) == {math.inf}
    call("bench", "seconds", "--write")
    call("bench", "table", "--write")
    held_out = ranked.workloads[1]
    assert f"tiny_mlp, {held_out.changed}" in (checkout / page.PAGE).read_text()
    assert "all figures are the same" in call("bench", "verify", str(slow))
    runs_file = checkout / "results/leaderboard/v1/own/runs.parquet"
    pd.read_parquet(runs_file).assign(final_train_accuracy=0.5).to_parquet(runs_file)
    done = CliRunner().invoke(app, ["bench", "verify", str(checkout / "leaderboard/submissions/own.py")])
    assert done.stdout.count(f"tiny_mlp, {held_out.changed}, study 0, trial 0: final_train_accuracy") == 2
    assert "held" not in call("bench", "targets")


def test_a_submission_from_elsewhere_is_ranked_and_an_unfinished_one_counts_nowhere(checkout, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(ADAMW.replace("AdamW of", "Mine, in"))
    for file in (mine, checkout / "leaderboard/submissions/own.py"):
        call("bench", "run", str(file))
    assert "not ranked" not in call("bench", "table")
    runs_file = checkout / "results/leaderboard/v1/own/runs.parquet"
    whole = pd.read_parquet(runs_file)
    whole.iloc[:-1].to_parquet(runs_file)
    said = call("bench", "table")
    assert "own is not ranked: missing trials: 1" in said
    assert re.findall(r"^ *1 \(1–1\) *mine\b", said, re.MULTILINE)
    mine.write_text(ADAMW.replace("0.02", "0.03"))
    runs_file.unlink()
    said = call("bench", "run", str(mine), "--workload", "tiny_mlp")
    assert "8 kept trials are of an earlier file, workload or core; they are forgotten" in said
    benchmark = read_benchmark(checkout, 1)
    (submission,) = table.with_results(benchmark)[0]
    assert len(table.entry_of(benchmark, submission).runs) == 8


@of_committed_results
def test_the_committed_page_is_that_of_the_committed_results():
    benchmark = read_benchmark(ROOT, 1)
    assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.page(benchmark, table.rank(benchmark))


def test_wrong_words_are_refused_in_one_line(checkout):
    file = str(checkout / "leaderboard/submissions/own.py")
    assert "the workload nothing is unknown; known: tiny_mlp" in refused(
        "bench", "run", file, "--workload", "nothing"
    )
    workloads = assignment.workloads(read_benchmark(checkout, 1))
    assert len(assignment.chosen_by_name(workloads, ["tiny_mlp", "tiny_mlp"])) == 1
    assert "none.py is no file of text" in refused("bench", "run", "none.py")
    assert "no results of own are here" in refused("bench", "verify", file)


def test_a_difference_ends_with_exit_code_1(checkout):
    file = str(checkout / "leaderboard/submissions/own.py")
    call("bench", "run", file, "--workload", "tiny_mlp")
    runs_file = checkout / "results/leaderboard/v1/own/runs.parquet"
    table_ = pd.read_parquet(runs_file)
    table_["final_train_accuracy"] = 0.5
    table_.to_parquet(runs_file)
    done = CliRunner().invoke(app, ["bench", "verify", file])
    assert done.exit_code == 1
    assert "final_train_accuracy was 0.5 and is" in done.stdout


def test_curves_of_studies_have_the_points_and_ends_of_their_replicas():
    curves = all_curves(table.open_benchmark(ROOT))
    quick = curves[(curves["origin"] == "study") & (curves["workload"] == "quick")].drop_duplicates(NETWORK)
    read = {
        name: pd.read_parquet(ROOT / f"results/search/quick/{name}.parquet")
        for name in ("replicas", "trials")
    }
    assert sorted(quick["ended"]) == sorted(read["replicas"]["reason"])
    rates = read["trials"].set_index(["arm", "trial"])["params/optimizer.learning_rate"]
    for _, own in quick.iterrows():
        assert json.loads(own["point"])["optimizer.learning_rate"] == rates[own["rule"], own["trial"]]
