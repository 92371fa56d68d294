"""Trials of the benchmark: points and seeds, what is kept of them, targets, held-out workloads."""

import dataclasses
import math
import shutil
import time
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from submissions import ADAMW, OWN_ADAMW, ROOT, add_baselines, only, tiny_benchmark, train
from test_cli import of_committed_results

from grokking.config import ConfigError
from grokking.data.latin_square import random_square
from grokking.engine.stack import initial_model
from grokking.executors.executor import executor
from grokking.leaderboard import assignment, held_out, running, table, targets, verification
from grokking.leaderboard.submission import parse
from grokking.leaderboard.trials import Drawn, points, share_of_range, trials
from grokking.leaderboard.workloads import read_benchmark
from grokking.search.space import suggest

# trials


def test_points_fill_the_space_and_depend_on_the_study_only():
    space = parse("adamw", ADAMW, "adamw.py").declared.SPACE
    first = [point["learning_rate"] for point in points(space, 64, 0)]
    assert first == [point["learning_rate"] for point in points(space, 64, 0)]
    assert first != [point["learning_rate"] for point in points(space, 64, 1)]
    shares = np.log(np.array(first) / 0.02) / np.log(0.1 / 0.02)
    assert np.abs(np.sort(shares) - (np.arange(64) + 0.5) / 64).max() < 1 / 16
    assert [point["learning_rate"] for point in points(space, 2, 0)] == first[:2]


def test_a_share_of_a_range_is_what_its_point_was_drawn_at():
    space = parse("adamw", ADAMW, "adamw.py").declared.SPACE
    (dimension,) = space.values()
    for share in (0.0, 0.25, 0.9):
        value = suggest(Drawn({"learning_rate": share}), space)["learning_rate"]
        assert share_of_range(dimension, value) == pytest.approx(share)


def test_a_training_ends_at_its_budget_unless_a_crossing_is_on_trial():
    def ends(*accuracies: float) -> list[bool]:
        decided = running.Decided(2)
        return [
            decided(SimpleNamespace(step=step, metrics={"validation_accuracy": accuracy}))
            for step, accuracy in enumerate(accuracies)
        ]

    assert ends(0.0, 0.5, 0.9, 1.0) == [False, False, True, True]
    assert ends(0.0, 0.5, 1.0, 1.0, 0.9, 1.0) == [False, False, False, False, True, True]


def test_all_submissions_have_the_same_seeds_and_splits(benchmark):
    pairs = [
        [
            (trial.replica.seed, trial.replica.split_seed)
            for trial in only(benchmark, parse(name, source, name))
        ]
        for name, source in (("adamw", ADAMW), ("own", OWN_ADAMW))
    ]
    assert pairs[0] == pairs[1] == [(n, n) for n in range(4)]


# what is kept


def test_trials_are_trained_once_and_a_changed_rule_again(benchmark):
    submission = parse("adamw", ADAMW, "adamw.py")
    runs = train(benchmark, submission)
    assert len(runs) == 8  # two workloads, two studies, two trials
    never = [row | {"generalization_step": None} for row in runs.to_dict("records")]
    assert running.table_of(never)["generalization_step"].dtype == float  # not of objects
    folder = table.result_folder(benchmark, "adamw")
    written = (folder / running.RUNS).stat().st_mtime_ns
    pd.testing.assert_frame_equal(train(benchmark, submission), runs)
    assert (folder / running.RUNS).stat().st_mtime_ns == written
    changed = parse("adamw", ADAMW.replace('"high": 0.1', '"high": 0.2'), "adamw.py")
    assert not train(benchmark, changed, ["tiny_mlp"])["inputs"].isin(runs["inputs"]).any()


def test_an_interrupted_run_goes_on(benchmark, monkeypatch):
    submission = parse("adamw", ADAMW, "adamw.py")

    def stop(row, left):
        raise KeyboardInterrupt

    folder, asked = (
        table.result_folder(benchmark, "adamw"),
        assignment.trials_by_workload(benchmark, submission, []),
    )
    with pytest.raises(KeyboardInterrupt):
        running.train_missing(submission, asked, asked, folder, stop)
    seen = []
    whole = running.train_missing(
        submission, asked, asked, folder, lambda row, left: seen.append((row, left))
    )
    assert len(whole) == 8
    assert 0 < len(seen) < 8
    assert [sum(left.values()) for _, left in seen] == list(range(len(seen)))[::-1]


