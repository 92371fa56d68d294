"""The benchmark of time-to-grok: what a submission may do, its trials, what is kept of them, the score."""

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from test_cli import call, of_committed_results, refused
from typer.testing import CliRunner

from grokking.cli.main import app
from grokking.config import ConfigError
from grokking.data.latin_square import random_square
from grokking.engine.stack import initial_model
from grokking.executors.executor import executor
from grokking.leaderboard import held_out, page, running, scoring, table, targets, verification
from grokking.leaderboard.submission import parse, read_submission
from grokking.leaderboard.trials import Drawn, points, share_of_range, trials
from grokking.leaderboard.workloads import read_benchmark
from grokking.search.space import suggest
from grokking.updates.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[1]
SUBMISSIONS = sorted((ROOT / "leaderboard/submissions").glob("*.py"))
ADAMW = """'''AdamW of the laboratory.'''
RULESET = "tuned"
SETTINGS = {"optimizer.name": "adamw", "epsilon": 1e-8, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.98}
SPACE = {"learning_rate": {"kind": "log", "low": 0.02, "high": 0.1}}
"""
OWN_ADAMW = """'''AdamW written out.'''
import torch

RULESET = "tuned"
SETTINGS = {"epsilon": 1e-8, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.98}
SPACE = {"learning_rate": {"kind": "log", "low": 0.02, "high": 0.1}}
STATE = ("mean", "square")


def update(param, grad, state, hparams):
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    param.mul_(1 - h["learning_rate"] * h["weight_decay"])
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    mean = state["mean"] / (1 - h["beta1"] ** h["step"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    param.sub_(h["learning_rate"] * mean / (square.sqrt() + h["epsilon"]))
"""


@pytest.fixture(autouse=True)
def no_rule_stays_known():
    """A submission's rule is known while it is used: the laboratory's own choices are what they were."""
    known = list(OPTIMIZERS)
    yield
    assert list(OPTIMIZERS) == known


@pytest.fixture
def benchmark(tmp_path):
    """A tiny one, in a folder of its own."""
    (tmp_path / "leaderboard/submissions").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("tiny_leaderboard.yaml"), tmp_path / "leaderboard/v0.yaml")
    return read_benchmark(tmp_path, 0)


def train(benchmark, submission, names=()):
    folder = table.result_folder(benchmark, submission.name)
    return running.train_missing(submission, table.trials_by_workload(benchmark, submission, names), folder)


def trained_alone(job):
    with executor(1) as workers:
        return list(running.trained([job], workers))


def only(benchmark, submission):
    """The trials of its one workload."""
    return trials(submission, benchmark.workloads["tiny_mlp"], benchmark.rules)


# what a submission may hold


@pytest.mark.parametrize("path", SUBMISSIONS, ids=lambda path: path.stem)
def test_every_submission_of_the_laboratory_can_be_trained_on_every_workload(path):
    benchmark = read_benchmark(ROOT, 0)
    asked = table.trials_by_workload(benchmark, read_submission(path), [])
    assert [workload.name for workload, _ in asked] == ["latin_square", *benchmark.workloads]
    assert {len(own) for _, own in asked} <= {15, 3}


