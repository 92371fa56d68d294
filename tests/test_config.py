"""Mistakes in params.yaml: one line with the key, the value, the rule and the way out."""

import dataclasses
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples import FILTERS, MODELS, experiment
from ruamel.yaml import YAML

from grokking.catalogue import ENTRIES, Catalogue, merge, read_catalogue
from grokking.config import ConfigError, load
from grokking.data import tasks
from grokking.data.labels import LABELS
from grokking.data.operations import OPERATIONS
from grokking.data.splits import SPLITS
from grokking.data.tasks import TaskConfig
from grokking.experiment import ExperimentConfig, expand
from grokking.models import FAMILIES
from grokking.models.layers import ACTIVATIONS
from grokking.models.transformer import TRANSFORMER_INITIALISATIONS
from grokking.search.objective import OBJECTIVES
from grokking.search.pruning import RULES
from grokking.updates.gradient_filters import FILTERS as GRADIENT_FILTERS
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OPTIMIZERS as OPTIMIZER_RULES
from grokking.updates.projections import PROJECTIONS
from grokking.updates.schedules import SCHEDULES
from grokking.updates.weight_clamps import CLAMPS as WEIGHT_CLAMPS
from pipelines.common.stage import run

PARAMS = Path("params.yaml")
LONG = Path("extended/params.yaml")
TASK = {
    "operation": {"name": "add", "modulus": 11},
    "labels": {"name": "exact"},
    "split": {"name": "random", "train_fraction": 0.5},
    "split_seeds": [0],
}

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"split": {"name": "random", "train_fraction": 1.3}},
            "`tasks.t.split.train_fraction` must lie in (0, 1), but got 1.3",
        ),
        (
            {"split": {"name": "rows", "train_fraction": "0.3"}},
            "`tasks.t.split.train_fraction` should be a valid number, but got '0.3'",
        ),
        ({"split": {"name": "rows"}}, "`tasks.t.split.train_fraction` is missing"),
        (
            {"split": {"name": "triangle", "train_fraction": 0.3}},
            "`tasks.t.split.train_fraction` is unknown; known keys here: name",
        ),
        (
            {"split": {"name": "column"}},
            "`tasks.t.split` must be one of 'random', 'mirror_closed', 'quadrant',",
        ),
        ({"split": "random"}, "`tasks.t.split` must be a mapping of keys, but got 'random'"),
        (
            {"operation": {"name": "plus", "modulus": 11}},
            "`tasks.t.operation` must be one of 'add', 'subtract', 'multiply',",
        ),
        ({"operation": {"modulus": 11}}, "`tasks.t.operation` is missing or incomplete"),
        ({"operation": {"name": "add"}}, "`tasks.t.operation.modulus` is missing"),
        (
            {"operation": {"name": "add", "modulo": 11, "modulus": 11}},
            "`tasks.t.operation.modulo` is unknown; known keys here: name, modulus",
        ),
        (
            {"operation": {"name": "add", "modulus": 9.5}},
            "`tasks.t.operation.modulus` should be a valid integer",
        ),
        (
            {"operation": {"name": "add", "modulus": True}},
            "`tasks.t.operation.modulus` should be a valid integer",
        ),
        (
            {"operation": {"name": "add", "modulus": 1}},
            "`tasks.t.operation.modulus` must be a whole number from 2 to 1000, but got 1",
        ),
        (
            {"operation": {"name": "divide", "modulus": 1}},
            "`tasks.t.operation.modulus` must be a whole number from 2 to 1000, but got 1",
        ),
        (
            {"operation": {"name": "permutation_product", "degree": 6}},
            "`tasks.t.operation.degree` must be a whole number from 2 to 5, but got 6",
        ),
        (
            {"operation": {"name": "latin_square", "size": 4, "seed": 0}},
            "`tasks.t.operation.size` must be a whole number from 5 to 150, but got 4",
        ),
        (
            {"operation": {"name": "latin_square", "size": 5, "seed": -1}},
            "`tasks.t.operation.seed` must lie in [0, 2^31), but got -1",
        ),
        ({"labels": {"name": "exact", "seed": 0}}, "`tasks.t.labels.seed` is unknown; known keys here: name"),
        ({"labels": {"name": "shuffled"}}, "`tasks.t.labels.seed` is missing"),
        ({"split_seeds": 3}, "`tasks.t.split_seeds` must be a list, such as [3], but got 3"),
        ({"split_seeds": "\n"}, r"`tasks.t.split_seeds` must be a list, such as ['\n'], but got '\n'"),
        ({"modulus": 11}, "`tasks.t.modulus` is unknown; known keys here: operation, labels, split,"),
        (
            {"operation": {"name": "add", "modulus": 2**61 - 1}},
            f"`tasks.t.operation.modulus` must be a whole number from 2 to 1000, but got {2**61 - 1}",
        ),
        (
            {"operation": {"name": "divide", "modulus": 2**61 - 1}},
            f"`tasks.t.operation.modulus` must be a whole number from 2 to 1000, but got {2**61 - 1}",
        ),
        (
            {"operation": {"name": "latin_square", "size": 500, "seed": 0}},
            "must be a whole number from 5 to 150, but got 500",
        ),
        (
            {"split_seeds": list(range(20_000))},
            "`tasks.t.split_seeds` must list at most 1,000 seeds, but has 20,000",
        ),
        ({"split_seeds": [0, 0]}, "`tasks.t.split_seeds` must be a list of distinct seeds"),
        ({"split_seeds": [0, -1]}, "`tasks.t.split_seeds.1` must lie in [0, 2^31), but got -1"),
    ],
)
def test_task_errors(change, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        load(TaskConfig, TASK | change, "tasks.t")
    assert "\n" not in str(raised.value)


def test_missing_key_is_named():
    without = {key: value for key, value in TASK.items() if key != "split_seeds"}
    with pytest.raises(ConfigError, match=r"`tasks\.t\.split_seeds` is missing"):
        load(TaskConfig, without, "tasks.t")


@pytest.mark.parametrize("name", ["divide", "divide_or_subtract"])
def test_division_needs_a_prime(name):
    message = "`tasks.t.operation.modulus` division needs a prime modulus, but got 96 = 2 * 48; write a prime"
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(TaskConfig, TASK | {"operation": {"name": name, "modulus": 96}}, "tasks.t")


@pytest.mark.parametrize(
    ("modulus", "split"),
    [
        (2, {"name": "random", "train_fraction": 0.1}),
        (2, {"name": "random", "train_fraction": 0.9}),
        (2, {"name": "two_differences"}),
        (5, {"name": "rows", "train_fraction": 0.05}),
        (5, {"name": "difference_classes", "train_fraction": 0.95}),
        (5, {"name": "mirror_closed", "train_fraction": 0.01}),
        (5, {"name": "quadrant", "train_fraction": 0.99}),
    ],
)
def test_empty_part_is_refused(modulus, split):
    change = {"operation": {"name": "add", "modulus": modulus}, "split": split}
    config = load(TaskConfig, TASK | change, "tasks.t")
    message = f"`tasks.t.split` {split} leaves no training or no validation equation of {modulus**2} with"
    with pytest.raises(ConfigError, match=re.escape(message)):
        tasks.build(config, "tasks.t")


ONE_HOT = MODELS["one_hot_mlp"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"optimizer": {"name": "adan"}},
            "`e.optimizer` must be one of 'sgd', 'nesterov', 'adam', 'adamw', 'muon', but got 'adan'",
        ),
        ({"optimizer": {"learning_rate": 0.1}}, "`e.optimizer` is missing or incomplete"),
        (
            {"loss": "hinge"},
            "`e.loss` must be one of cross_entropy, mean_squared_error, stablemax_cross_entropy, but got",
        ),
        (
            {"frozen": "middle"},
            "`e.frozen` should be 'nothing', 'first_layer' or 'readout', but got 'middle'",
        ),
        (
            {"gradient_filter": {"name": "grokfast"}},
            "`e.gradient_filter` must be one of 'none', 'clip_norm', 'grokfast_ema', 'grokfast_ma', "
            "but got 'grokfast'",
        ),
        (
            {"weight_clamp": {"name": "row_norm"}},
            "`e.weight_clamp.max_norm` is missing",
        ),
        ({"gradient_projection": "on"}, "`e.gradient_projection` must be one of none, orthogonal, but got"),
        ({"budget": 0}, "`e.budget` must be a whole number from 1 to 1000000000, but got 0"),
        ({"budget": 10**12}, "`e.budget` must be a whole number from 1 to 1000000000, but got 1000000000000"),
        (
            {"model": ONE_HOT | {"hidden_widths": [10**9]}},
            "must list at least one width from 1 to 16384",
        ),
        ({"model": ONE_HOT | {"alpha": -200}}, "`e.model.alpha` must lie in [-10, 10], but got -200"),
        (
            {"gradient_filter": FILTERS["grokfast_ma"] | {"window": 10**8}},
            "`e.gradient_filter.window` must be a whole number from 1 to 10000, but got 100000000",
        ),
        ({"model": ONE_HOT | {"hidden_widths": [8] * 101}}, "must list at most 100 layers, but has 101"),
        (
            {"replicas": {"seeds": [0], "split_seeds": [0], "grid": {"budget": list(range(1, 10_002))}}},
            "`e.replicas` makes 10,001 replicas of its grid and its seeds; an experiment has at most 10,000",
        ),
        ({"bugdet": 10}, "`e.bugdet` is unknown"),
        ({"batch": {"sampling": "full", "size": 3}}, "`e.batch.size` is unknown; known keys here: sampling"),
        (
            {"replicas": {"seeds": [0, 1], "split_seeds": [0], "grid": {}}},
            "needs as many `split_seeds` as `seeds`",
        ),
        ({"replicas": {"seeds": [0], "split_seeds": [0]}}, "`e.replicas.grid` is missing"),
    ],
)
def test_experiment_errors(change, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        expand(experiment() | change, "e")


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            {"optimizer.weight_deacy": [0.1]},
            "`e.replicas.grid` sets `optimizer.weight_deacy`, which is unknown; known keys here: name,",
        ),
        (
            {"optimizer.learning_rate": [0.1, -1.0]},
            "`e.replicas.grid` sets `optimizer.learning_rate`, which must be above 0, but got -1.0",
        ),
        ({"loss.x": [1]}, "`grid` names `loss.x`, but `loss` holds the value 'cross_entropy', not keys"),
        ({"model.alpha": []}, "`grid` needs at least one value per key"),
        ({"task": ["a", "b"]}, "an experiment has one task; remove `task` from it"),
        (
            {"model.alpha": ["x"]},
            "`e.replicas.grid` sets `model.alpha`, which should be a valid number, but got",
        ),
    ],
)
def test_grid_errors_name_the_key(grid, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        expand(experiment(grid=grid), "e")


def test_grid_is_every_point_with_every_pair_of_seeds():
    grid = {"optimizer.learning_rate": [0.1, 0.2], "model.alpha": [0.0, 0.5]}
    replicas = expand(experiment(seeds=(4, 5), grid=grid), "e")
    found = [(r.config.optimizer.learning_rate, r.config.model.alpha, r.seed) for r in replicas]
    assert found == [(lr, alpha, seed) for lr in (0.1, 0.2) for alpha in (0.0, 0.5) for seed in (4, 5)]
    assert [r.index for r in replicas] == list(range(8))


def test_numpy_has_no_reduced_products():
    with pytest.raises(ConfigError, match="`matmul_precision` bfloat16 needs torch, but `numpy_mlp`"):
        expand(experiment("numpy_mlp", matmul_precision="bfloat16", precision="float32"), "e")


@pytest.mark.parametrize("family", ["one_hot_mlp", "numpy_mlp"])
def test_muon_needs_a_matrix_between_hidden_layers(family):
    mapping = experiment(family, "muon")
    mapping["model"]["hidden_widths"] = [24]
    with pytest.raises(ConfigError, match=r"muon updates matrices .* this model has none"):
        expand(mapping, "e")


@pytest.mark.parametrize("key", ["initialisation", "bias"])
def test_what_only_the_transformer_can_begin_with_is_refused_by_mlps(key):
    mapping = experiment("one_hot_mlp")
    mapping["model"][key] = {"initialisation": "torch_encoder", "bias": "blocks"}[key]
    with pytest.raises(ConfigError, match=f"model.*{key}`") as caught:
        expand(mapping, "e")
    assert "\n" not in str(caught.value)


CATALOGUE = read_catalogue(ROOT)


def test_every_entry_of_both_files_loads():
    every_task = {name: CATALOGUE.entry("tasks", name) for name in CATALOGUE.names("tasks")}
    for name, mapping in every_task.items():
        load(TaskConfig, mapping, f"tasks.{name}")
    for section in ("experiments", "tuning"):
        for name in CATALOGUE.names(section):
            settings = CATALOGUE.entry(section, name)
            confirm = settings.pop("confirm", settings["replicas"])
            (task,) = {replica.config.task for replica in expand(settings, f"{section}.{name}")}
            for plan in (settings["replicas"], confirm):
                assert set(plan["split_seeds"]) <= set(every_task[task]["split_seeds"])


def test_no_entry_was_lost():
    """At least as many as before both files had them, and two presets of the published systems."""
    least = {"tasks": 24, "experiments": 60, "studies": 8, "tuning": 14, "sweeps": 10}
    assert all(len(CATALOGUE.names(section)) >= least[section] for section in ENTRIES)
    of_group = {"systems": 10, "fractions": 4, "published": 13, "records": 4, "controls": 5, "operations": 24}
    assert all(len(CATALOGUE.names("experiments", group)) >= count for group, count in of_group.items())


def test_published_presets_compute_their_loss_as_their_originals_did():
    presets = {
        name: CATALOGUE.entry("experiments", name) for name in CATALOGUE.names("experiments", "published")
    }
    assert {preset["loss_precision"] for preset in presets.values()} == {"float32"}
    assert {preset["system"] for preset in presets.values()} == {0, 1, 2, 3, 4}
    for name, width in (("embedding_mlp_published", 97), ("embedding_mlp_published_p59", 59)):
        model = presets[name]["model"]
        assert model["initialisation"] == "glorot_uniform"
        assert model["embedding_std"] == pytest.approx(
            (2 / (width + model["embedding_width"])) ** 0.5, abs=1e-4
        )


@pytest.mark.parametrize("file", [PARAMS, LONG])
def test_lines_are_short_enough_to_read(file):
    assert max(map(len, (ROOT / file).read_text().splitlines())) <= 120


# What entries inherit


def catalogue(**sections) -> Catalogue:
    """A root and a child in one file."""
    entries = {
        "root": {
            "extends": "defaults.experiment", "group": "g", "task": "t", "budget": 10,
            "optimizer": {"name": "adamw", "learning_rate": 0.1, "epsilon": 1e-8},
            "replicas": {"seeds": [0, 1], "grid": {"model.alpha": [0.0]}},
        },
        "child": {
            "extends": "experiments.root", "group": "g", "task": "u", "optimizer": {"learning_rate": 0.2},
        },
    }  # fmt: skip
    default = {"experiment": {"loss": "cross_entropy", "optimizer": {"name": "sgd", "momentum": 0.9}}}
    content = {"defaults": default, "reports": {"groups": ["g"]}, "experiments": entries}
    return Catalogue({PARAMS: content | sections})


def test_a_child_has_what_it_does_not_write_of_its_root_and_of_the_default():
    assert catalogue().entry("experiments", "child") == {
        "task": "u", "budget": 10, "loss": "cross_entropy",
        "optimizer": {"name": "adamw", "learning_rate": 0.2, "epsilon": 1e-8},
        "replicas": {"seeds": [0, 1], "grid": {"model.alpha": [0.0]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("base", "change", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {}}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        *(
            ({"a": {tag: "x", "b": 1}}, {"a": {tag: "y", "c": 2}}, {"a": {tag: "y", "c": 2}})
            for tag in ("name", "family", "sampling", "kind")
        ),
        ({"a": {"name": "x", "b": 1}}, {"a": {"name": "x", "c": 2}}, {"a": {"name": "x", "b": 1, "c": 2}}),
    ],
)
def test_mappings_merge_key_by_key_unless_they_are_of_another_kind(base, change, merged):
    assert merge(base, change) == merged


def test_what_inherits_is_a_copy():
    one = catalogue()
    one.entry("experiments", "child")["replicas"]["seeds"].append(5)
    assert one.entry("experiments", "root")["replicas"]["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("key", "origin"),
    [
        ("child.optimizer.learning_rate", "child.optimizer.learning_rate"),
        ("child.optimizer.epsilon", "root.optimizer.epsilon"),
        ("child.replicas.seeds.1", "root.replicas.seeds.1"),
        ("child.replicas.grid.model.alpha", "root.replicas.grid.model.alpha"),
        ("child.optimizer.momentum", "child.optimizer.momentum"),  # of sgd, which was replaced
        ("child.nowhere", "child.nowhere"),
        ("child", "child"),
        ("gone.budget", "gone.budget"),
    ],
)
def test_the_origin_of_a_value_is_the_entry_that_writes_it(key, origin):
    assert catalogue().origin(f"experiments.{key}") == f"experiments.{origin}"


def test_the_origin_may_be_a_default_or_the_experiment_of_a_study():
    study = {
        "extends": "defaults.study",
        "experiment": {"extends": "experiments.root", "task": "t", "budget": 5},
    }
    defaults = {"experiment": {"loss": "cross_entropy"}, "study": {"trials": 3}}
    one = catalogue(studies={"s": study}, defaults=defaults)
    assert one.entry("studies", "s")["experiment"] == {
        "loss": "cross_entropy", "task": "t", "budget": 5,
        "optimizer": {"name": "adamw", "learning_rate": 0.1, "epsilon": 1e-8},
    }  # fmt: skip
    assert one.origin("studies.s.experiment.loss") == "defaults.experiment.loss"
    assert one.origin("studies.s.experiment.optimizer.epsilon") == "experiments.root.optimizer.epsilon"
    assert one.origin("studies.s.experiment.budget") == "studies.s.experiment.budget"
    assert one.origin("studies.s.trials") == "defaults.study.trials"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (
            "replicas",
            {"seeds": [7], "split_seeds": [0], "grid": {}},
            "the seeds of a study are in `search`, `sustain_seeds` and `confirm`",
        ),
        ("group", "g", "a study is in no group"),
    ],
)
def test_a_study_refuses_what_its_experiment_would_ignore(key, value, reason):
    experiment = {"extends": "experiments.root", "task": "t", key: value}
    study = {"extends": "defaults.study", "experiment": experiment}
    with pytest.raises(ConfigError) as told:
        catalogue(studies={"s": study}, defaults={"experiment": {}, "study": {}})
    assert str(told.value) == (f"`studies.s.experiment.{key}` is not used: {reason}; remove it")