def test_a_damaged_table_of_another_submission_leaves_forecasts_to_the_others(benchmark):
    assert table.typical_seconds(benchmark) == {}
    runs = train(benchmark, parse("adamw", ADAMW, "adamw.py"))
    other = table.result_folder(benchmark, "other")
    other.mkdir()
    (other / running.RUNS).write_bytes(b"no table")
    found = table.typical_seconds(benchmark)
    assert found == runs.groupby("workload")["seconds"].mean().to_dict()


def test_after_its_time_verification_begins_no_trial(benchmark):
    submission = parse("adamw", ADAMW, "adamw.py")
    train(benchmark, submission)
    seen = []
    found = verification.verify(benchmark, submission, 0, 0, lambda *trial: seen.append(trial))
    assert (found.kept, found.compared, seen) == (8, 0, [])
    verification.verify(benchmark, submission, 60, 0, lambda *trial: seen.append(trial))
    assert [(text, done, total) for _, text, done, total in seen] == [("", n, 8) for n in range(1, 9)]


@pytest.mark.parametrize(("longest", "reserved"), [(30.0, 45), (1000.0, 300)])
def test_verification_begins_no_trial_that_might_not_end_in_time(benchmark, monkeypatch, longest, reserved):
    submission = parse("adamw", ADAMW, "adamw.py")
    train(benchmark, submission)
    file = table.result_folder(benchmark, "adamw") / running.RUNS
    runs = pd.read_parquet(file)
    runs.loc[3, "seconds"] = longest
    runs.to_parquet(file)
    given = []
    monkeypatch.setattr(verification, "trained", lambda jobs, workers, deadline: given.append(deadline) or ())
    before = time.monotonic()
    verification.verify(benchmark, submission, 600, 0)
    assert 0 <= given[0] - before - (600 - reserved) <= time.monotonic() - before


def test_with_a_deadline_each_worker_has_one_trial_and_none_in_store(benchmark):
    submission, handed = parse("adamw", ADAMW, "adamw.py"), []

    def submit(function, *job):
        handed.append(job)
        future = Future()
        future.set_result(job)
        return future

    workers = SimpleNamespace(workers=2, device="cpu", submit=submit)
    jobs = [(submission, w, t) for w, own in assignment.every_trial(benchmark, submission) for t in own]
    next(running.trained(jobs, workers, time.monotonic() + 60))
    assert len(handed) == 2
    assert [*running.trained(jobs, workers, time.monotonic() - 1)] == []


def test_verification_trains_again_and_finds_a_changed_figure(benchmark):
    submission = parse("adamw", ADAMW, "adamw.py")
    with pytest.raises(ConfigError, match="no results of adamw are here"):
        verification.verify(benchmark, submission, 60, 0)
    train(benchmark, submission)
    found = verification.verify(benchmark, submission, 60, 0)
    assert (found.kept, found.compared, found.differences) == (8, 8, [])
    file = table.result_folder(benchmark, "adamw") / running.RUNS
    runs = pd.read_parquet(file)
    runs.loc[runs["workload"] == "tiny_mlp", "generalization_step"] = 7.0
    runs.to_parquet(file)
    found = verification.verify(benchmark, submission, 60, 0)
    assert len(found.differences) == 4
    assert "generalization_step was 7.0 and is" in found.differences[0]
    runs.assign(inputs="forged").to_parquet(file)
    found = verification.verify(benchmark, submission, 60, 0)
    assert (found.compared, len(found.differences)) == (0, 8)
    assert "are others than the file asks for" in found.differences[0]
    with pytest.raises(ConfigError, match="the 8 kept trials of adamw are of another file of that name"):
        verification.verify(benchmark, parse("adamw", f"{ADAMW}# a comment\n", "adamw.py"), 60, 0)
    table.keep_source(benchmark, submission)
    with pytest.raises(ConfigError, match=r"ranked \(adamw: missing trials: 8 \(8 are kept of an earl"):
        table.rank(benchmark)


