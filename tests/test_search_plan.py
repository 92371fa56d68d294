"""What `grokking search` asks of a study: its network, its space, its winner, and time to confirm."""

import itertools
import time
from dataclasses import asdict, replace
from inspect import signature
from types import SimpleNamespace

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FixedTrial, TrialState, create_trial
from searches import network, outcome_of, plan_of, search_task

from grokking.api import search_plan, searching, training
from grokking.api.checkout import Checkout, here
from grokking.api.keys import flat
from grokking.api.search_plan import FAMILY, families, plan_search
from grokking.cli.search import search
from grokking.config import ConfigError
from grokking.engine.evaluation_steps import steps_within
from grokking.search import timed_check
from grokking.search.confirmation_time import (
    FEWEST_SEEDS,
    FORWARD,
    LARGEST_SHARE,
    MARGIN,
    START_SECONDS,
    ConfirmationTime,
)
from grokking.search.results import read_best
from grokking.search.seed_job import GENERALIZED, SeedOutcome
from grokking.search.space import suggest
from grokking.search.timed_check import TimedCheck
from grokking.search.trial_outcomes import OUTCOME

STUDIES = {
    "one_hot_mlp": "speedrun",
    "numpy_mlp": "system_0",
    "embedding_mlp": "system_1",
    "transformer": "system_3",
}
BUDGETS = {"one_hot_mlp": 1000, "numpy_mlp": 5000, "embedding_mlp": 1000, "transformer": 300}


def test_a_family_is_searched_as_one_of_its_studies_is():
    assert families(here()) == STUDIES
    assert signature(search).parameters["family"].default == FAMILY  # the command imports nothing heavy


@pytest.mark.parametrize("family", STUDIES)
def test_the_first_point_is_the_winner_of_the_study(family):
    asked = plan_search("addition_97_f50", {}, family)
    folder = here().root / "results/search" / STUDIES[family]
    assert (folder / "best.yaml").exists()
    best = read_best(folder)["winner"]["values"]
    config = asked.plan.config
    first = suggest(FixedTrial(config.initial_points[0]), config.space)
    if family == FAMILY:
        best |= {"model.hidden_widths": [256]}  # narrower than the winner, so that a short search begins fast
    assert {key: value for key, value in first.items() if key in best} == best
    fixed_there = {"model.layers", "model.activation", "loss"}  # which the study itself does not search
    assert set(first) - set(best) <= fixed_there
    own = flat(here().catalogue.entry("studies", STUDIES[family])["experiment"])
    for key in (set(first) - set(best)) & {"model.activation", "loss"}:
        assert first[key] == own[key]  # with which the winner was found


@pytest.mark.parametrize("family", STUDIES)
def test_no_time_is_spent_on_trials_that_the_rules_may_not_stop(family):
    """Such a trial trains to the budget: one took two minutes where the others took three seconds."""
    plan = plan_search("addition_97_f50", {}, family).plan
    exempt = [trial for trial in range(10_000) if plan.config.pruner.is_exempt(trial)]
    assert exempt == [0, 1]


def test_the_network_before_a_search_is_not_the_winner_s():
    """One-hot networks are compared with the squared error of their published recipe."""
    plan = plan_search("addition_97_f50", {}).plan
    assert plan.config.experiment["loss"] == "mean_squared_error"
    assert plan.config.space["loss"].values == ("mean_squared_error", "cross_entropy")


def test_winners_of_other_studies_of_the_network_are_tried_too():
    """A value that a study does not search is that of its network, and the width the search's narrowest."""
    config = plan_search("addition_97_f50", {}).plan.config
    second = suggest(FixedTrial(config.initial_points[1]), config.space)
    best = read_best(here().root / "results/search/quick")["winner"]["values"]
    assert {key: second[key] for key in best} == best
    assert second["model.hidden_widths"] == [256]
    own = here().catalogue.entry("studies", "quick")["experiment"]
    assert (second["loss"], second["optimizer.beta1"]) == (own["loss"], own["optimizer"]["beta1"])