@pytest.mark.parametrize(
    ("inner", "key", "reason"),
    [
        ("experiment", "replicas", "the seeds of a sweep are in its own `replicas`"),
        ("experiment", "group", "a sweep is in no group"),
        ("task", "split_seeds", "the split seeds of a sweep are in its own `replicas`"),
    ],
)
def test_a_sweep_refuses_what_its_experiment_and_task_would_ignore(inner, key, reason):
    parts = {"experiment": {"extends": "experiments.root"}, "task": {"extends": "defaults.task"}}
    sweep = {"extends": "defaults.sweep", **parts, inner: parts[inner] | {key: 1}}
    with pytest.raises(ConfigError) as told:
        catalogue(sweeps={"s": sweep}, defaults={"experiment": {}, "sweep": {}, "task": {}})
    assert str(told.value) == f"`sweeps.s.{inner}.{key}` is not used: {reason}; remove it"


def test_a_sweep_has_what_its_experiment_and_its_task_build_on():
    parts = {
        "experiment": {"extends": "experiments.root", "budget": 7},
        "task": {"extends": "defaults.task", "operation": {"modulus": 7}},
    }
    defaults = {"experiment": {}, "sweep": {"predicted": {}}, "task": {"operation": {"name": "add"}}}
    one = catalogue(sweeps={"s": {"extends": "defaults.sweep", **parts}}, defaults=defaults)
    entry = one.entry("sweeps", "s")
    assert entry["task"] == {"operation": {"name": "add", "modulus": 7}}
    assert entry["experiment"]["budget"] == 7
    assert "extends" not in entry["experiment"]
    assert one.origin("sweeps.s.experiment.optimizer.epsilon") == "experiments.root.optimizer.epsilon"
    assert one.origin("sweeps.s.task.operation.name") == "defaults.task.operation.name"


