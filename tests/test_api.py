"""The Python interface on a tiny study: what it answers is what the stages trained, bit by bit."""

import copy
import itertools
import json
import multiprocessing
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import laboratory
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

import grokking
from grokking.analysis.sentences import overall, sentence, sentences
from grokking.api import checkout, keys, search_plan, training
from grokking.api.recipe import LONGEST_NAME, changed, configuration, named_by_changes, prepared, with_seeds
from grokking.config import ConfigError
from pipelines.common import paths, reports

OWN_COLUMNS = ["seconds", "processor"]  # of the machine
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def lab(study, monkeypatch):
    yield laboratory.enter(study, monkeypatch)
    shutil.rmtree(study / "artifacts" / "own", ignore_errors=True)


def plan(experiment="wide_mlp", seeds=None, name=None, **changes):
    return training.plan(experiment, changes, seeds, name)


# loading and asking


def test_nothing_is_imported_before_it_is_asked_for():
    heavy = "{'torch', 'pandas', 'numpy', 'mlflow', 'optuna', 'matplotlib', 'pydantic'}"
    program = f"import sys, grokking; print(sorted({heavy} & set(sys.modules)), 'load' in dir(grokking.api))"
    assert laboratory.python(
        laboratory.ROOT, "-c", program.replace("grokking;", "grokking, grokking.api;")
    ) == ("[] True\n")


def test_a_name_that_is_not_offered_is_told():
    with pytest.raises(AttributeError, match="has no attribute 'lode'; it offers load, train"):
        grokking.lode  # noqa: B018


def test_the_folders_are_those_of_the_stages(lab):
    where = checkout.here()
    assert where.tables("wide_mlp") == lab / paths.RUNS / "systems" / "wide_mlp"
    assert where.snapshots("wide_mlp") == lab / paths.SNAPSHOTS / "systems" / "wide_mlp"
    assert where.network("wide_mlp").parent == lab / paths.DIAGNOSTICS / "systems" / "wide_mlp"
    assert where.figure("wide_mlp").parent == lab / reports.DRAWN / "wide_mlp"
    assert where.studies == lab / paths.STUDIES
    assert where.checkpoints == lab / paths.CHECKPOINTS


def test_a_run_has_the_tables_of_the_stage(lab):
    run = grokking.load("wide_mlp")
    folder = lab / "results/runs/systems/wide_mlp"
    pd.testing.assert_frame_equal(run.replicas(), pd.read_parquet(folder / "replicas.parquet"))
    pd.testing.assert_frame_equal(run.history(), pd.read_parquet(folder / "history.parquet"))
    assert run.config["optimizer"]["weight_decay"] == 1.0
    assert run.config["task"]["operation"] == {"name": "add", "modulus": 11}
    assert run.formula == "a + b mod 11"


def test_a_prediction_is_the_argmax_of_the_module(lab):
    run = grokking.load("wide_mlp")
    a, b = (operand.ravel() for operand in np.divmod(np.arange(121), 11))
    found = run.predict(a, b, seed=1)
    with torch.no_grad():
        logits = run.network(seed=1)(torch.tensor(a), torch.tensor(b)).double()
    assert (found.answer == logits.argmax(1).numpy()).all()
    shares = torch.softmax(logits, 1).max(1).values.numpy()
    np.testing.assert_array_equal(found.probability, shares)
    np.testing.assert_array_equal(found.right, (a + b) % 11)
    mask = pd.read_parquet(lab / "results/splits/tiny/splits.parquet")["1"].to_numpy()
    np.testing.assert_array_equal(found.trained_on, mask)
    assert 0 < found.trained_on.sum() < 121
    row = run.replicas().query("seed == 1").iloc[0]
    assert found.is_right[~mask].mean() == pytest.approx(row["final_validation_accuracy"])


def test_operands_keep_their_shape(lab):
    run = grokking.load("wide_mlp")
    one = run.predict(4, 8)
    assert (type(one.answer), type(one.probability), type(one.trained_on)) == (int, float, bool)
    assert one.right == 1
    many = run.predict([[4], [5]], [[8, 9, 10]])
    assert many.answer.shape == many.trained_on.shape == (2, 3)
    assert many.answer[0, 0] == one.answer