def test_the_winner_s_own_width_is_tried_after_the_narrow_networks():
    config = plan_search("addition_97_f50", {}).plan.config
    first, _, third = (suggest(FixedTrial(point), config.space) for point in config.initial_points)
    best = read_best(here().root / "results/search/speedrun")["winner"]["values"]
    assert third["model.hidden_widths"] == best["model.hidden_widths"]
    assert first == third | {"model.hidden_widths": [256]}


def test_without_extended_studies_a_search_begins_from_those_that_are_there(tmp_path, monkeypatch):
    root = here().root
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    (tmp_path / "results").mkdir()
    (tmp_path / "results/search").symlink_to(root / "results/search")
    monkeypatch.setattr(search_plan, "here", lambda: Checkout(tmp_path))
    config = plan_search("addition_97_f50_many", {}).plan.config
    assert set(config.space) == set(here().catalogue.entry("studies", "quick")["space"])
    assert len(config.initial_points) == 1


def test_a_study_of_that_name_with_another_family_is_not_taken_for_it():
    of_study = {"speedrun": "transformer", "mine": "one_hot_mlp"}
    catalogue = SimpleNamespace(
        names=lambda section: [*of_study],
        entry=lambda section, name: {"experiment": {"model": {"family": of_study[name]}}},
    )
    found = families(SimpleNamespace(catalogue=catalogue))
    assert found == {"transformer": "speedrun", "one_hot_mlp": "mine"}


def test_a_transformer_is_tried_with_one_layer_first_and_searched_with_two():
    config = plan_search("addition_97_f50", {}, "transformer").plan.config
    assert suggest(FixedTrial(config.initial_points[0]), config.space)["model.layers"] == 1
    assert config.space["model.layers"].values == (1, 2)
    assert config.experiment["model"]["layers"] == 2  # of the family's own network


def test_a_number_of_layers_that_is_asked_for_is_not_searched():
    config = plan_search("addition_97_f50", {"model.layers": 2}, "transformer").plan.config
    assert "model.layers" not in config.space
    assert "model.layers" not in config.initial_points[0]


@pytest.mark.parametrize("family", STUDIES)
def test_where_batches_of_the_study_are_larger_than_the_training_set_all_are_full(family):
    fits, small = (plan_search("multiplication_97_f50", {"modulus": p}, family).plan for p in (97, 31))
    written = here().catalogue.entry("studies", STUDIES[family])
    own = written["experiment"]["batch"]
    assert fits.config.experiment["batch"] == own
    assert of_batches(fits.config.space) == of_batches(written["space"])
    assert small.config.experiment["batch"] == {"sampling": "full"}
    assert not of_batches(small.config.space)


def of_batches(space):
    return {key for key in space if key.startswith("batch")}


@pytest.mark.parametrize("family", STUDIES)
def test_full_batches_that_are_asked_for_leave_no_size_to_search(family):
    asked = plan_search("multiplication_97_f50", {"batch": "full"}, family)
    assert not of_batches(asked.plan.config.space)


def test_a_study_is_not_taken_for_a_task():
    with pytest.raises(ConfigError, match=r"`quick` is a study, .* such as addition_97_f50_many"):
        plan_search("quick", {})


@pytest.mark.parametrize("family", STUDIES)
def test_the_network_is_that_of_the_study_with_enough_steps_for_another_task(family):
    asked = plan_search("division_97_f50", {"modulus": 59}, family)
    (replica, *_) = asked.plan.replicas({}, asked.plan.config.search)
    assert replica.config.model.family == family
    assert replica.config.budget == BUDGETS[family]
    assert asked.task.sizes.classes == 59
    assert asked.name.endswith(family) == (family != FAMILY)


def test_what_is_set_is_the_same_in_all_trials_and_not_searched():
    """A width, and a weight decay, which a decay rate of the space would replace."""
    changes = {"model.hidden_widths": [1024], "weight_decay": 2.0, "label_noise": 0.1, "steps": 300}
    plan = plan_search("addition_97_f50", changes).plan
    config = plan.config
    searched = {*plan_search("addition_97_f50", {}).plan.config.space}
    assert {*config.space} == searched - {"model.hidden_widths", "optimizer.decay_rate"}
    for point in config.initial_points:
        assert set(point) <= set(config.space)
        (replica, *_) = plan.replicas(suggest(FixedTrial(point), config.space), config.search)
        assert replica.config.model.hidden_widths == (1024,)
        assert (replica.config.optimizer.weight_decay, replica.config.label_noise) == (2.0, 0.1)
        assert replica.config.budget == 300