def test_a_wrong_value_is_told_where_it_was_written():
    told = catalogue().locate("`experiments.child.optimizer.epsilon` must be above 0, but got -1")
    written = "`experiments.root.optimizer.epsilon` must be above 0, but got -1"
    assert told == f"{written} (`experiments.child` builds on it)"
    own = "`experiments.child.optimizer.learning_rate` must be above 0, but got -1"
    assert catalogue().locate(own) == own


ROOT_ENTRY = {"extends": "defaults.experiment", "group": "g", "task": "t"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"a": ROOT_ENTRY | {"extends": "experiments.b"}},
            "names experiments.b, which is not in params.yaml; known: ",
        ),
        (
            {"a": ROOT_ENTRY | {"extends": "defaults.task"}},
            "names defaults.task, which is not in params.yaml; known: ",
        ),
        (
            {
                "a": ROOT_ENTRY,
                "b": ROOT_ENTRY | {"extends": "experiments.a"},
                "c": ROOT_ENTRY | {"extends": "experiments.b"},
            },
            "`experiments.c.extends` names experiments.b, which builds on experiments.a itself; build on",
        ),
        ({"a": ROOT_ENTRY | {"extends": "experiments.a"}}, "which builds on experiments.a itself"),
        (
            {"a": {"group": "g", "task": "t"}},
            "`experiments.a.extends` is missing in params.yaml; add it, as it is not",
        ),
        (
            {"a": {"extends": "defaults.experiment", "group": "g"}},
            "`experiments.a.task` is missing in params.yaml",
        ),
        (
            {"a": ROOT_ENTRY | {"group": "h"}},
            "`experiments.a.group` must be one of `reports.groups` in params.yaml, g,",
        ),
        ({"a": ROOT_ENTRY | {"task": ["t"]}}, "`experiments.a.task` must be a name, but got ['t']"),
        ({"a": None}, "`experiments.a` must be a mapping of keys, but got None"),
    ],
)
def test_inheritance_is_told_in_one_line(entries, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as told:
        catalogue(experiments=entries)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "name", ["..", "../../docs", "/abs", "a b", "a.b", "a;touch x", "A", "1a", 1, "-x", "a'b", "$(x)", ""]
)
@pytest.mark.parametrize("section", ENTRIES)
def test_a_name_that_is_no_plain_word_is_refused(section, name):
    entry = ROOT_ENTRY | {"experiment": {"extends": "defaults.experiment", "task": "t"}}
    with pytest.raises(ConfigError, match="is no name of an entry; write lower-case letters") as told:
        catalogue(**{section: {name: entry}})
    assert "\n" not in str(told.value)


