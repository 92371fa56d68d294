"""Sweeps: their networks, what is kept of each, and what becomes of a cell."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grokking import figures
from grokking.analysis import pages, phases, sweeps
from grokking.analysis.phase_panels import panels
from grokking.config import ConfigError
from grokking.experiment import with_values
from grokking.sweeps import sweep_folder
from grokking.sweeps.measures import AT_EVENTS, measures
from grokking.sweeps.networks import expand
from grokking.sweeps.sweep_folder import SweepFolder
from grokking.sweeps.training import stacks, train_networks, train_stack
from grokking.training.history import history_table, replica_row
from grokking.training.loop import train

MODEL = {
    "family": "one_hot_mlp", "hidden_widths": [16], "activation": "square", "alpha": 0.0, "bias": False,
    "initialisation": "standard_normal", "init_scale": 0.05, "output_scale": 1.0,
}  # fmt: skip
SWEEP = {
    "task": {
        "operation": {"name": "add", "modulus": 7},
        "labels": {"name": "exact"},
        "split": {"name": "random", "train_fraction": 0.6},
    },
    "experiment": {
        "system": "none", "role": "variant", "model": MODEL, "loss": "mean_squared_error", "label_noise": 0.0,
        "precision": "float32", "matmul_precision": "full", "loss_precision": "float32",
        "gradient_filter": {"name": "none"}, "gradient_projection": "none", "frozen": "nothing",
        "weight_clamp": {"name": "none"}, "schedule": {"name": "constant", "warmup_steps": 0},
        "batch": {"sampling": "full"},
        "optimizer": {
            "name": "adamw", "learning_rate": 1e-2, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.98,
            "epsilon": 1e-8,
        },
        "budget": 30,
    },
    "design": {
        "kind": "grid",
        "axes": {"task.split.train_fraction": [0.4, 0.8], "experiment.optimizer.learning_rate": [1e-3, 1e-2]},
    },
    "replicas": {"seeds": [0, 1], "split_seeds": [0, 1], "pairs": "paired"},
    "predicted": {},
}  # fmt: skip


MANY = list(range(900))


def changed(**values):
    return with_values(SWEEP, {key.replace("__", "."): value for key, value in values.items()}, "test")


def test_a_grid_has_every_combination_with_every_pair_of_seeds():
    networks = expand(SWEEP, "sweeps.s")
    found = [
        (n.data.split.train_fraction, n.replica.config.optimizer.learning_rate, n.replica.seed, n.cell)
        for n in networks
    ]
    assert found == [
        (f, rate, seed, 2 * i + j)
        for i, f in enumerate((0.4, 0.8))
        for j, rate in enumerate((1e-3, 1e-2))
        for seed in (0, 1)
    ]
    assert [n.replica.index for n in networks] == list(range(8))
    for network in networks:
        assert network.task.train_size(network.replica.split_seed) == round(
            network.data.split.train_fraction * 49
        )


def test_crossed_seeds_tell_the_luck_of_the_data_from_that_of_the_initialisation():
    networks = expand(changed(replicas__pairs="crossed", replicas__split_seeds=[5, 6, 7]), "sweeps.s")
    pairs = [(n.replica.seed, n.replica.split_seed) for n in networks if n.cell == 0]
    assert pairs == [(0, 5), (0, 6), (0, 7), (1, 5), (1, 6), (1, 7)]


def test_a_sobol_design_fills_its_ranges_evenly_and_the_same_each_time():
    axes = {
        "experiment.optimizer.learning_rate": {"low": 1e-4, "high": 1e-1, "scale": "log"},
        "task.split.train_fraction": {"low": 0.3, "high": 0.9, "scale": "linear"},
    }
    design = {"kind": "sobol", "axes": axes, "points": 32, "seed": 3}
    networks = expand({**SWEEP, "design": design}, "sweeps.s")
    again = expand({**SWEEP, "design": design}, "sweeps.s")
    assert [n.replica.row() for n in networks] == [n.replica.row() for n in again]
    rates = np.array([n.replica.config.optimizer.learning_rate for n in networks if n.replica.seed == 0])
    fractions = np.array([n.data.split.train_fraction for n in networks if n.replica.seed == 0])
    for values, (low, high) in ((np.log10(rates), (-4, -1)), (fractions, (0.3, 0.9))):
        assert len(values) == 32
        quarters = np.histogram(values, np.linspace(low, high, 5))[0]
        assert quarters.tolist() == [8, 8, 8, 8]  # a quarter of the points in each quarter of the range


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"design__axes": {}}, "`sweeps.s.design.axes` must name at least one key"),
        ({"design__kind": "random"}, "must be one of 'grid', 'sobol', but got 'random'"),
        ({"design__axes": {"task.split.train_fraction": []}}, "needs distinct values of task.split"),
        ({"design__axes": {"task.split.train_fraction": [0.5, 0.5]}}, "needs distinct values"),
        ({"design__axes": {"optimizer.learning_rate": [1.0]}}, "names optimizer.learning_rate; write exp"),
        ({"design__axes": {"experiment.nothing": [1]}}, "`sweeps.s.experiment.nothing` is unknown"),
        ({"design__axes": {"task.split.train_fraction": [1.5]}}, "s.task.split.train_fraction` must lie in"),
        ({"replicas__seeds": [0]}, "needs as many `split_seeds` as `seeds`, but got 2 and 1"),
        ({"replicas__seeds": [0, 0]}, "must be a list of distinct seeds"),
        ({"replicas": {"seeds": MANY, "split_seeds": MANY, "pairs": "crossed"}},
         "makes 3,240,000 networks; a sweep has at most 10,000"),
        ({"predicted": {"exponent": [1.0]}}, "`sweeps.s.predicted.exponent"),
        ({"experiment__batch": {"sampling": "with_replacement", "size": 0}}, "s.experiment.batch.size"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(changes, told):
    with pytest.raises(ConfigError) as error:
        expand(changed(**changes), "sweeps.s")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_range_needs_a_low_below_its_high():
    axes = {"experiment.optimizer.learning_rate": {"low": 0.0, "high": 1.0, "scale": "log"}}
    with pytest.raises(ConfigError, match="above 0 on a log scale, but got 0"):
        expand({**SWEEP, "design": {"kind": "sobol", "axes": axes, "points": 4, "seed": 0}}, "sweeps.s")


def test_networks_trained_together_are_those_trained_alone():
    networks = expand(SWEEP, "sweeps.s")
    together = {n.replica.index: row for n, row in train_networks(networks)}
    assert sorted(together) == [n.replica.index for n in networks]
    for network in networks:
        alone = list(train([network.replica], network.task, "cpu", snapshots=False))
        expected = replica_row(network.replica, alone, network.task)
        own = together[network.replica.index]
        assert {key: own[key] for key in expected if key != "seconds"} == {
            key: value for key, value in expected.items() if key != "seconds"
        }
        history = history_table(alone)
        assert own["final_weight_norm"] == history["weight_norm"].iloc[-1]
        assert own["best_validation_accuracy"] == history["validation_accuracy"].max()


HISTORY = pd.DataFrame({
    "step": [0, 5, 10, 20, 30, 40, 50],
    "train_loss": [0.25, 4.0, 0.5, 5.0, 0.25, 2.75, 2.0],  # ten times the one before at 20; more at 5 and 40
    "train_accuracy": [0.1, 0.5, 1.0, 0.75, 1.0, 0.75, 0.75],
    "validation_loss": [3.0, 6.0, 7.0, 4.0, 1.0, 2.0, 2.0],
    "validation_accuracy": [0.1, 0.2, 0.3, 0.9, 1.0, 0.875, 0.875],
    "weight_norm": [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0],
    "logit_rms": [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
})  # fmt: skip


def test_what_a_sweep_keeps_of_a_history_by_hand():
    """Accuracies are the best, not the last; a spike is a loss of more than ten times the one before."""
    found = measures(HISTORY, {"memorization_step": 10, "generalization_step": 30})
    norms = [found[f"{at}_weight_norm"] for at in ("initial", "memorization", "generalization", "final")]
    assert norms == [9.0, 7.0, 5.0, 3.0]
    assert (found["memorization_validation_loss"], found["generalization_train_loss"]) == (7.0, 0.25)
    assert (found["best_train_accuracy"], found["best_validation_accuracy"]) == (1.0, 1.0)
    assert found["generalization_after_step"] == 20
    assert found["loss_spikes"] == 1


def test_a_sweep_keeps_nothing_of_an_event_that_did_not_come():
    found = measures(HISTORY, {"memorization_step": None, "generalization_step": None})
    missing = {name for name, value in found.items() if value is None}
    of_events = {f"{at}_{of}" for at in ("memorization", "generalization") for of in AT_EVENTS}
    assert missing == of_events | {"generalization_after_step"}
    assert found["loss_spikes"] == 0
    at_once = measures(HISTORY, {"memorization_step": 0, "generalization_step": 0})
    assert (at_once["generalization_after_step"], at_once["loss_spikes"]) == (0, 2)


def test_stacks_have_one_shape_and_one_task():
    networks = expand(SWEEP, "sweeps.s")
    assert [[n.cell for n in stack] for stack in stacks(networks, 3)] == [[0, 0, 1], [1], [2, 2, 3], [3]]


def test_a_killed_sweep_goes_on_with_the_networks_that_are_missing(tmp_path, monkeypatch):
    networks = expand(SWEEP, "sweeps.s")
    folder, lines = tmp_path / "s", tmp_path / "unfinished" / "s.jsonl"
    first = SweepFolder(folder, lines, networks)
    for network, row in train_stack(networks[:2], "cpu"):
        first.add(row, network)
    with lines.open("a") as file:
        file.write('{"replica": 3, "inp')  # what a kill in the middle of a write leaves

    second = SweepFolder(folder, lines, networks)
    assert [n.replica.index for n in second.unfinished()] == list(range(2, 8))
    for network, row in train_networks(second.unfinished()):
        second.add(row, network)
    table = second.close()
    assert not lines.exists()

    whole = SweepFolder(tmp_path / "whole", tmp_path / "whole.jsonl", networks)
    for network, row in train_stack(networks[:4], "cpu") + train_stack(networks[4:], "cpu"):
        whole.add(row, network)
    pd.testing.assert_frame_equal(table, whole.close(), check_dtype=False)
    assert (folder / "run.json").read_bytes() == (tmp_path / "whole" / "run.json").read_bytes()
    assert SweepFolder(folder, lines, networks).unfinished() == []
    assert list(train_networks([])) == []
    folder.rename(folder.with_name(".s.unfinished"))  # a kill just before the new table is in place
    assert SweepFolder(folder, lines, networks).unfinished() == []
    monkeypatch.setattr(sweep_folder, "same_code", lambda: {"other"})
    assert len(SweepFolder(folder, lines, networks).unfinished()) == 8  # rows of other code do not count


def test_a_table_without_new_networks_keeps_the_machine_that_trained_them(tmp_path, monkeypatch):
    networks = expand(SWEEP, "sweeps.s")[:2]
    folder, lines = tmp_path / "s", tmp_path / "s.jsonl"
    (one, row), (other, other_row) = train_stack(networks, "cpu")
    first = SweepFolder(folder, lines, networks[:1])
    first.add(row, one)
    first.close()
    before = (folder / "run.json").read_bytes()
    monkeypatch.setattr(sweep_folder, "machine", lambda: {"processor": "another"})
    SweepFolder(folder, lines, networks[:1]).close()
    assert (folder / "run.json").read_bytes() == before
    more = SweepFolder(folder, lines, networks)
    more.add(other_row, other)
    more.close()
    assert b'"another"' in (folder / "run.json").read_bytes()


def test_a_damaged_table_is_refused_by_name(tmp_path):
    networks = expand(SWEEP, "sweeps.s")[:1]
    kept = SweepFolder(tmp_path / "s", tmp_path / "s.jsonl", networks)
    for network, row in train_stack(networks, "cpu"):
        kept.add(row, network)
    kept.close()
    file = tmp_path / "s" / "networks.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigError, match="parquet is missing or damaged"):
        SweepFolder(tmp_path / "s", tmp_path / "s.jsonl", networks)


def network(**values):
    """A row of a sweep's table."""
    row = {
        "observed": False, "generalization_step": None, "memorization_step": 10, "diverged": False,
        "final_train_accuracy": 1.0, "best_train_accuracy": 1.0, "task.classes": 23, "budget": 100,
    }  # fmt: skip
    return pd.Series(row | values)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (network(observed=True, generalization_step=30), "grokking"),
        (network(observed=True, generalization_step=29), "generalization without delay"),
        (
            network(observed=True, generalization_step=29, memorization_step=None),
            "generalization without delay",
        ),
        (network(), "memorization"),
        (network(final_train_accuracy=0.4), "collapse"),  # had memorized
        (network(memorization_step=None, best_train_accuracy=0.8, final_train_accuracy=0.4), "confusion"),
        (
            network(memorization_step=None, best_train_accuracy=0.1, final_train_accuracy=0.1),
            "collapse",
        ),  # guesses
        (network(diverged=True), "collapse"),
    ],
)
def test_the_phase_of_a_network(row, expected):
    assert phases.phase(row) == expected