def test_a_section_that_is_set_takes_its_branches_out_of_the_space():
    asked = plan_search("division_97_f50", {"optimizer.name": "muon"}, "transformer")
    assert not [key for key in asked.plan.config.space if key.startswith("optimizer")]


def test_a_recipe_has_all_fresh_seeds_and_the_values_of_its_point():
    asked = plan_search("addition_97_f50", {"modulus": 59})
    recipe = asked.recipe({"model.init_scale": 0.02})
    assert recipe["model"]["init_scale"] == 0.02
    assert recipe["task"]["operation"]["modulus"] == 59
    assert recipe["replicas"]["seeds"] == [*asked.plan.config.confirm.seeds]


POINT = {"model.init_scale": 0.1, "optimizer.learning_rate": 0.03, "optimizer.decay_rate": 0.09}


def study(*steps: int) -> SimpleNamespace:
    """One that knows a trial of two seeds for each of these costs, at a hundredth of a second a step."""
    trials = [
        create_trial(
            state=TrialState.COMPLETE,
            params=POINT,
            distributions={name: FloatDistribution(value / 2, value * 2) for name, value in POINT.items()},
            value=float(number),
            user_attrs={f"{OUTCOME}/{seed}": asdict(outcome(seed, step)) for seed in (0, 1)},
        )
        for number, step in enumerate(steps)
    ]
    best = 0.0 if trials else None
    return SimpleNamespace(known=SimpleNamespace(best=best), ended=lambda: trials)


def outcome(seed_number: int, step: int) -> SeedOutcome:
    return outcome_of(
        seed_number, float(step), reason=GENERALIZED, value=0.0, step=step, steps_run=2 * step,
        seconds=0.02 * step,
    )  # fmt: skip


def updates(examples: int) -> float:
    """What a network takes to the end of the trial of a crossing at step 100, in updates of so many examples.

    Each evaluation is a forward pass over all 121 equations, of which 97 are trained on.
    """
    return 600 + len(steps_within(600)) * FORWARD * 121 / examples


def test_time_is_kept_back_for_the_best_trial_on_all_seeds():
    """Two checks of three parts, the first seed, the second, a further one; then one fresh seed."""
    needs = ConfirmationTime(plan_of(), search_task(), workers=2, available=1000.0)
    needed = (2 * 3 + 1) * (START_SECONDS + MARGIN * updates(97) * 0.01)
    assert needs.kept_back(study(100, 900)) == pytest.approx(needed)


def test_more_workers_than_replicas_train_them_no_sooner():
    (trial,) = study(100).ended()
    seconds = [
        ConfirmationTime(plan_of(), search_task(), workers, 1000.0).seconds_to_train(trial, 10)
        for workers in (3, 4, 10, 64)
    ]
    one = seconds[-1] - START_SECONDS
    assert [value - START_SECONDS for value in seconds] == pytest.approx([4 * one, 3 * one, one, one])


@pytest.mark.parametrize(
    ("medians", "best"),
    [({0: 300.0, 1: 150.0}, 1), ({0: 140.0, 1: 150.0}, 0), ({0: None, 1: 150.0}, 1), ({}, 0), ({0: None}, 1)],
)
def test_of_two_sustained_trials_the_faster_on_further_seeds_is_confirmed(
    medians, best, monkeypatch, tmp_path
):
    """The first of the ranking was often lucky on its own seeds."""
    asked = replace(plan_search("addition_97_f50", {}), checkout=Checkout(tmp_path))
    trials = [SimpleNamespace(number=number) for number in (0, 1)]
    monkeypatch.setattr(searching, "trial_table", lambda *given: None)
    monkeypatch.setattr(searching, "ranked", lambda *given: trials)
    monkeypatch.setattr(TimedCheck, "run", lambda self: medians)
    monkeypatch.setattr(searching, "as_chosen", lambda trial, plan: {"trial": trial.number, "values": {}})
    monkeypatch.setattr(ConfirmationTime, "fresh_seeds", lambda *given: 3)
    monkeypatch.setattr(training, "plan", lambda config, changes, seeds, name: (seeds, name))
    monkeypatch.setattr(ConfirmationTime, "seconds_to_train", lambda *given: 1.0)
    found = asked.confirmation(study(100, 110), deadline=0.0)
    assert found.best["trial"] == best
    assert found.run == (3, f"{asked.plan.name}-{best}")
    assert found.too_slow is None


