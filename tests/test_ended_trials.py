"""What is kept of ended trials, step by step, beside what a look at all of them finds."""

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from searches import open_in, plan_of, search

from grokking.search.ended_trials import EndedTrials, all_generalized, best_value
from grokking.search.storage import Storage, trials_begun
from grokking.search.study import seed_outcomes

STATES = [None, (TrialState.WAITING,), (TrialState.RUNNING,), (TrialState.RUNNING, TrialState.COMPLETE)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return search(plan_of(trials=8), tmp_path_factory.mktemp("study"))


def by_hand(plan, trials):
    """The best value, and the three lists, from all trials."""
    outcomes = [outcome for trial in trials for outcome in seed_outcomes(trial)]
    values = [
        trial.value
        for trial in trials
        if trial.state == TrialState.COMPLETE and all_generalized(seed_outcomes(trial), 2)
    ]
    names = ("memorization_step", "generalization_norm", "forecast_error")
    numbers = [sorted(n for o in outcomes if (n := getattr(o, name)) is not None) for name in names]
    return min(values, default=None), *numbers


def known(ended):
    return ended.best, ended.memorization_steps, ended.generalization_norms, ended.forecast_errors


@pytest.mark.parametrize("seed", range(5))
def test_trials_that_end_in_any_order_are_each_known_once(study, seed):
    plan, ended, trials = plan_of(trials=8), EndedTrials(plan_of(trials=8)), study.trials()
    running = [optuna.create_trial(state=TrialState.RUNNING) for _ in trials]
    for number, trial in enumerate(running):
        trial.number = number
    order, now = np.random.default_rng(seed).permutation(len(trials)), list(running)
    for count, number in enumerate(order, start=1):
        now[number] = trials[number]
        if seed % 2:
            ended.add(trials[number])
        ended.read(now)
        assert known(ended) == by_hand(plan, [trials[each] for each in sorted(order[:count])])
    assert ended.best == best_value(study, plan)


def test_a_journal_finds_the_trials_that_optuna_finds(tmp_path):
    """It passes over the first ones, which have ended; Optuna looks at each."""
    study = open_in(tmp_path, plan_of(trials=30)).optuna
    journal, draw = study._storage, np.random.default_rng(0)
    running = []
    for _ in range(60):
        if running and draw.random() < 0.5:
            study.tell(running.pop(draw.integers(len(running))), draw.random())
        elif draw.random() < 0.3:
            study.enqueue_trial({"x": draw.random()})
        else:
            running.append(study.ask())
        for states in STATES:
            expected = JournalStorage.get_all_trials(journal, study._study_id, False, states)
            assert study.get_trials(deepcopy=False, states=states) == expected
            assert study.get_trials(states=states) == expected


def test_what_is_written_in_a_batch_is_in_the_file_at_once_and_summed_at_its_end(tmp_path):
    shared = open_in(tmp_path, plan_of(trials=30))
    journal = tmp_path / "tiny.journal"
    summed = journal.with_name("tiny.journal.sum")
    before, size = summed.read_text(), journal.stat().st_size
    with shared.alone():
        shared.optuna.ask()
        with shared.alone():
            shared.optuna.ask()
        assert journal.stat().st_size > size
        assert summed.read_text() == before
    assert summed.read_text().split()[0] == str(journal.stat().st_size)
    assert trials_begun(journal) == 2
    assert len(open_in(tmp_path, plan_of(trials=30)).trials()) == 2
    assert Storage(tmp_path).open("tiny")
