"""What Optuna's dashboard shows of a study is what its trials found, and changes no trial."""

import os

import pytest
from optuna.trial import TrialState
from optuna_dashboard import get_note
from searches import plan_of, search

from grokking.config import ConfigError
from grokking.search.dashboard import POINTS, write_note
from grokking.search.journal import trials_begun
from grokking.search.trial_outcomes import seed_outcomes
from pipelines import dashboard


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The small study and its folder; rules stop some of its trials."""
    folder, plan = tmp_path_factory.mktemp("study"), plan_of(trials=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROKKING_DEVICE", "cpu")
        patch.setenv("GROKKING_PROCESSES", "1")
        study = search(plan, folder)
    write_note(study.optuna, plan, "Then confirm it.")
    return study.optuna, folder


def test_the_objective_has_a_name_and_the_study_a_note(found):
    study, _ = found
    assert study.metric_names == ["log10 of steps to generalization"]
    best = min((t for t in study.trials if "cost" in t.user_attrs), key=lambda t: t.user_attrs["cost"])
    note = get_note(study)
    assert f"Best so far: trial {best.number}, {best.user_attrs['cost']:.4g} steps" in note
    assert f"`optimizer.learning_rate` = {best.params['optimizer.learning_rate']:.4g}" in note
    assert note.endswith("Then confirm it.")


def test_every_trial_says_how_its_seeds_ended(found):
    for trial in found[0].trials:
        outcomes = seed_outcomes(trial)
        assert len(trial.user_attrs["seeds"].split(", ")) == len(outcomes)
        for outcome in outcomes:
            end = outcome.reason if outcome.step is None else f"{outcome.step} steps"
            assert end in trial.user_attrs["seeds"]
        assert ("cost" in trial.user_attrs) == all(outcome.cost is not None for outcome in outcomes)


def test_a_trial_that_no_rule_stopped_has_a_learning_curve(found):
    """The value of one that a rule stopped is its only report, since Optuna takes it from there."""
    states = {trial.state for trial in found[0].trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in found[0].trials:
        curve = seed_outcomes(trial)[0].curves
        of_step = dict(zip(curve["step"], curve["validation_accuracy"], strict=True))
        if trial.state == TrialState.PRUNED:
            assert trial.intermediate_values == {0: trial.value}
        else:
            assert POINTS / 2 < len(trial.intermediate_values) <= POINTS + 1
            assert all(of_step[step] == value for step, value in trial.intermediate_values.items())


def test_the_trials_of_a_journal_are_counted(found):
    assert trials_begun(found[1] / "tiny.journal") == 8


def test_an_unknown_search_is_told_with_the_known_ones(found, monkeypatch):
    monkeypatch.setattr(dashboard, "STUDIES", found[1])
    monkeypatch.setattr("sys.argv", ["dashboard", "quik"])
    with pytest.raises(ConfigError, match="`STUDY=quik` has no journal; known: tiny"):
        dashboard.main()


def test_the_dashboard_opens_the_journal(found, monkeypatch):
    opened = []
    monkeypatch.setattr(dashboard, "free_port", str)
    monkeypatch.setattr(dashboard, "STUDIES", found[1])
    monkeypatch.setattr("sys.argv", ["dashboard", "tiny"])
    monkeypatch.setattr(os, "execvp", lambda program, command: opened.append(command))
    dashboard.main()
    assert opened == [
        ["optuna-dashboard", str(found[1] / "tiny.journal"), "--host", "127.0.0.1", "--port", "8080"]
    ]