@pytest.mark.parametrize(
    ("seconds", "checked", "best", "too_slow"),
    [
        (1000.0, [(0, 9), (1, 9)], 0, None),
        (60.0, [(1, 9)], 1, 0),
        (8.0, [(1, 3)], 1, 0),
        (4.5, [], 1, 0),
        (3.5, [], 1, 0),
        (1.0, [], 0, None),
    ],
)
def test_a_trial_that_cannot_be_confirmed_in_time_gives_way(
    seconds, checked, best, too_slow, monkeypatch, tmp_path
):
    """Trial 0 is the faster one, of networks that take 15 seconds a seed; where none fits, it stays.

    Nor is it checked where that would take too long, but the other one is, by fewer seeds if need be.
    """
    asked = replace(plan_search("addition_97_f50", {}), checkout=Checkout(tmp_path))
    trials = [SimpleNamespace(number=number) for number in (0, 1)]
    monkeypatch.setattr(searching, "trial_table", lambda *given: None)
    monkeypatch.setattr(searching, "ranked", lambda *given: trials)
    looked_at = []

    def check_in_order(in_time, wanted, plan, task, seeds):
        found = {trial.number: 100.0 + trial.number for trial in itertools.islice(in_time, wanted)}
        looked_at.extend((number, seeds) for number in found)
        return found

    monkeypatch.setattr(timed_check, "check_in_order", check_in_order)
    monkeypatch.setattr(
        searching, "as_chosen", lambda trial, plan: {"trial": trial.number, "values": {}, "searched_cost": 9}
    )
    monkeypatch.setattr(
        ConfirmationTime,
        "seconds_to_train",
        lambda self, trial, replicas: replicas * (1 if trial.number else 15),
    )
    monkeypatch.setattr(ConfirmationTime, "fresh_seeds", lambda *given: 3)
    monkeypatch.setattr(training, "plan", lambda config, changes, seeds, name: (seeds, name))
    found = asked.confirmation(study(100, 110), deadline=time.monotonic() + seconds)
    assert looked_at == checked
    assert found.best["trial"] == best
    assert (found.too_slow and found.too_slow["trial"]) == too_slow


def test_evaluations_count_for_more_where_batches_are_small():
    batch = {"sampling": "without_replacement", "size": 5, "drop_last": True}
    plan, (trial,) = plan_of(experiment=network(batch=batch)), study(100).ended()
    needs = ConfirmationTime(plan, search_task(), workers=1, available=1000.0)
    assert needs.seconds_to_train(trial, 1) == pytest.approx(START_SECONDS + MARGIN * updates(5) * 0.01)
    assert updates(5) > 1.5 * updates(97)


def test_no_time_is_kept_back_for_nothing_and_never_more_than_half():
    assert ConfirmationTime(plan_of(), search_task(), 2, 1000.0).kept_back(study()) == 0
    assert ConfirmationTime(plan_of(), search_task(), 2, 10.0).kept_back(study(100)) == LARGEST_SHARE * 10


@pytest.mark.parametrize(("seconds", "seeds"), [(-5.0, FEWEST_SEEDS), (22.0, 4), (1000.0, 10)])
def test_as_many_fresh_seeds_as_fit_into_the_time(seconds, seeds):
    """Each takes about 8 seconds, two at a time."""
    plan = plan_of(confirm={"seeds": [*range(10, 20)], "split_seeds": [*range(10, 20)]})
    (trial,) = study(100).ended()
    assert ConfirmationTime(plan, search_task(), 2, 1000.0).fresh_seeds(trial, seconds) == seeds