def test_networks_of_every_snapshot(lab):
    run = grokking.load("wide_mlp")
    networks, row = run.snapshots(seed=1), run.replicas().query("seed == 1").iloc[0]
    files = {f"step_{step}.safetensors" for step in networks}
    folder = lab / "artifacts/snapshots/systems/wide_mlp" / row["inputs"]
    assert files == {file.name for file in folder.glob("*.safetensors")}
    assert max(networks) == row["steps_run"]
    for step, module in networks.items():
        kept = load_file(folder / f"step_{step}.safetensors")
        assert all(
            (dict(module.named_parameters())[name] == torch.tensor(a)).all() for name, a in kept.items()
        )
    with pytest.raises(ConfigError, match="keeps no network of step 3; kept: 0, 1, 2, 4"):
        run.network(step=3)


@pytest.mark.parametrize("name", ["wide_mlp", "numpy_mlp_momentum", "shared_mlp_f30"])
def test_a_network_refuses_operands_that_are_no_tokens(lab, name):
    """Compiled kernels would read whatever lies there."""
    network = copy.deepcopy(grokking.train(name, steps=2).network())
    for a, b, said in ((10**9, 0, "a must lie in 0..10"), (0, -1, "b must lie in 0..10"), (0, 11, "got 11")):
        with pytest.raises(IndexError, match=said):
            network(torch.tensor([a]), torch.tensor([b]))
    with pytest.raises(
        TypeError, match=r"operand a must be a tensor of whole numbers, but its type is torch\.fl"
    ):
        network(torch.tensor([1.0]), torch.tensor([2]))
    assert network(torch.tensor([10]), torch.tensor([0])).shape == (1, 11)


def test_a_fresh_clone_has_one_network(lab, tmp_path):
    run = grokking.load("wide_mlp")
    before, hidden = run.predict(4, 8), tmp_path / "snapshots"
    shutil.move(lab / "artifacts/snapshots", hidden)
    try:
        assert run.steps() == [run.replicas()["steps_run"].iloc[0]]
        assert run.predict(4, 8) == before
        with pytest.raises(ConfigError, match="only the network of seed 0 of `wide_mlp` is here"):
            run.predict(4, 8, seed=1)
        with pytest.raises(ConfigError, match="no network of `wide_mlp_grid` is here"):
            grokking.load("wide_mlp_grid").network()
    finally:
        shutil.move(hidden, lab / "artifacts/snapshots")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: grokking.load("wide_mpl"), "no experiment and no own run; did you mean wide_mlp"),
        (lambda: grokking.load("untrained"), "`untrained` was not trained yet"),
        (lambda: grokking.load("wide_mlp").predict(11, 3), r"\(11, 3\) is no equation of a \+ b mod 11"),
        (lambda: grokking.load("wide_mlp").predict(1.5, 3), "whole numbers of at most 64 bits, but got 1.5"),
        (lambda: grokking.load("wide_mlp").predict(1, 3, seed=7), "has no seed 7; its seeds are 0, 1"),
    ],
)  # fmt: skip
def test_a_question_without_an_answer_is_told(lab, ask, told):
    with pytest.raises(ConfigError, match=told):
        ask()


def test_results_of_other_values_are_not_asked(lab):
    params = lab / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("hidden_widths:\n      - 32", "hidden_widths:\n      - 33", 1))
    try:
        with pytest.raises(ConfigError, match="was trained with other values than it has now"):
            grokking.load("wide_mlp").predict(1, 2)
    finally:
        params.write_text(before)


# training


@pytest.mark.parametrize(("entry", "changes"), [("wide_mlp", {}), ("half_decay", {"weight_decay": 0.5})])
def test_an_own_run_has_the_bits_of_the_stage(lab, entry, changes):
    own, stage = grokking.train("wide_mlp", seeds=2, **changes), grokking.load(entry)
    assert own.name != entry
    pd.testing.assert_frame_equal(own.history(), stage.history())
    drop = {"columns": OWN_COLUMNS}
    pd.testing.assert_frame_equal(own.replicas().drop(**drop), stage.replicas().drop(**drop))
    assert own.predict(3, 4) == stage.predict(3, 4)
    assert own.figure.stat().st_size > 5000


