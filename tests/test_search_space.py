"""Spaces as written in params.yaml: every kind of dimension, what it sets, and mistakes in one line."""

import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from examples import BATCHES, MODELS, OPTIMIZERS, experiment
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial
from searches import SPACE, network, plan_of, stage_folder, study_mapping

from grokking.analysis.search_axes import axes
from grokking.catalogue import read_catalogue
from grokking.config import ConfigError, load
from grokking.experiment import Seeds
from grokking.models.layers import INITIALISATIONS
from grokking.search import objective
from grokking.search.config import StudyPlan, random_arm, read_study
from grokking.search.objective import (
    OBJECTIVES,
    Price,
    censored_value,
    distance_to_goal,
    failed_value,
    log_cost,
)
from grokking.search.space import Space, apply_point, corners, suggest

ROOT = Path(__file__).parents[1]
ADAMW = {
    key: value for key, value in OPTIMIZERS["adamw"].items() if key not in ("learning_rate", "weight_decay")
}
EVERY_KIND = {
    "model.init_scale": {"kind": "log", "low": 0.1, "high": 10.0},
    "model.output_scale": {"kind": "linear", "low": -1.0, "high": 3.0},
    "batch": {"kind": "choice", "values": [{"sampling": "full"}, BATCHES["with_replacement"]]},
    "model.hidden_widths": {"kind": "choice", "values": [[16, 8], [8, 8], [4, 4]]},
    "model.activation": {"kind": "choice", "values": ["relu", "gelu"]},
    "model.bias": {"kind": "choice", "values": [True, False]},
    "schedule.warmup_steps": {"kind": "integer", "low": 0, "high": 5},
    "optimizer": {
        "kind": "branch",
        "branches": {
            "adamw": {
                "fixed": ADAMW,
                "space": {
                    "learning_rate": {"kind": "log", "low": 1e-3, "high": 1e-1},
                    "decay_rate": {"kind": "log", "low": 1e-4, "high": 1e-2},
                },
            },
            "sgd": {
                "fixed": {"name": "sgd", "weight_decay": 0.0},
                "space": {
                    "learning_rate": {"kind": "log", "low": 0.1, "high": 1.0},
                    "momentum": {"kind": "choice", "values": [0.0, 0.9, 0.95]},
                },
            },
        },
    },
    "budget": {"kind": "log_integer", "low": 8, "high": 64},
}  # fmt: skip


def space_of(mapping) -> Space:
    return load(Space, mapping, "space")


def drawn(space: Space, number: int) -> list[optuna.Trial]:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    return [study.ask() for _ in range(number)]