def sweep_of_four():
    rows = [
        network(observed=step is not None, generalization_step=step, **{"optimizer.learning_rate": rate})
        for rate, steps in ((0.1, (40, 50)), (0.2, (20, None)))
        for step in steps
    ]
    more = {"task.split.train_fraction": 0.5, "optimizer.weight_decay": 1.0, "model.family": "one_hot_mlp"}
    return pd.DataFrame(rows).assign(**more, processor="p")


def test_a_cell_has_the_phase_of_most_of_its_networks_and_counts_those_that_did_not():
    cells = sweeps.cell_table(sweep_of_four())
    assert cells["phase"].tolist() == [
        "grokking",
        "memorization",
    ]  # of equally many, the one lower in the table
    assert cells["generalized"].tolist() == [2, 1]
    assert cells["median_step"].tolist() == [40, 20]
    low, high = cells.loc[1, ["share_low", "share_high"]]
    assert (low, high) == (0.095, 0.905)  # Wilson's interval of 1 of 2
    assert sweeps.phase_counts(cells)["grokking"] == 1


def test_panels_have_a_square_per_cell_with_its_counts():
    axes = ["task.split.train_fraction", "optimizer.weight_decay", "optimizer.learning_rate"]
    cells = sweeps.cell_table(sweep_of_four()).assign(**{axes[0]: 0.5, axes[1]: 1.0})
    (panel,) = panels({"axes": axes, "cells": sweeps.records(cells)})
    assert panel["columns"] == ["0.1", "0.2"]
    says = [square["says"] for square in panel["lines"]["1"]]
    assert says == [
        "grokking: 2 of 2 generalized, step 40 (40–50)",
        "memorization: 1 of 2 generalized, step 20 (20–∞)",
    ]
    json.dumps(panel)