def test_a_run_that_is_there_is_not_trained_again(lab):
    watched = []
    first = grokking.train("wide_mlp", steps=20, name="mine", watch=watched.append)
    kept = laboratory.files(first.folder.parent)
    assert len(watched) == len(first.history())
    grokking.train("wide_mlp", budget=20, name="mine", watch=watched.append)
    assert len(watched) == len(first.history())
    assert laboratory.files(first.folder.parent) == kept


def test_more_seeds_train_only_these(lab):
    grokking.train("wide_mlp", steps=20, name="mine")
    watched = []
    more = grokking.train("wide_mlp", steps=20, seeds=3, name="mine", watch=watched.append)
    assert {evaluation.replica for evaluation in watched} == {1, 2}
    assert more.replicas()["seed"].tolist() == [0, 1, 2]
    fewer = grokking.train("wide_mlp", steps=20, seeds=1, name="mine", watch=watched.append)
    assert len(fewer.replicas()) == 3


def test_an_error_of_a_watcher_ends_the_training_and_no_other_process(lab):
    """This training would take days."""

    def fail(evaluation):
        raise RuntimeError("of the caller")

    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        with pytest.raises(RuntimeError, match="of the caller"):
            grokking.train("wide_mlp", seeds=2, learning_rate=1e-12, steps=10**9, watch=fail)
        assert multiprocessing.active_children() == [other]
    finally:
        other.kill()
        other.join()


def test_calls_from_threads_take_turns(lab):
    """What is seen of one training is not interrupted by another's."""
    seen = []

    def train(rate):
        return grokking.train("wide_mlp", steps=8, learning_rate=rate, watch=lambda _: seen.append(rate))

    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(train, (0.1, 0.2, 0.3, 0.4)))
    assert len(set(runs)) == 4
    turns = [rate for rate, _ in itertools.groupby(seen)]
    assert sorted(turns) == [0.1, 0.2, 0.3, 0.4]


def test_a_worker_that_may_start_no_process_is_refused(lab):
    refused = pytest.raises(ConfigError, match=r"a worker of multiprocessing\.Pool may not; use concurrent")
    with multiprocessing.get_context("fork").Pool(1) as pool, refused:
        pool.apply(grokking.train, ("wide_mlp",), {"steps": 3})
    assert not list((lab / "artifacts/own").glob("*"))


@pytest.mark.parametrize("named", [{"name": "mine"}, {}])
def test_other_seeds_join_those_that_are_there(lab, named):
    """A run without a name of its own has one that its seeds do not change."""
    config = grokking.train("wide_mlp", steps=20).config
    first = grokking.train(config, **named)
    other = config | {"replicas": {"seeds": [7, 0], "split_seeds": [2, 1], "grid": {}}}
    both = grokking.train(other, **named)
    assert both.folder == first.folder
    rows = both.replicas()
    assert rows[["seed", "split_seed"]].to_numpy().tolist() == [[0, 0], [7, 2], [0, 1]]
    assert set(first.config["replicas"]["seeds"]) == {0}
    kept = laboratory.files(first.folder.parent)
    grokking.train(config, **named)
    assert laboratory.files(first.folder.parent) == kept


def test_no_run_overwrites_another(lab):
    grokking.train("wide_mlp", steps=20, name="mine")
    kept = laboratory.files(lab / "artifacts/own")
    with pytest.raises(
        ConfigError, match=r"`mine` is another run, which differs in budget \(20 there, 21 here\)"
    ):
        grokking.train("wide_mlp", steps=21, name="mine")
    with pytest.raises(ConfigError, match="`wide_mlp` is an experiment"):
        grokking.train("wide_mlp", steps=21, name="wide_mlp")
    assert laboratory.files(lab / "artifacts/own") == kept


def test_two_processes_do_not_train_one_run(lab):
    own = plan(steps=20, name="mine")

    def begin_again(evaluation):
        with pytest.raises(ConfigError, match="`mine` is being trained by another process"):
            own.train(lambda other: None)

    own.train(begin_again)
    assert len(own.run.replicas()) == 1