def test_names_are_unique_over_both_files():
    files = {
        path: {"tasks": {"t": {"extends": "defaults.task"}}, "defaults": {"task": {}}}
        for path in (PARAMS, LONG)
    }
    with pytest.raises(
        ConfigError, match=r"`tasks.t` is in params.yaml and in extended/params.yaml; give one of"
    ):
        Catalogue(files)


def test_defaults_of_the_long_studies_are_written_once():
    long = {"defaults": {"task": "params.yaml"}, "tasks": {"u": {"extends": "defaults.task", "b": 2}}}
    one = Catalogue({PARAMS: {"defaults": {"task": {"a": 1}}}, LONG: long})
    assert one.entry("tasks", "u") == {"a": 1, "b": 2}
    assert one.origin("tasks.u.a") == "defaults.task.a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tasks:\n  a: &x {b: 1}\n",
            "params.yaml, line 2: anchors, aliases and << are not read; say with `extends`",
        ),
        ("tasks:\n  a: 1\n  <<: {b: 1}\n", "params.yaml, line 3: anchors, aliases and << are not read"),
        ("tasks: &x {}\nstudies: *x\n", "params.yaml, line 1: anchors, aliases and << are not read"),
        (
            "tasks: {a: 1}\nstudies: {}\ntasks: {}\n",
            'params.yaml, line 3: found duplicate key "tasks"; remove one',
        ),
        ("tasks:\n  a:\n    b: 1\n    b: 2\n", 'params.yaml, line 4: found duplicate key "b"; remove one'),
        ("tasks: [1\n", "cannot read params.yaml: "),
        (
            "- 1\n",
            "params.yaml must hold the sections defaults, reports, tasks, experiments, studies, tuning, "
            "sweeps",
        ),
        ("tasks: [1]\n", "`tasks` in params.yaml must be a mapping of names, but got [1]"),
        (
            "experimets: {}\n",
            "must hold the sections defaults, reports, tasks, experiments, studies, tuning, sweeps, but",
        ),
    ],
)
def test_what_hides_what_a_line_changes_is_refused(text, message, tmp_path):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as told:
        read_catalogue(tmp_path)
    assert "\n" not in str(told.value)