TOP, INSIDE = "\n", "\n\n\ndef f(grad):\n    "
HARMFUL = {
    TOP + "import os": "only `import math` and `import torch` are allowed",
    TOP + "import torch.utils": "only `import math` and `import torch` are allowed",
    TOP + "import torch as t": "only `import math` and `import torch` are allowed",
    TOP + "from grokking.data import tasks": "only `import math` and `import torch` are allowed",
    TOP + "x = open('params.yaml')": "a constant is written out, not computed",
    TOP + "x = 1 / 0": "a constant is written out, not computed",
    TOP + "def f(grad=open('x')):\n    return grad": "its defaults are constants",
    TOP + "@abs\ndef f(grad):\n    return grad": "a function has no decorator",
    TOP + "def f(*, grad=open('x')):\n    return grad": "its defaults are constants",
    TOP + "def f(grad: torch.zeros(9)):\n    return grad": "a function has no annotations",
    TOP + "def f(grad) -> torch.zeros(9):\n    return grad": "a function has no annotations",
    INSIDE + "match grad:\n        case list(grad_fn=1):\n            return grad": "`match` has no use",
    TOP + "class Rule:\n    pass": "only imports, constants and functions stand at the top",
    TOP + "for i in range(3):\n    pass": "only imports, constants and functions stand at the top",
    TOP + "print('x')": "only imports, constants and functions stand at the top",
    INSIDE + "import os": "imports stand at the top",
    INSIDE + "return open('params.yaml')": "`open` is not allowed",
    INSIDE + "return __import__('os')": "`__import__` is not allowed",
    INSIDE + "return getattr(torch, 'os')": "`getattr` is not allowed",
    INSIDE + "return torch.os.system('ls')": "`torch.os` is not allowed",
    INSIDE + "return torch.load('task.pt')": "`torch.load` is not allowed",
    INSIDE + "return torch.linalg.torch.os": "`torch.linalg.torch` is not allowed",
    INSIDE + "t = torch.linalg\n    return t.torch": "`torch.linalg` is written before",
    INSIDE + "t = torch\n    return t.os": "`torch` is written before the name of a function",
    INSIDE + "return grad.__class__": "`.__class__` reaches beyond the tensors",
    INSIDE + "return grad.grad_fn": "`.grad_fn` reaches beyond the tensors",
    INSIDE + "return (x for x in grad).gi_frame": "`.gi_frame` reaches beyond the tensors",
    INSIDE + "return '{0.__globals__}'.format(f)": "`.format` reaches beyond the tensors",
    INSIDE + "math.kept = grad": "attributes are not assigned",
    INSIDE + "global found\n    found = grad": "`global` has no use",
    INSIDE + "return grad.normal_()": "`.normal_` reaches beyond the tensors",
    INSIDE + "return grad.register_hook(f)": "`.register_hook` reaches beyond the tensors",
    INSIDE + "yield from grad": "`yieldfrom` has no use",
    TOP + "kept = []\n\n\ndef f(grad):\n    return kept": "a constant cannot change: use a tuple",
    TOP + "def f(grad, kept={}):\n    return kept": "its defaults are constants",
}


@pytest.mark.parametrize("code", HARMFUL)
def test_what_reaches_beyond_the_tensors_is_refused_with_its_line(code):
    with pytest.raises(ConfigError) as error:
        parse("cheat", OWN_ADAMW + code, "cheat.py")
    assert "cheat.py, line " in str(error.value)
    assert HARMFUL[code] in str(error.value)


WRONG = {
    "SETTINGS = {": (
        "SETTINGS = {'model.width': 3,",
        "set hyperparameters of the rule and keys of optimizer",
    ),
    'RULESET = "tuned"': ('RULESET = "fast"', "RULESET"),
    "'''AdamW written out.'''": ("", "has no docstring"),
    "def update(": ("def updates(", "needs a function `update` or the setting optimizer.name"),
    '"low": 0.02': '"low": 0.2',
    "import torch": ("import torch\n\nx = (", "write plain Python"),
    "(param, grad, state, hparams)": ("(param, grad)", "update takes param, grad, state, hparams"),
    '"learning_rate": {"kind"': (
        '"leanring_rate": {"kind"',
        "gives leanring_rate, which `update` does not use",
    ),
    '"beta1": 0.9': ('"beta1": "high"', "beta1"),
    "STATE = (": ("SLOTS = (", "sets SLOTS, which nothing uses; known names: RULESET, SETTINGS, SPACE"),
    '"mean", "square")': ('"mean",)', "uses state['square']; name it in `STATE`"),
    'param.mul_(1 - h["learning_rate"] * h["weight_decay"])': (
        "pass",
        "gives weight_decay, which `update` does not use",
    ),
}