def test_a_page_says_what_an_axis_of_one_value_has_set():
    """The entry itself has 0.6."""
    entry = changed(**{"design.axes": {"task.split.train_fraction": [0.7]}})
    page = pages.sweep("s", sweep_of_four(), entry)
    assert "| `task.split.train_fraction` | 0.7 |" in page
    assert "| `task.operation.modulus` | 7 |" in page


def test_an_axis_may_be_of_words(tmp_path):
    axes = ["experiment.loss_precision", "optimizer.weight_decay", "optimizer.learning_rate"]
    cells = sweeps.cell_table(sweep_of_four()).assign(**{axes[1]: 1.0})
    cells.insert(0, axes[0], "float32")
    (panel,) = panels({"axes": axes, "cells": sweeps.records(cells)})
    assert panel["heading"] == "loss_precision float32"
    assert sweeps.as_text(cells)["loss_precision"].tolist() == ["float32", "float32"]
    figures.phase_map(cells, axes, "words", tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_committed_sweeps_have_every_network_of_their_entry():
    from grokking.catalogue import read_catalogue

    root = Path(__file__).parents[1]
    catalogue = read_catalogue(root)
    for name in catalogue.names("sweeps"):
        folder = root / "results" / "sweeps" / name
        if folder.exists():
            kept = SweepFolder(folder, folder / "none", expand(catalogue.entry("sweeps", name), name))
            assert kept.unfinished() == [], name
