"""Mistakes in params.yaml: one line with the key, the value, the rule and the way out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples import CLAMPS, FILTERS, OPTIMIZERS, experiment
from ruamel.yaml import YAML

from grokking.config import SECTIONS, ConfigError, load, read_params
from grokking.data import tasks
from grokking.data.labels import LABELS
from grokking.data.operations import OPERATIONS
from grokking.data.splits import SPLITS
from grokking.data.tasks import Sizes, TaskConfig
from grokking.experiment import expand
from grokking.models import MULTIPLY_ADDS, require_fit
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS
from grokking.search.objective import OBJECTIVES
from grokking.search.pruning import RULES, SPARING_RULES
from grokking.updates.gradient_filters import FILTERS as GRADIENT_FILTERS
from grokking.updates.gradient_filters import PROJECTIONS
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OPTIMIZERS as OPTIMIZER_RULES
from grokking.updates.schedules import SCHEDULES
from grokking.updates.weight_clamps import CLAMPS as WEIGHT_CLAMPS

EMPTY: dict[str, dict] = {section: {} for section in SECTIONS}
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
            "`tasks.t.operation.modulus` must be a whole number of at least 2, but got 1",
        ),
        (
            {"operation": {"name": "divide", "modulus": 1}},
            "`tasks.t.operation.modulus` must be a whole number of at least 2, but got 1",
        ),
        (
            {"operation": {"name": "permutation_product", "degree": 6}},
            "`tasks.t.operation.degree` must be a whole number from 2 to 5, but got 6",
        ),
        (
            {"operation": {"name": "latin_square", "size": 4, "seed": 0}},
            "`tasks.t.operation.size` must be at least 5, as smaller squares are group tables, but got 4",
        ),
        (
            {"operation": {"name": "latin_square", "size": 5, "seed": -1}},
            "`tasks.t.operation.seed` must lie in [0, 2^31), but got -1",
        ),
        ({"labels": {"name": "exact", "seed": 0}}, "`tasks.t.labels.seed` is unknown; known keys here: name"),
        ({"labels": {"name": "shuffled"}}, "`tasks.t.labels.seed` is missing"),
        ({"modulus": 11}, "`tasks.t.modulus` is unknown; known keys here: operation, labels, split,"),
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
            "`e.gradient_filter` must be one of 'none', 'grokfast_ema', 'grokfast_ma', but got 'grokfast'",
        ),
        (
            {"weight_clamp": {"name": "row_norm"}},
            "`e.weight_clamp.max_norm` is missing",
        ),
        ({"gradient_projection": "on"}, "`e.gradient_projection` must be one of none, orthogonal, but got"),
        ({"budget": 0}, "`e.budget` must be a whole number of at least 1, but got 0"),
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
            "`e.optimizer.weight_deacy` is unknown; known keys here: name, learning_rate",
        ),
        (
            {"optimizer.learning_rate": [0.1, -1.0]},
            "`e.optimizer.learning_rate` must be above 0, but got -1.0",
        ),
        ({"loss.x": [1]}, "`grid` names `loss.x`, but `loss` holds the value 'cross_entropy', not keys"),
        ({"model.alpha": []}, "`grid` needs at least one value per key"),
        ({"task": ["a", "b"]}, "an experiment has one task; remove `task` from it"),
        ({"model.alpha": ["x"]}, "`e.model.alpha` should be a valid number, but got 'x'"),
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


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"optimizer": OPTIMIZERS["adamw"]}, "optimizer.name` sgd, but got adamw"),
        ({"loss": "mean_squared_error"}, "loss` cross_entropy, but got mean_squared_error"),
        ({"gradient_filter": FILTERS["grokfast_ema"]}, "gradient_filter.name` none, but got grokfast_ema"),
        ({"gradient_projection": "orthogonal"}, "gradient_projection` none, but got orthogonal"),
        ({"weight_clamp": CLAMPS["row_norm"]}, "weight_clamp.name` none, but got row_norm"),
        ({"frozen": "readout"}, "frozen` nothing, but got readout"),
        ({"matmul_precision": "bfloat16"}, "matmul_precision` full, but got bfloat16"),
    ],
)
def test_numpy_family_refuses_what_it_has_no_code_for(change, key):
    mapping = experiment("numpy_mlp", "sgd") | change
    with pytest.raises(ConfigError, match=f"{re.escape(key)}; use family `one_hot_mlp` for any other"):
        expand(mapping, "e")


def test_muon_needs_a_matrix_between_hidden_layers():
    mapping = experiment("one_hot_mlp", "muon")
    mapping["model"]["hidden_widths"] = [24]
    with pytest.raises(ConfigError, match=re.escape("`hidden_widths` [24] has none; add a hidden layer or")):
        expand(mapping, "e")


def test_a_tied_unembedding_needs_answers_that_are_tokens():
    mapping = experiment("transformer")
    mapping["model"]["tied_unembedding"] = True
    model = expand(mapping, "e")[0].config.model
    require_fit(model, Sizes(11, 11))
    with pytest.raises(ConfigError, match="got 11 tokens and 7 answers; write false"):
        require_fit(model, Sizes(11, 7))


def test_heads_must_divide_the_width():
    mapping = experiment("transformer")
    mapping["model"]["heads"] = 3
    with pytest.raises(ConfigError, match="`heads` must divide `width`, but got width 16 and heads 3"):
        expand(mapping, "e")


def test_every_entry_of_params_yaml_loads():
    params = read_params(ROOT / "params.yaml")
    every_task = params["tasks"] | params["extended_tasks"]
    for name, mapping in every_task.items():
        load(TaskConfig, mapping, f"tasks.{name}")
    for section in ("experiments", "published", "records", "controls", "operations", "optimizers"):
        for name, mapping in params[section].items():
            settings = {key: value for key, value in mapping.items() if key != "confirm"}
            (task,) = {replica.config.task for replica in expand(settings, f"{section}.{name}")}
            for plan in (mapping["replicas"], mapping.get("confirm", mapping["replicas"])):
                assert set(plan["split_seeds"]) <= set(every_task[task]["split_seeds"])


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        (
            "split",
            {"tasks": {"t": TASK | {"split": {"name": "random", "train_fraction": 2}}}},
            "`tasks.t.split.train_fraction` must lie in (0, 1), but got 2",
        ),
        (
            "split",
            {"tasks": {"t": TASK | {"operation": {"name": "divide", "modulus": 15}}}},
            "but got 15 = 3 * 5",
        ),
        ("split", {"tasks": {"u": TASK}}, "`tasks.t` is not in params.yaml; known: u"),
        (
            "train",
            {"experiments": {"t": experiment(task="gone")}},
            "`tasks.gone` is not in params.yaml; known: t",
        ),
        ("train", {"experiments": {"t": experiment(task="t")}}, "run `dvc repro split@t` first"),
        ("split", {"tasks": [1]}, "`tasks` in params.yaml must be a mapping of names, but got [1]"),
        ("report", {"experiments": {"t": experiment(task="t")}}, "run `dvc repro train@t` first"),
        (
            "split",
            {"experimets": {}},
            "must hold the sections tasks, experiments, extended_tasks, published,",
        ),
    ],
)
def test_stage_tells_a_mistake_in_one_line_and_writes_nothing(stage, change, message, tmp_path):
    sections = EMPTY | {"tasks": {"t": TASK}} | change
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(sections, file)
    command = [sys.executable, "-m", f"pipelines.{stage}", "t"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_split_that_does_not_determine_the_operation_is_told_in_one_line(tmp_path):
    task = TASK | {"split": {"name": "rows", "train_fraction": 0.7}}
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(EMPTY | {"tasks": {"t": task}}, file)
    command = [sys.executable, "-m", "pipelines.split", "t"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0
    assert done.stderr.startswith("warning: tasks.t: split seed 0: the training set does not determine")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "artifacts/splits/t/meta.json").exists()


@pytest.mark.parametrize(
    "choices",
    [
        OPERATIONS,
        LABELS,
        SPLITS,
        MULTIPLY_ADDS,
        ACTIVATIONS,
        INITIALISATIONS,
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
    assert [name for name in choices if f"`{name}`" not in page] == []


def test_every_rule_that_stops_a_replica_is_documented():
    page = (ROOT / "docs" / "search.md").read_text()
    assert [name for name in RULES | SPARING_RULES if f"`{name}`" not in page] == []