# Stages


STUDY_DEFAULTS = {"task": TASK, "experiment": {}, "study": {}}


def params_of(**sections) -> dict:
    """A params.yaml; entries build on empty defaults, and experiments are of the group `systems`."""
    content = {
        "defaults": STUDY_DEFAULTS,
        "reports": {"groups": ["systems"]},
        "tasks": {"t": {"extends": "defaults.task"}},
    }
    return content | sections


def entry_of(**changes) -> dict:
    return {"extends": "defaults.experiment", "group": "systems"} | experiment(task="t") | changes


def write_params(folder: Path, params: dict) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(json.loads(json.dumps(params)), file)  # nothing shared, so no anchors


@pytest.fixture
def run_stage(monkeypatch, capsys):
    """A stage in some folder, as its script runs it: exit code and what it told on stderr."""

    def run_in(folder: Path, params: dict, stage: str, *arguments: str) -> tuple[int, str]:
        write_params(folder, params)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [stage, *arguments])
        try:
            run(importlib.import_module(f"pipelines.{stage}").main)
            return 0, capsys.readouterr().err
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().err

    return run_in


@pytest.mark.parametrize(
    ("stage", "params", "message"),
    [
        (
            "split",
            params_of(tasks={"t": {"extends": "defaults.task", "split": {"train_fraction": 2}}}),
            "`tasks.t.split.train_fraction` must lie in (0, 1), but got 2",
        ),
        (
            "split",
            params_of(defaults={"task": TASK | {"split_seeds": [0, -1]}}),
            "`defaults.task.split_seeds.1` must lie in [0, 2^31), but got -1 (`tasks.t` builds on it)",
        ),
        (
            "split",
            params_of(
                tasks={"t": {"extends": "defaults.task", "operation": {"name": "divide", "modulus": 15}}}
            ),
            "but got 15 = 3 * 5",
        ),
        (
            "split",
            params_of(tasks={"u": {"extends": "defaults.task"}}),
            "`tasks.t` is not in params.yaml; known: u",
        ),
        (
            "train",
            params_of(experiments={"t": entry_of(task="gone")}),
            "`tasks.gone` is not in params.yaml; known: t",
        ),
        ("train", params_of(experiments={"t": entry_of()}), "run `dvc repro split@t` first"),
        ("report", params_of(experiments={"t": entry_of()}), "run `dvc repro train@t` first"),
        (
            "compare",
            params_of(),
            "group `t` has no columns; known: published, decays, fractions, records, literature, "
            "controls, operations, hard_operations; add it to",
        ),
    ],
)
def test_stage_tells_a_mistake_in_one_line_and_writes_nothing(stage, params, message, tmp_path, run_stage):
    code, told = run_stage(tmp_path, params, stage, *(["t"] if stage != "report" else []))
    assert code == 2
    assert message in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    "stage", ["split", "train", "diagnose", "search", "confirm", "tune", "report_search", "compare"]
)
@pytest.mark.parametrize("name", ["../..", "/tmp", "a;touch x", ""])
def test_a_stage_called_with_no_name_touches_nothing(stage, name, tmp_path, run_stage):
    """Not even beside its folders, where `..` would lead."""
    inside = tmp_path / "checkout"
    inside.mkdir()
    (tmp_path / "run.json").write_text("{}")
    code, told = run_stage(inside, params_of(), stage, "--", name)
    assert code == 2
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkout", "params.yaml", "run.json"]