@pytest.mark.parametrize("part", WRONG)
def test_a_submission_with_a_mistake_is_refused_in_one_line(part, benchmark):
    other, message = (
        WRONG[part] if isinstance(WRONG[part], tuple) else (WRONG[part], "needs `low` below `high`")
    )
    with pytest.raises(ConfigError, match="wrong") as error:
        only(benchmark, parse("wrong", OWN_ADAMW.replace(part, other), "wrong.py"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_rule_without_hyperparameters_tunes_itself(benchmark):
    source = re.sub("SPACE = .*\n", "", OWN_ADAMW.replace('"tuned"', '"self-tuning"'))
    source = source.replace("SETTINGS = {", 'SETTINGS = {"learning_rate": 0.05, ')
    own = only(benchmark, parse("own", source, "own.py"))
    assert len(own) == benchmark.rules.studies
    assert {trial.replica.config.budget for trial in own} == {90}  # 1.5 times 60
    with pytest.raises(ConfigError, match="do not fit"):
        parse("own", OWN_ADAMW.replace('"tuned"', '"self-tuning"'), "own.py")


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


def test_best_points_at_an_edge_of_their_range_are_named(benchmark):
    submission = parse("adamw", ADAMW, "adamw.py")
    found = {}
    for rate in (0.021, 0.045, 0.099):
        own = runs(30, 40, 50, 60).assign(point=json.dumps({"learning_rate": rate}))
        entry = table.Entry(submission, own, 0, leaks=False)
        found[rate] = page.at_an_edge(table.Ranking(["w"], [], {}, {"adamw": entry}, {}))
    edge = "`learning_rate` of `adamw`"
    assert found == {0.021: [f"{edge} (low)"], 0.045: [], 0.099: [f"{edge} (high)"]}


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


def test_a_rule_of_its_own_is_trained_as_that_of_the_laboratory(benchmark):
    """The same AdamW, once compiled by the engine, once from the file: equal curves but for rounding."""
    curves = []
    for name, source in (("adamw", ADAMW), ("own", OWN_ADAMW)):
        submission = parse(name, source, name)
        workload = benchmark.workloads["tiny_mlp"]
        job = submission, workload, only(benchmark, submission)[0]
        for _, curve in trained_alone(job):
            curves.append(curve[curve["step"] <= 20])
    for metric in ("train_loss", "weight_norm"):
        np.testing.assert_allclose(curves[0][metric], curves[1][metric], rtol=1e-3)
    assert curves[0]["train_loss"].iloc[-1] < curves[0]["train_loss"].iloc[0]


def test_a_mistake_in_a_rule_is_told_with_its_line(benchmark):
    source = OWN_ADAMW.replace('h["beta1"] ** h["step"]', 'h["average"]')
    submission, workload = parse("own", source, "own.py"), benchmark.workloads["tiny_mlp"]
    trial = only(benchmark, submission)[0]
    line = source.partition('h["average"]')[0].count("\n") + 1
    with pytest.raises(ConfigError, match=f"^own, line {line}: KeyError: 'average'; mend the rule$"):
        running.train_trial("own", source, trial, workload.task, "cpu")


def test_what_a_rule_writes_into_its_hyperparameters_is_forgotten():
    source = OWN_ADAMW + '    hparams["learning_rate"].mul_(0)\n    hparams["beta1"] = grad\n'
    rule = parse("own", source, "own.py").rule
    values = {
        "learning_rate": 0.1,
        "weight_decay": 0.5,
        "beta1": 0.8,
        "beta2": 0.9,
        "epsilon": 1e-8,
        "step": 1,
    }
    hparams = {name: torch.tensor([[float(value)]]) for name, value in values.items()}
    state = {slot: torch.zeros(1, 3) for slot in ("mean", "square", "average")}
    rule.update(torch.ones(1, 3), torch.ones(1, 3), state, hparams)
    assert {name: tensor.item() for name, tensor in hparams.items()} == pytest.approx(values)


def test_lion_is_as_in_its_paper():
    """Chen et al. 2023, algorithm 2, entry by entry with Python's own numbers."""
    rule = read_submission(ROOT / "leaderboard/submissions/lion.py").rule
    values = {"learning_rate": 0.1, "weight_decay": 0.5, "beta1": 0.8, "beta2": 0.9}
    hparams = {name: torch.tensor([[value]], dtype=torch.float64) for name, value in values.items()}
    random = np.random.default_rng(0)
    param = torch.tensor(random.normal(size=(1, 5)))
    state, plain, momentum = {"momentum": torch.zeros_like(param)}, param[0].tolist(), [0.0] * 5
    for _ in range(4):
        grads = random.normal(size=5)
        rule.update(param, torch.tensor(grads[None]), state, hparams)
        for i, grad in enumerate(grads):
            direction = math.copysign(1, 0.8 * momentum[i] + 0.2 * grad)
            plain[i] -= 0.1 * (direction + 0.5 * plain[i])
            momentum[i] = 0.9 * momentum[i] + 0.1 * grad
        np.testing.assert_allclose(param[0], plain, rtol=1e-12)


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
        table.trials_by_workload(benchmark, submission, []),
    )
    with pytest.raises(KeyboardInterrupt):
        running.train_missing(submission, asked, folder, stop)
    seen = []
    whole = running.train_missing(submission, asked, folder, lambda row, left: seen.append((row, left)))
    assert len(whole) == 8
    assert 0 < len(seen) < 8
    assert [left for _, left in seen] == list(range(len(seen)))[::-1]


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
    table.keep_source(benchmark, submission)
    with pytest.raises(ConfigError, match=r"no submission is ranked \(adamw: missing trials: 8\)"):
        table.rank(benchmark)


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


def test_a_target_is_the_lowest_median_of_the_fastest_points(checkout, benchmark):
    workload = with_budget(benchmark, 1500)
    assert targets.read_target(benchmark, workload) is None
    shown = []
    found = targets.find_target(benchmark, workload, lambda row, left: shown.append(row))
    rows = pd.DataFrame(shown)
    search = rows[rows["study"] == targets.SEARCH]
    assert len(search) == 8  # four points of two baselines
    for _, row in search.iterrows():  # no trial is longer than the fastest one before its round
        fastest = search.loc[search["trial"] < row["trial"], "generalization_step"].min()
        assert row["budget"] == (1500 if math.isnan(fastest) else fastest)
    again = rows[rows["study"] != targets.SEARCH]
    medians = again.fillna({"generalization_step": math.inf}).groupby("study")["generalization_step"].median()
    assert len(again) == 2 * 3
    assert found.steps == medians.min()
    assert not set(rows["seed"]) & {trial.replica.seed for trial in only(benchmark, parse("a", ADAMW, "a"))}
    shown.clear()
    assert targets.find_target(benchmark, workload, lambda row, left: shown.append(row)) == found
    assert shown == []
    assert targets.read_target(benchmark, workload) == found
    assert targets.read_target(benchmark, with_budget(benchmark, 1400)) is None  # that is another workload


def test_a_search_for_a_target_that_was_interrupted_goes_on(checkout, benchmark):
    workload, seen = with_budget(benchmark, 1500), []

    def stop(row, left):
        seen.append(row)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        targets.find_target(benchmark, workload, stop)
    found = targets.find_target(benchmark, workload)
    shutil.rmtree(targets.target_folder(benchmark, "tiny_mlp"))
    assert targets.find_target(benchmark, workload) == found


def test_a_target_of_a_baseline_that_has_changed_is_none(checkout, benchmark):
    workload = with_budget(benchmark, 1500)
    targets.find_target(benchmark, workload)
    file = checkout / "leaderboard/submissions/own.py"
    file.write_text(file.read_text().replace('"low": 0.02', '"low": 0.03'))
    assert targets.read_target(benchmark, workload) is None


def test_where_nothing_generalizes_there_is_no_target(checkout, benchmark):
    found = targets.find_target(benchmark, with_budget(benchmark, 5))
    assert found.steps == math.inf
    assert targets.targets_table(benchmark, {"tiny_mlp": found})["target"].tolist() == ["—"]


@of_committed_results
@pytest.mark.parametrize("name", read_benchmark(ROOT, 0).workloads)
def test_a_budget_is_at_least_twice_the_target(name):
    benchmark = read_benchmark(ROOT, 0)
    target = targets.read_target(benchmark, benchmark.workloads[name])
    assert target is not None
    assert benchmark.workloads[name].config.budget >= 2 * target.steps


# held-out workloads


def test_a_held_out_workload_changes_one_thing():
    benchmark = read_benchmark(ROOT, 0)
    kinds = set()
    for workload in (benchmark.workloads | benchmark.planned).values():
        for seed in range(30):
            other = held_out.held_out(workload, seed)
            assert other == held_out.held_out(workload, seed)
            kinds.add(other.held_out)
            assert other.config.budget == 2 * workload.config.budget
            changed = [
                key
                for key in ("operation", "train_fraction", "experiment")
                if getattr(other.config, key) != getattr(workload.config, key)
            ]
            assert len(changed) == 1
    assert {"twice the width", "multiplication", "10% wrong labels", "25% of the table"} <= kinds
    assert {"modulus 101", "modulus 61"} <= kinds


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
    found = scoring.scores({"slow": slow, "never": never, "fast": fast}, ["w"], "steps", 4.0)
    assert [score.submission for score in found] == ["fast", "slow", "never"]
    for score in found:
        assert score.low <= score.score <= score.high
    assert (found[0].score, found[2].score, found[2].high) == (1.0, 0.0, 0.0)
    assert found[1].high - found[1].low > 0.3
    assert found[0].generalized[0] == 1.0
    assert scoring.difference_p(fast, never, "w") < 0.02 < scoring.difference_p(fast, fast, "w")


# the command


@pytest.fixture
def checkout(benchmark, monkeypatch):
    """A checkout with the tiny benchmark, in which the command works."""
    from grokking.api import checkout

    monkeypatch.setattr(checkout, "here", lambda: checkout.Checkout(benchmark.root))
    folder = benchmark.root / "leaderboard/submissions"
    (folder / "adamw.py").write_text(ADAMW)
    (folder / "own.py").write_text(OWN_ADAMW)  # the two baselines
    return benchmark.root


def test_a_submission_is_run_verified_and_ranked(checkout):
    assert "no results are here" in refused("bench", "table")
    for name in ("adamw", "own"):
        said = call("bench", "run", str(checkout / f"leaderboard/submissions/{name}.py"))
        assert "(0 left, about 00:00)" in said
        assert "latin_square: passed, 0 of 4 trials generalized" in said
    said = call("bench", "verify", str(checkout / "leaderboard/submissions/own.py"))
    assert "8 of 8 trials again, 0 differ (--seed " in said
    assert "trials that generalize" in call("bench", "table", "--write")
    written = (checkout / page.PAGE).read_text()
    assert "`own`: AdamW written out." in written
    assert "Not ranked: none." in written
    assert "Seconds: not measured yet." in written
    assert "## Within a factor of the fastest" in written
    assert "wrote" in call("bench", "seconds", "--write")
    assert "score in seconds" in call("bench", "table")
    file = checkout / "curves.parquet"
    assert "wrote 16 curves" in call("bench", "curves", str(file))
    curves = pd.read_parquet(file)
    ends = curves.groupby(["origin", "rule", "workload", "study", "trial"])["step"].agg(["min", "max"])
    assert len(ends) == 16
    assert (ends["min"] == 0).all()
    assert set(curves["rule"]) == {"adamw", "own"}


def test_a_name_that_another_submission_has_is_refused(checkout, tmp_path):
    for name in ("own", "targets"):
        mine = tmp_path / f"{name}.py"
        mine.write_text(ADAMW)
        assert f"another file has the name {name}; give yours a name of its own" in refused(
            "bench", "run", str(mine)
        )
    assert not (checkout / "results").exists()


def test_a_workload_that_does_not_count_yet_is_run_where_it_is_named(checkout, benchmark):
    file = checkout / "leaderboard/v0.yaml"
    text = file.read_text()
    planned = (
        text.partition("  tiny_mlp:")[2]
        .partition("\nleak_check")[0]
        .replace("budget: 60", "budget: 20\n    scored: false")
    )
    file.write_text(text.replace("\nleak_check", f"  other:{planned}\nleak_check"))
    own = str(checkout / "leaderboard/submissions/own.py")
    assert "`--workload` lost is unknown; known: tiny_mlp, other" in refused(
        "bench", "run", own, "--workload", "lost"
    )
    call("bench", "run", own, "--workload", "other")
    (entry,) = table.entries(benchmark)
    assert set(entry.runs["workload"]) == {"latin_square"}
    assert entry.missing == 4
    assert ", 0 differ" in call("bench", "verify", own)


def test_a_submission_from_elsewhere_is_ranked_and_an_unfinished_one_counts_nowhere(checkout, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(ADAMW.replace("AdamW of", "Mine, in"))
    for file in (mine, checkout / "leaderboard/submissions/own.py"):
        call("bench", "run", str(file))
    assert "not ranked" not in call("bench", "table")
    runs_file = checkout / "results/leaderboard/v0/own/runs.parquet"
    whole = pd.read_parquet(runs_file)
    whole.iloc[:-1].to_parquet(runs_file)
    said = call("bench", "table")
    assert "own is not ranked: missing trials: 1" in said
    assert re.findall(r"^ *1 \(1–1\) *mine\b", said, re.MULTILINE)
    mine.write_text(ADAMW.replace("0.02", "0.03"))
    runs_file.unlink()
    call("bench", "run", str(mine), "--workload", "tiny_mlp")
    assert len(table.entries(read_benchmark(checkout, 0))[0].runs) == 8


@of_committed_results
def test_the_committed_page_is_that_of_the_committed_results():
    benchmark = read_benchmark(ROOT, 0)
    assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.page(benchmark, table.rank(benchmark))


def test_wrong_words_are_refused_in_one_line(checkout):
    file = str(checkout / "leaderboard/submissions/own.py")
    assert "nothing is unknown; known: tiny_mlp" in refused("bench", "run", file, "--workload", "nothing")
    assert "none.py is no file of text" in refused("bench", "run", "none.py")
    assert "no results of own are here" in refused("bench", "verify", file)


def test_a_difference_ends_with_exit_code_1(checkout):
    file = str(checkout / "leaderboard/submissions/own.py")
    call("bench", "run", file, "--workload", "tiny_mlp")
    runs_file = checkout / "results/leaderboard/v0/own/runs.parquet"
    table_ = pd.read_parquet(runs_file)
    table_["final_train_accuracy"] = 0.5
    table_.to_parquet(runs_file)
    done = CliRunner().invoke(app, ["bench", "verify", file])
    assert done.exit_code == 1
    assert "final_train_accuracy was 0.5 and is" in done.stdout