def test_a_configuration_gives_the_same_run(lab):
    first = grokking.train("wide_mlp", steps=20, modulus=13, name="mine")
    again = grokking.train(first.config, name="again")
    pd.testing.assert_frame_equal(again.history(), first.history())
    assert first.config["task"]["name"] == "tiny, operation.modulus=13"
    assert first.predict(6, 7).right == 0


def test_the_device_of_the_environment_comes_back(lab, monkeypatch):
    monkeypatch.setenv("GROKKING_DEVICE", "nonsense")
    grokking.train("wide_mlp", steps=20, name="mine", device="cpu")
    with pytest.raises(ConfigError, match="GROKKING_DEVICE must be one of cpu"):
        grokking.train("wide_mlp", steps=22, name="other")


# changes


def test_a_change_by_its_short_name_is_the_dotted_one(lab):
    short = plan(weight_decay=0.5, train_fraction=0.4, steps=20)
    long = plan(**{"optimizer.weight_decay": 0.5, "task.split.train_fraction": 0.4, "budget": 20})
    assert short.config == long.config
    assert short.folder == long.folder
    assert short.folder.name == "wide_mlp-steps=20-weight_decay=0.5-train_fraction=0.4".replace(
        "steps", "budget"
    )
    assert short.replicas[0].config.optimizer.weight_decay == 0.5
    assert short.task.train_size(0) == round(0.4 * 121)


def test_another_kind_of_section_has_its_own_keys(lab):
    sgd = plan(optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.0)
    assert sgd.replicas[0].config.optimizer.momentum == 0.9
    with pytest.raises(
        ConfigError, match=r"`optimizer.name=sgd` needs .*learning_rate=... .*momentum=\.\.\."
    ):
        plan(optimizer="sgd", weight_decay=0.0)
    with pytest.raises(ConfigError, match="`beta1` is no key here"):
        plan(optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.0, beta1=0.9)
    same_keys = plan(optimizer="adam")
    assert same_keys.replicas[0].config.optimizer.beta2 == 0.98
    divided = plan(task="tiny_division", modulus=13)
    assert divided.task.table.formula == "a / b mod 13"


def test_a_changed_key_leaves_the_grid(lab):
    own = plan("wide_mlp_grid", seeds=2, weight_decay=0.3)
    assert [r.config.model.alpha for r in own.replicas] == [0.0, 0.0, 0.5, 0.5]
    assert {r.config.optimizer.weight_decay for r in own.replicas} == {0.3}


def test_seeds_go_on_after_those_of_the_experiment(lab):
    config = configuration(checkout.here().catalogue, "wide_mlp")
    replicas, task = prepared(with_seeds(config, 4), "wide_mlp")
    assert [(r.seed, r.split_seed) for r in replicas] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert list(task.splits) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weight_decy": 1}, "`weight_decy` is no key here; did you mean weight_decay"),
        ({"lr": 1}, "`lr` is no key here; did you mean learning_rate"),
        ({"weight_decay": "x"}, "`wide_mlp.optimizer.weight_decay` should be a valid number, but got 'x'"),
        ({"weight_decay": -1}, "`wide_mlp.optimizer.weight_decay` must be at least 0, but got -1.0"),
        ({"steps": 2.5}, "`wide_mlp.budget` should be a valid integer, but got 2.5"),
        ({"optimizer": "sgdd"}, "`wide_mlp.optimizer` must be one of 'sgd'"),
        ({"task": "huge"}, "`tasks.huge` is not in params.yaml"),
        ({"train_fraction": 1.3}, r"`wide_mlp.task.split.train_fraction` must lie in \(0, 1\), but got 1.3"),
        ({"weight_decay": 1, "optimizer.weight_decay": 1}, "is given twice"),
        ({"optimizer": "sgd", "optimizer.name": "adamw"}, "is given twice"),
        ({"replicas.seeds": [1]}, "`replicas.seeds` is no key here"),
    ],
)
def test_a_wrong_change_is_told_and_nothing_is_written(lab, changes, told):
    before = laboratory.files(lab)
    with pytest.raises(ConfigError, match=told) as error:
        grokking.train("wide_mlp", **changes)
    assert "\n" not in str(error.value)
    assert laboratory.files(lab) == before