def test_what_is_removed_is_in_the_folder_of_the_entry(tmp_path, run_stage, monkeypatch):
    """Another run of an experiment replaces its files and leaves everything beside them."""
    monkeypatch.setenv("GROKKING_PROCESSES", "1")
    monkeypatch.setenv("GROKKING_DEVICE", "cpu")
    entries = {"one": entry_of(budget=2, precision="float32"), "two": entry_of(budget=2)}
    params = params_of(experiments=entries)
    for stage, name in (("split", "t"), ("train", "one")):
        assert run_stage(tmp_path, params, stage, name)[0] == 0
    beside = tmp_path / "results/runs/systems"
    kept = [
        beside / "two" / "run.json",
        beside / "note",
        beside.parent / "other" / "one" / "run.json",
        tmp_path / "x",
    ]
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("kept")
    (beside / "one" / "old").write_text("replaced")
    params = params_of(experiments=entries | {"one": entry_of(budget=3, precision="float32")})
    assert run_stage(tmp_path, params, "train", "one")[0] == 0
    assert [file.read_text() for file in kept] == ["kept"] * 4
    assert not (beside / "one" / "old").exists()
    assert (beside / "one" / "run.json").exists()


@pytest.mark.parametrize("name", ["diagnostics.parquet", "portrait.safetensors"])
def test_damaged_measurements_are_refused_by_name(name, tmp_path, run_stage, monkeypatch):
    monkeypatch.setenv("GROKKING_PROCESSES", "1")
    monkeypatch.setenv("GROKKING_DEVICE", "cpu")
    params = params_of(experiments={"one": entry_of(budget=2)})
    for stage, entry in (("split", "t"), ("train", "one"), ("diagnose", "one")):
        assert run_stage(tmp_path, params, stage, entry)[0] == 0
    file = tmp_path / "results/diagnostics/systems/one" / name
    written = bytearray(file.read_bytes())
    written[-40] ^= 1
    file.write_bytes(written)
    code, told = run_stage(tmp_path, params, "draw", "one")
    assert code == 2
    assert told.startswith(f"error: results/diagnostics/systems/one/{name} is missing or damaged; restore it")


