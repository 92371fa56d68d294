"""What a search knows of its trials is what a look at all of them says, as they change."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from searches import open_in, outcome_of, plan_of

from grokking.search.journal import open_journal, trials_begun
from grokking.search.known_trials import KnownTrials
from grokking.search.seed_job import SeedOutcome
from grokking.search.trial_outcomes import all_seeds_generalized, save_outcome, seed_outcomes

SEEDS = 2
LISTS = ("memorization_step", "generalization_norm", "forecast_error")
ENDS = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
STATES = [None, [TrialState.RUNNING], [TrialState.WAITING, TrialState.RUNNING], [TrialState.COMPLETE]]


def outcome(draws: np.random.Generator, seed_number: int) -> SeedOutcome:
    """One that generalized, or in one case of three did not; some numbers are missing, some equal."""
    cost = None if draws.random() < 0.3 else float(draws.integers(1, 9))
    return outcome_of(
        seed_number, cost, flops=float(draws.integers(1, 9)),
        memorization_step=None if draws.random() < 0.3 else int(draws.integers(1, 9)),
        generalization_norm=None if cost is None else float(draws.normal(10, 1)),
        forecast_error=None if cost is None else float(draws.normal(3, 1)),
    )  # fmt: skip


def change(study: optuna.Study, running: list[optuna.Trial], draws: np.random.Generator) -> None:
    """What some process may do with a study."""
    act = draws.random()
    if act < 0.1:
        study.enqueue_trial({"x": draws.random()})
    elif act < 0.35 or not running:
        running.append(study.ask())
    elif act < 0.75:
        trial = running[draws.integers(len(running))]
        for seed_number in range(int(draws.integers(1, SEEDS + 1))):
            save_outcome(trial, outcome(draws, seed_number))
    else:
        trial = running.pop(int(draws.integers(len(running))))
        state = ENDS[draws.integers(len(ENDS))]
        study.tell(trial, draws.random() if state == TrialState.COMPLETE else None, state)


def looked_up(trials: list[optuna.trial.FrozenTrial]) -> dict[str, object]:
    """The slow twin of KnownTrials: all outcomes of all trials, each time."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    outcomes = [o for trial in ended for o in seed_outcomes(trial)]
    best = [trial.value for trial in ended if all_seeds_generalized(trial, SEEDS)]

    return {
        "begun": len(ended) + len(running),
        "running": [trial.number for trial in running],
        "flops": sum(o.flops for trial in ended + running for o in seed_outcomes(trial)),
        "best": min(best, default=None),
        "stopped": sum(trial.state == TrialState.PRUNED for trial in ended),
        "generalized": sum(
            trial.state == TrialState.COMPLETE
            and {o.cost is not None for o in seed_outcomes(trial)} == {True}
            for trial in ended
        ),
        **{name: sorted(n for o in outcomes if (n := getattr(o, name)) is not None) for name in LISTS},
    }


def said(known: KnownTrials) -> dict[str, object]:
    return {
        "begun": known.begun,
        "running": [trial.number for trial in known.running],
        "flops": known.flops,
        "best": known.best,
        "stopped": known.stopped,
        "generalized": known.generalized,
        **{name: getattr(known, f"{name}s") for name in LISTS},
    }


@pytest.mark.parametrize("seed", range(3))
def test_known_trials_say_what_all_trials_say(seed):
    """The same bits, however many changes lie between two looks."""
    draws, study, running = np.random.default_rng(seed), optuna.create_study(), []
    known, bests = KnownTrials(SEEDS), set()
    for _ in range(250):
        change(study, running, draws)
        if draws.random() < 0.6:
            known.update(study.get_trials(deepcopy=False))
            assert said(known) == looked_up(study.trials)
            bests.add(known.best)
    assert len(bests) > 1


@pytest.mark.parametrize("seed", range(3))
def test_a_journal_finds_the_trials_that_optuna_finds(seed, tmp_path):
    """Of each of two studies in it, also where another process writes."""
    draws, file = np.random.default_rng(seed), str(tmp_path / "journal")
    storages = {name: JournalStorage(JournalFileBackend(file)) for name in ("own", "other")}
    storages["long"] = open_journal(Path(file))
    for study_name in ("one", "two"):
        optuna.create_study(study_name=study_name, storage=storages["other"])
    studies = {
        name: [optuna.load_study(study_name=of, storage=storage) for of in ("one", "two")]
        for name, storage in storages.items()
    }
    running = {(writer, number): [] for writer in ("long", "other") for number in range(2)}
    for _ in range(120):
        writer, number = ("long", "other")[draws.integers(2)], int(draws.integers(2))
        change(studies[writer][number], running[writer, number], draws)
        states = STATES[draws.integers(len(STATES))]
        deepcopy = bool(draws.integers(2))
        found, expected = (studies[name][number].get_trials(deepcopy, states) for name in ("long", "own"))
        assert found == expected


def test_what_is_written_alone_is_in_the_file_at_once_and_summed_at_its_end(tmp_path):
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