@pytest.fixture(scope="module", autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_every_kind_stays_in_its_range():
    space = space_of(EVERY_KIND)
    points = [suggest(trial, space) for trial in drawn(space, 200)]
    for key in ("model.init_scale", "model.output_scale", "schedule.warmup_steps", "budget"):
        low, high = EVERY_KIND[key]["low"], EVERY_KIND[key]["high"]
        found = [point[key] for point in points]
        assert low <= min(found) < low + (high - low) / 4
        assert high - (high - low) / 4 < max(found) <= high
    for key in (
        "model.init_scale",
        "budget",
    ):  # half of what is drawn in logarithms is below the middle of them
        low, high = EVERY_KIND[key]["low"], EVERY_KIND[key]["high"]
        below = sum(point[key] < math.sqrt(low * high) for point in points)
        assert 70 < below < 130
    assert {point["schedule.warmup_steps"] for point in points} == set(range(6))
    for key in ("batch", "model.hidden_widths", "model.activation", "model.bias"):
        for value in EVERY_KIND[key]["values"]:
            assert any(point[key] == value for point in points), value
        assert all(point[key] in EVERY_KIND[key]["values"] for point in points)
    assert {type(point["model.bias"]) for point in points} == {bool}


def test_parameters_as_stored_give_back_the_point():
    """What Optuna keeps of a trial, and nothing else, is the point; also after a detour over a file."""
    space = space_of(EVERY_KIND)
    for trial in drawn(space, 50):
        point = suggest(trial, space)
        assert suggest(FixedTrial(trial.params), space) == point
        assert set(trial.params) <= {axis.name for axis in axes(EVERY_KIND)}
        assert all(isinstance(value, int | float | str) for value in trial.params.values())


def test_a_branch_sets_its_whole_section():
    """No key of the experiment's own optimizer, or of the other branch, is left."""
    space = space_of(EVERY_KIND)
    mapping = experiment(optimizer="muon")
    names = set()
    for trial in drawn(space, 30):
        found = apply_point(mapping, suggest(trial, space), "space")["optimizer"]
        names.add(found["name"])
        wanted = OPTIMIZERS[found["name"]]
        assert set(found) == set(wanted)
    assert names == {"adamw", "sgd"}
    assert mapping == experiment(optimizer="muon")  # and the experiment itself is as it was


def test_rates_of_decay_become_weight_decays():
    values = {
        "optimizer.learning_rate": 0.02, "optimizer.decay_rate": 0.005,
        "optimizer.adamw_learning_rate": 0.004, "optimizer.rest_decay_rate": 0.01,
    }  # fmt: skip
    found = apply_point(experiment(optimizer="muon"), values, "space")["optimizer"]
    assert found["weight_decay"] == pytest.approx(0.25)
    assert found["adamw_weight_decay"] == pytest.approx(2.5)
    assert set(found) == set(OPTIMIZERS["muon"])


def test_corners_hold_every_branch_choice_and_end():
    space = space_of(EVERY_KIND)
    points = list(corners(space))
    for key, dimension in EVERY_KIND.items():
        if key == "optimizer":
            continue
        ends = dimension.get("values", [dimension.get("low"), dimension.get("high")])
        assert all(any(point[key] == end for point in points) for end in ends), key
    seen = [(p["optimizer"]["name"], p.get("optimizer.learning_rate")) for p in points]
    assert {("adamw", 1e-3), ("adamw", 1e-1), ("sgd", 0.1), ("sgd", 1.0)} <= set(seen)
    assert {p.get("optimizer.momentum") for p in points} == {None, 0.0, 0.9, 0.95}
    assert list(corners({})) == []


def muon(**model):
    return experiment(optimizer="muon") | {"model": MODELS["one_hot_mlp"] | model}


def without(mapping, section, key):
    return mapping | {section: {name: value for name, value in mapping[section].items() if name != key}}


RATE = {"optimizer.decay_rate": SPACE["optimizer.decay_rate"]}
WIDTHS = {"model.hidden_widths": {"kind": "choice", "values": [[8, 8], [8]]}}
NAMES = {"optimizer": {"kind": "choice", "values": [OPTIMIZERS["adamw"], OPTIMIZERS["muon"]]}}
MISTAKES = [
    ({"trails": 6}, "`studies.tiny.trails` is unknown; known keys here: experiment, space, initial_points,"),
    ({"trials": 0}, "`studies.tiny.trials` must be a whole number of at least 1, but got 0"),
    ({"objective": "epochs"}, "`studies.tiny.objective` must be one of steps, examples, flops,"),
    (
        {"space": {"model.init_scale": {"kind": "log", "low": 2.0, "high": 1.0}}},
        "needs `low` below `high`, but got 2.0 and 1.0",
    ),
    (
        {"space": {"budget": {"kind": "integer", "low": 2, "high": 2}}},
        "needs `low` below `high`, but got 2 and 2",
    ),
    (
        {"space": {"model.init_scale": {"kind": "log", "low": 0.0, "high": 1.0}}},
        "of kind log needs `low` above 0, but got 0.0; write a small number or linear",
    ),
    (
        {"space": {"budget": {"kind": "log_integer", "low": 0, "high": 9}}},
        "of kind log_integer needs `low` above 0, but got 0",
    ),
    (
        {"space": {"model.init_scale": {"kind": "logarithmic", "low": 0.1, "high": 1.0}}},
        "`studies.tiny.space.model.init_scale` must be one of 'log',",
    ),
    ({"space": {"model.bias": {"kind": "choice", "values": []}}}, "needs at least one of `values`, but"),
    (
        {"space": {"model.bias": {"kind": "choice", "values": [True], "log": True}}},
        "`studies.tiny.space.model.bias.log` is unknown; known keys here: kind, values",
    ),
    (
        {"space": {"model.init_scael": SPACE["model.init_scale"]}},
        "`studies.tiny.space.model.init_scael` sets `model.init_scael`, which is unknown; known keys here: ",
    ),
    (
        {"space": {"model.activation": {"kind": "choice", "values": ["relu", "rellu"]}}},
        "`studies.tiny.space.model.activation` sets `model.activation`, which must be one of",
    ),
    (
        {"space": {"loss.name": {"kind": "choice", "values": [1]}}},
        "`studies.tiny.space` names `loss.name`, but `loss` holds the value 'mean_squared_error', not keys",
    ),
    (
        {"initial_points": [{"optimizer.momentum": 0.9}]},
        "`studies.tiny.initial_points` names optimizer.momentum, which is not searched; known: model.init_",
    ),
    (
        {"confirm": {"seeds": [1], "split_seeds": [2]}},
        "`studies.tiny.confirm.seeds` must be fresh, but 1 is in `search`; choose others",
    ),
    (
        {"confirm": {"seeds": [5], "split_seeds": [0]}},
        "`studies.tiny.confirm.split_seeds` must be fresh, but 0 is in `search`; choose others",
    ),
    (
        {"confirm": {"seeds": [3], "split_seeds": [2]}},
        "`studies.tiny.confirm.seeds` must be fresh, but 3 is in `sustain_seeds`; choose others",
    ),
    (
        {"sustain_seeds": {"seeds": [0], "split_seeds": [1]}},
        "`studies.tiny.sustain_seeds.seeds` must be fresh, but 0 is in `search`; choose others",
    ),
    (
        {"pruner": {"name": "progress", "racing_factor": 0.9, "exempt_first": 2, "exempt_every": 5}},
        "`studies.tiny.pruner.racing_factor` must be at least 1, but got 0.9",
    ),
    (
        {"pruner": {"name": "progress", "racing_factor": 1.5, "exempt_first": 2, "exempt_every": 0}},
        "`studies.tiny.pruner.exempt_every` must be a whole number of at least 1, but got 0",
    ),
    ({"sampler": {"name": "cmaes", "seed": 0, "startup_trials": 3}}, "`studies.tiny.sampler.name` should be"),
    (
        {"space": {"optimizer.learning_rate": {"kind": "linear", "low": -0.1, "high": 0.1}}},
        "`studies.tiny.space.optimizer.learning_rate` sets `optimizer.learning_rate`, which must be above",
    ),
    (
        {"space": {"optimizer.decay_rate": {"kind": "linear", "low": -0.3, "high": 0.1}}},
        "`studies.tiny.space.optimizer.decay_rate` sets `optimizer.weight_decay`, which must be at least 0, ",
    ),
    (
        {"space": {"optimizer": {"kind": "choice", "values": [OPTIMIZERS["adamw"] | {"beta1": 1.5}]}}},
        "`studies.tiny.space.optimizer` sets `optimizer.beta1`, which must lie in [0, 1), but got 1.5",
    ),
    (
        {"experiment": muon(), "space": WIDTHS},
        "`optimizer` muon updates matrices between hidden layers, but this model has none; ",
    ),
    ({"space": WIDTHS | NAMES}, "`optimizer` muon updates matrices between hidden layers, but"),
    (
        {"experiment": without(network(), "optimizer", "learning_rate"), "space": RATE},
        "`studies.tiny.space` names `optimizer.decay_rate`, which needs `optimizer.learning_rate` above 0,",
    ),
    (
        {"experiment": {**network(), "optimizer": None}, "space": {}},
        "`studies.tiny.experiment.optimizer` must be a mapping of keys, but got None",
    ),
    ({"experiment": {"budget": 60}, "space": {}}, "`studies.tiny.experiment.system` is missing"),
    (
        {"initial_points": [{"optimizer.learning_rate": 0.5}]},
        "`studies.tiny.initial_points` gives optimizer.learning_rate 0.5, but `space` has {'kind': 'log', ",
    ),
    (
        {"space": WIDTHS, "initial_points": [{"model.hidden_widths": [8]}]},
        "`studies.tiny.initial_points` gives model.hidden_widths [8], but `space` has {'kind': 'choice',",
    ),
    (
        {"published": {"model.hidden_width": [500]}},
        "`studies.tiny.published.model.hidden_width` sets `model.hidden_width`, which is unknown; known keys",
    ),
    (
        {"search": {"seeds": [0, 1], "split_seeds": [0]}},
        "`studies.tiny.search` needs as many `split_seeds` as `seeds`, at least one, but got 1 and 2",
    ),
    ({"confirm": {"seeds": [], "split_seeds": []}}, "`studies.tiny.confirm` needs as many `split_seeds`"),
    (
        {"space": {"replicas.seeds": {"kind": "choice", "values": [[0], [7]]}}},
        "`studies.tiny.space` names replicas.seeds, but the seeds of all trials are in `search`; remove it",
    ),
    (
        {"space": {"replicas": {"kind": "choice", "values": [{"seeds": [7], "split_seeds": [0]}]}}},
        "`studies.tiny.space` names replicas, but the seeds of all trials are in `search`; remove it",
    ),
    (
        {"space": {"task": {"kind": "choice", "values": ["test", "other"]}}},
        "`studies.tiny.space` names task, but all trials learn that of `experiment`; remove it",
    ),
    (
        {"space": {"system": {"kind": "choice", "values": [1, 2]}}},
        "`studies.tiny.space` names system, but it changes nothing that is trained; remove it",
    ),
    (
        {"space": {"role": {"kind": "choice", "values": ["variant", "control"]}}},
        "`studies.tiny.space` names role, but it changes nothing that is trained; remove it",
    ),
    (
        {"space": {"budget": {"kind": "integer", "low": 50, "high": 100}}},
        "`studies.tiny.space` names budget, but trials are compared within that of `experiment`; remove it",
    ),
    (
        {"published": {"replicas.seeds": [7]}},
        "`studies.tiny.published` names replicas.seeds, but the seeds of all trials are in `search`; remove",
    ),
    (
        {"published": {"task": "other"}},
        "`studies.tiny.published` names task, but all trials learn that of `experiment`; remove it",
    ),
    ({"space": {}}, "`studies.tiny.space` is empty; name a key of the experiment and its values"),
    (
        {"space": {"optimizer": {"kind": "branch", "branches": {}}}},
        "`studies.tiny.space.optimizer` needs at least one of `branches`, but has none; remove the key or",
    ),
    (
        {"space": RATE | {"optimizer.weight_decay": {"kind": "linear", "low": 0.1, "high": 1.0}}},
        "`studies.tiny.space` names both optimizer.weight_decay and optimizer.decay_rate, which sets it; rem",
    ),
    (
        {"space": RATE | {"optimizer": {"kind": "choice", "values": [OPTIMIZERS["adamw"]]}}},
        "`studies.tiny.space` names optimizer.decay_rate before optimizer, which replaces it; swap them",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"), MISTAKES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_mistake_is_told_in_one_line(change, message):
    mapping = study_mapping(**change)
    mapping["experiment"].pop("replicas", None)
    with pytest.raises(ConfigError, match=re.escape(message)) as told:
        read_study(mapping, "tiny", "studies.tiny")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("stage", ["search", "confirm"])
def test_a_stage_tells_a_mistake_and_writes_nothing(stage, tmp_path):
    pruner = {"name": "progress", "racing_factor": 0.5, "exempt_first": 2, "exempt_every": 5}
    shutil.copy(stage_folder(tmp_path / "elsewhere", pruner=pruner) / "params.yaml", tmp_path)
    shutil.rmtree(tmp_path / "elsewhere")
    command = [sys.executable, "-m", f"pipelines.{stage}", "tiny"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    )
    assert done.returncode == 2
    assert done.stderr == "error: `studies.tiny.pruner.racing_factor` must be at least 1, but got 0.5\n"
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_sound_study_is_read_and_its_random_arm_has_the_same_rules():
    plan = plan_of(
        initial_points=[{"optimizer.learning_rate": 0.03}], published={"model.hidden_widths": [500]}
    )
    assert isinstance(plan, StudyPlan)
    assert plan.budget == 100
    assert [r.config.model.hidden_widths for r in plan.published(plan.config.confirm)] == [(500,)]
    arm = random_arm(plan)
    assert arm.config.sampler.name == "random"
    assert arm.config.sampler.seed != plan.config.sampler.seed
    assert arm.config.pruner == plan.config.pruner
    assert arm.config.initial_points == ()
    assert arm.config.space == plan.config.space


def test_each_round_confirms_on_seeds_and_splits_of_its_own():
    confirm = {"seeds": [103, 100, 101], "split_seeds": [12, 10, 11]}
    rounds = [plan_of(confirm=confirm, round=number).config.confirm for number in (1, 2, 3)]
    assert rounds[0] == plan_of(confirm=confirm).config.confirm == Seeds((103, 100, 101), (12, 10, 11))
    assert rounds[1] == Seeds((107, 104, 105), (15, 13, 14))
    for kind in ("seeds", "split_seeds"):
        used = [seed for of_round in rounds for seed in getattr(of_round, kind)]
        assert len(set(used)) == len(used) == 9


def test_a_round_must_not_come_to_seeds_of_the_search():
    with pytest.raises(ConfigError, match=r"`studies.tiny.confirm.seeds` must be fresh, but 1 is in"):
        plan_of(confirm={"seeds": [0], "split_seeds": [5]}, round=2)


def test_every_study_of_params_yaml_loads():
    catalogue = read_catalogue(ROOT)
    for name in catalogue.names("studies"):
        mapping = catalogue.entry("studies", name)
        if mapping["published"].get("model.initialisation", "fan_in_uniform") not in INITIALISATIONS:
            continue  # named by the published systems before the code has it
        plan = read_study(mapping, name, f"studies.{name}")
        task = catalogue.entry("tasks", mapping["experiment"]["task"])
        for seeds in (plan.config.search, plan.config.sustain_seeds, plan.config.confirm):
            assert set(seeds.split_seeds) <= set(task["split_seeds"])


@pytest.mark.parametrize("unit", OBJECTIVES)
def test_values_of_what_generalized_lie_below_censored_ones_below_failed_ones(unit):
    """For every cost up to the budget's and every distance, at costs of very different size."""
    for budget in (10, 1000, 10**6):
        bound = OBJECTIVES[unit](budget, Price(examples=64, flops=10**5), budget * 1e-3)
        graded = [censored_value(bound, tenths / 10) for tenths in range(11)]
        assert log_cost(bound / 7) < log_cost(bound) < graded[0]
        assert graded == sorted(set(graded))
        assert graded[-1] < failed_value(bound)


def test_distance_falls_with_the_loss_and_grows_without_structure():
    assert (
        distance_to_goal(2.0, 8.0, None) < distance_to_goal(4.0, 8.0, None) < distance_to_goal(8.0, 8.0, None)
    )
    assert distance_to_goal(4.0, 8.0, 0.9) < distance_to_goal(4.0, 8.0, 0.1)
    assert distance_to_goal(4.0, 8.0, math.nan) == distance_to_goal(4.0, 8.0, None)
    assert distance_to_goal(0.0, 0.0, None) == 1.0
    for loss, peak in ((math.inf, math.inf), (math.nan, math.nan), (1.0, math.inf)):
        assert 0 <= distance_to_goal(loss, peak, 0.5) <= 1


def test_objectives_count_updates_examples_flop_and_seconds():
    price = Price(examples=64, flops=3_000)
    found = {unit: of(10, price, 0.25) for unit, of in OBJECTIVES.items()}
    assert found == {"steps": 10, "examples": 640, "flops": 30_000, "seconds": 0.25}


def test_the_price_of_an_update_is_that_of_its_batch(tiny_task):
    plan = plan_of(experiment=network(batch={"sampling": "with_replacement", "size": 20}))
    (full, *_), (twenty, *_) = (p.replicas({}, p.config.search) for p in (plan_of(), plan))
    train_equations = int(tiny_task.train_mask(0).sum())
    of_full, of_twenty = objective.price(full, tiny_task), objective.price(twenty, tiny_task)
    assert of_full.examples == train_equations
    assert of_twenty.examples == 20
    assert of_full.flops * 20 == of_twenty.flops * train_equations