@pytest.mark.parametrize(
    ("grid", "confirm", "message"),
    [
        (
            {"optimizer.learning_rate": [0.01, 0.02]},
            {"seeds": [5], "split_seeds": [77]},
            "error: `tuning.t.confirm.split_seeds` names 77, but the task is split with seeds 0",
        ),
        (
            {},
            {"seeds": [5], "split_seeds": [0]},
            "error: `tuning.t.replicas.grid` is empty; name a key of the experiment and its values\n",
        ),
    ],
)
def test_a_tuning_that_cannot_be_confirmed_is_refused_before_its_grid_is_trained(
    grid, confirm, message, tmp_path, run_stage
):
    replicas = {"seeds": [0], "split_seeds": [0], "grid": grid}
    entry = {"extends": "defaults.experiment"} | experiment(task="t", replicas=replicas, budget=2)
    params = params_of(tuning={"t": entry | {"confirm": confirm}})
    assert run_stage(tmp_path, params, "split", "t")[0] == 0
    code, told = run_stage(tmp_path, params, "tune", "t")
    assert code == 2
    assert told.startswith(message)
    assert told.count("\n") == 1
    assert not (tmp_path / "results/tuning").exists()


def test_split_that_does_not_determine_the_operation_is_told_in_one_line(tmp_path):
    task = {"extends": "defaults.task", "split": {"name": "rows", "train_fraction": 0.7}}
    write_params(tmp_path, params_of(tasks={"t": task}))
    command = [sys.executable, "-m", "pipelines.split", "t"]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: tasks.t: split seed 0: the training set does not determine")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "results/splits/t/meta.json").exists()


@pytest.mark.parametrize(
    "choices",
    [
        OPERATIONS,
        LABELS,
        SPLITS,
        FAMILIES,
        ACTIVATIONS,
        TRANSFORMER_INITIALISATIONS,
        LOSSES,
        OPTIMIZER_RULES,
        GRADIENT_FILTERS,
        PROJECTIONS,
        WEIGHT_CLAMPS,
        SCHEDULES,
        OBJECTIVES,
    ],
)
def test_every_choice_is_documented(choices):
    page = (ROOT / "docs" / "choices.md").read_text()
    missing = [name for name in choices if f"`{name}`" not in page]
    assert not missing, f"say in docs/choices.md what {', '.join(missing)} is"


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(ExperimentConfig)])
def test_every_key_of_an_experiment_is_documented(key):
    page = (ROOT / "docs" / "choices.md").read_text()
    assert f"`{key}`" in page, f"say in docs/choices.md what {key} is"


def test_every_rule_that_stops_a_replica_is_documented():
    page = (ROOT / "docs" / "search.md").read_text()
    assert [name for name in RULES if f"`{name}`" not in page] == []