def test_a_task_is_changed_whatever_is_written_first(lab):
    catalogue = checkout.here().catalogue
    config, named = configuration(catalogue, "wide_mlp"), catalogue.names("tasks")[0]
    changes = {"operation": "multiply", "task": named}
    (first, _), (last, _) = (
        changed(catalogue, config, dict(order)) for order in (changes.items(), reversed(changes.items()))
    )
    assert first == last
    assert first["task"]["operation"]["name"] == "multiply"


def test_changed_values_are_those_that_a_file_gives_back(lab):
    config = configuration(checkout.here().catalogue, "wide_mlp")
    for widths in ((8, 4), np.array([8, 4]).tolist(), [np.int64(8), 4]):
        found, _ = changed(checkout.here().catalogue, config, {"hidden_widths": widths})
        assert json.loads(json.dumps(found))["model"]["hidden_widths"] == [8, 4]
        assert found["model"]["hidden_widths"] == [8, 4]


def test_a_long_name_keeps_changes_apart_and_leaves_room(lab):
    meant = {f"optimizer.key_{number}": number / 7 for number in range(9)}
    names = {named_by_changes("addition_97_f50", meant | {"z": last}) for last in range(20)}
    assert len(names) == 20
    assert {len(name) for name in names} == {LONGEST_NAME}
    longest = max(search_plan.families(checkout.here()), key=len)
    assert all(training.NAME.fullmatch(f"own-{name}-{longest}-{10**6}-{10**3}") for name in names)


def test_every_key_of_every_experiment_can_be_named(lab):
    catalogue = checkout.here().catalogue
    for name in catalogue.names("experiments"):
        config = configuration(catalogue, name)
        for dotted, value in keys.flat(config).items():
            same, meant = changed(catalogue, config, {dotted: value})
            assert keys.flat(same).keys() == keys.flat(config).keys()
            assert meant == {dotted: value}


@pytest.mark.parametrize(
    ("text", "value"),
    [("x=1e-3", 1e-3), ("x=[64, 64]", [64, 64]), ("x=true", True), ("x=add", "add"), ("x=3", 3)],
)
def test_values_are_read_as_params_are(text, value):
    assert keys.parse(text) == ("x", value)
    assert type(keys.parse(text)[1]) is type(value)


# what a run has come to


ROW = {
    "seed": 0, "budget": 400, "steps_run": 729, "diverged": False, "observed": True,
    "final_validation_accuracy": 0.5, "examples": 1, "flops": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((33, 229), "memorized at 33, generalized at 229, ratio 6.9: this is grokking"),
        ((100, 300), "memorized at 100, generalized at 300, ratio 3.0: this is grokking"),
        ((1000, 2999), "ratio 2.9: generalized without delay, as grokking begins at 3"),
        ((33, np.nan), r"memorized at 33, did not generalize within 400 steps \(50.0% at the end\)"),
        ((np.nan, np.nan), "never memorized, did not generalize"),
        ((np.nan, 70), "never memorized, generalized at 70: no grokking"),
    ],
)
def test_the_sentence_says_what_happened(events, told):
    row = ROW | dict(zip(("memorization_step", "generalization_step"), events, strict=True))
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(sentence(row))


def test_a_diverged_replica_is_called_so():
    row = ROW | {"memorization_step": 5.0, "generalization_step": np.nan, "diverged": True}
    assert sentence(row).startswith("memorized at 5, diverged at 729")


def test_several_replicas_have_a_sentence_each_and_one_together():
    rows = [
        ROW | {"seed": seed, "memorization_step": 30.0, "generalization_step": step, "observed": step == step}
        for seed, step in enumerate((40.0, 120.0, np.nan))
    ]
    told = sentences(pd.DataFrame(rows))
    assert told[1] == "seed 1: memorized at 30, generalized at 120, ratio 4.0: this is grokking"
    assert told[-1] == overall(pd.DataFrame(rows))
    assert told[-1].startswith("1 of 3 grokked: memorized at 30, generalized at 120 (40–∞)")