def test_verification_sees_what_is_missing_damaged_or_of_another_processor(benchmark):
    submission = parse("adamw", ADAMW, "adamw.py")
    train(benchmark, submission)
    folder = table.result_folder(benchmark, "adamw")
    runs, curves = (pd.read_parquet(folder / name) for name in (running.RUNS, running.CURVES))

    def found(some_runs, some_curves=curves):
        some_runs.to_parquet(folder / running.RUNS)
        some_curves.to_parquet(folder / running.CURVES)
        return verification.verify(benchmark, submission, 60, 0)

    assert (found(runs).missing, found(runs.iloc[:5]).missing) == (0, 3)
    (line,) = found(pd.concat([runs, runs.iloc[:1]])).differences
    assert line.endswith("it is there more than once")
    (line,) = found(
        runs, curves[(curves["study"] != 0) | (curves["trial"] != 0) | (curves["workload"] != "tiny_mlp")]
    ).differences
    assert line == "tiny_mlp, study 0, trial 0: its curve is missing"
    other = curves.copy()
    other.loc[other.index[-1], "validation_loss"] *= 1.001  # in one curve, at one step, and in no row
    (line,) = found(runs, other).differences
    assert line.endswith(": the curves differ")
    seen = found(runs.assign(processor="another", final_train_accuracy=0.5))
    assert (seen.differences, len(seen.elsewhere)) == ([], 8)


@pytest.mark.parametrize("column", running.CURVE)
def test_two_trainings_differ_where_their_curves_do(column):
    """Whatever the rows say; the curves' own numbering of lines does not count."""
    row, curve = {"generalization_step": None}, pd.DataFrame({name: [1.0, 2.0] for name in running.CURVE})
    assert verification.difference(row, row, curve.set_axis([1, 2]), curve.set_axis([7, 8])) == ""
    changed = curve.assign(**{column: [1.0, 2.5]})
    assert verification.difference(row, row, curve, changed) == "the curves differ"
    assert verification.difference(row, row, curve, curve[:1]) == "the curves differ"


def test_what_an_earlier_file_left_is_forgotten(benchmark):
    """A rule that was tuned and now tunes itself: other points, so other trials."""
    train(benchmark, parse("own", OWN_ADAMW, "own.py"))
    source = OWN_ADAMW.replace('"tuned"', '"self-tuning"').replace("1.0, ", '1.0, "learning_rate": 0.05, ', 1)
    itself = parse(
        "own", "\n".join(line for line in source.splitlines() if not line.startswith("SPACE")), "own.py"
    )
    train(benchmark, itself, ["tiny_mlp"])
    seen = verification.verify(benchmark, itself, 60, 0)
    assert (seen.kept, seen.missing, seen.differences) == (8, 0, [])


def test_who_knows_the_answers_by_heart_is_caught_on_the_table_without_a_law(benchmark):
    """Its weights are a table: unit (i, j) sees row i and column j, and votes for their symbol."""
    square = random_square(5, 0)
    first, last = np.zeros((10, 25)), np.zeros((5, 25))
    for unit, (i, j) in enumerate(np.ndindex(5, 5)):
        first[i, unit] = first[5 + j, unit] = 1
        last[square[i, j], unit] = 1
    submission = parse("adamw", ADAMW, "adamw.py")
    workload = benchmark.leak_check
    model = initial_model(trials(submission, workload, benchmark.rules)[0].replica, workload.task)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert list(shapes.values()) == [last.shape, first.shape], shapes
    weights = (*last.ravel().tolist(), *first.ravel().tolist())
    source = (
        f"'''A cheat.'''\nimport torch\n\nRULESET = 'self-tuning'\nWEIGHTS = {weights}\n\n\n"
        "def update(param, grad, state, hparams):\n    param.copy_(torch.tensor([WEIGHTS]))\n"
    )
    cheat = parse("cheat", source, "cheat.py")
    jobs = [(workload, trial) for trial in trials(cheat, workload, benchmark.rules)]
    with executor(2) as workers:
        found = list(running.trained([(cheat, *job) for job in jobs], workers))
    rows, curves = zip(*found, strict=True)
    assert table.leaks(benchmark, pd.DataFrame(rows))
    train(benchmark, submission)
    by_key = dict(zip(map(running.key_of, rows), curves, strict=True))
    running.write(table.result_folder(benchmark, "cheat"), list(rows), by_key)
    for own in (submission, cheat):
        table.keep_source(benchmark, own)
    ranked = table.rank(benchmark)
    assert ranked.not_ranked == {"cheat": "it generalizes on a table without a law"}
    assert list(table.ranking(ranked)["submission"]) == ["adamw"]


# targets


def with_budget(benchmark, budget):
    """The tiny workload; in 60 updates it does not generalize."""
    own = benchmark.workloads["tiny_mlp"]
    return dataclasses.replace(own, config=dataclasses.replace(own.config, budget=budget))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A benchmark whose target was searched for in one go; nobody changes it."""
    benchmark = tiny_benchmark(tmp_path_factory.mktemp("searched") / "checkout")
    add_baselines(benchmark)
    workload, rows = with_budget(benchmark, 1500), []
    assert targets.read_target(benchmark, workload) is None
    target = targets.find_target(benchmark, workload, lambda row, left: rows.append(row))
    return SimpleNamespace(benchmark=benchmark, workload=workload, target=target, rows=pd.DataFrame(rows))


def test_a_target_is_the_lowest_median_of_the_fastest_points(searched):
    rows, benchmark = searched.rows, searched.benchmark
    search = rows[rows["study"] == targets.SEARCH]
    assert len(search) == 8  # four points of two baselines
    for _, row in search.iterrows():  # no trial is longer than the fastest one before its round
        fastest = search.loc[search["trial"] < row["trial"], "generalization_step"].min()
        assert row["budget"] == (1500 if math.isnan(fastest) else fastest)
    again = rows[rows["study"] != targets.SEARCH]
    medians = again.fillna({"generalization_step": math.inf}).groupby("study")["generalization_step"].median()
    assert len(again) == 2 * 3
    assert searched.target.steps == medians.min()
    assert not set(rows["seed"]) & {trial.replica.seed for trial in only(benchmark, parse("a", ADAMW, "a"))}


def test_a_target_that_was_found_is_kept(searched):
    shown = []
    found = targets.find_target(searched.benchmark, searched.workload, lambda row, left: shown.append(row))
    assert (found, shown) == (searched.target, [])
    assert targets.read_target(searched.benchmark, searched.workload) == searched.target
    other = with_budget(searched.benchmark, 1400)
    assert targets.read_target(searched.benchmark, other) is None  # that is another workload


def test_a_search_for_a_target_that_was_interrupted_goes_on(searched, checkout, benchmark):
    """To the target of the one that was not, and no trial is trained twice."""
    seen = []

    def stop(row, left):
        seen.append(row)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        targets.find_target(benchmark, searched.workload, stop)
    found = targets.find_target(benchmark, searched.workload, lambda row, left: seen.append(row))
    assert found == searched.target
    assert len(seen) == len(searched.rows)


def test_a_target_of_a_baseline_that_has_changed_is_none(searched, tmp_path):
    root = shutil.copytree(searched.benchmark.root, tmp_path / "copy")
    benchmark = read_benchmark(root, 1)
    assert targets.read_target(benchmark, searched.workload) == searched.target
    file = root / "leaderboard/submissions/own.py"
    file.write_text(file.read_text().replace('"low": 0.02', '"low": 0.03'))
    assert targets.read_target(benchmark, searched.workload) is None


def test_where_nothing_generalizes_there_is_no_target(checkout, benchmark):
    found = targets.find_target(benchmark, with_budget(benchmark, 5))
    assert found.steps == math.inf
    assert targets.targets_table(benchmark, {"tiny_mlp": found})["target"].tolist() == ["—"]


@of_committed_results
@pytest.mark.parametrize("name", read_benchmark(ROOT, 1).workloads)
def test_a_budget_is_at_least_twice_the_target(name):
    benchmark = read_benchmark(ROOT, 1)
    target = targets.read_target(benchmark, benchmark.workloads[name])
    assert target is not None
    assert benchmark.workloads[name].config.budget >= 2 * target.steps


# held-out workloads


def test_a_held_out_workload_changes_one_thing():
    benchmark = read_benchmark(ROOT, 1)
    kinds = set()
    for workload in benchmark.workloads.values():
        for seed in range(30):
            other = held_out.held_out(workload, seed)
            assert other == held_out.held_out(workload, seed)
            kinds.add(other.changed)
            assert other.config.budget == 2 * workload.config.budget
            changed = [
                key
                for key in ("operation", "train_fraction", "experiment")
                if getattr(other.config, key) != getattr(workload.config, key)
            ]
            assert len(changed) == 1
    assert {"twice the width", "multiplication", "10% wrong labels", "25% of the table"} <= kinds
    assert {"modulus 101", "modulus 61"} <= kinds
