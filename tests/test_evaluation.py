"""Evaluations on samples: how many equations, when all of them, what the detectors learn, when it ends."""

# R replicas, P equations of the task

from dataclasses import replace
from math import comb

import numpy as np
import pytest
import torch
from conftest import make_task
from examples import experiment

from grokking.engine.evaluation import PARTS, Evaluator, evaluate
from grokking.engine.events import CrossingDetector
from grokking.engine.stack import ReplicaStack
from grokking.experiment import expand

FULL = {"sampling": "full"}


@pytest.fixture(scope="module")
def task():
    """a + b mod 41: 840 training and 841 validation equations, samples of 420 with full batches."""
    return make_task(modulus=41, train_fraction=0.5)


def replicas_of(seeds=(0,), batch=FULL, budget=1000):
    return expand(experiment(seeds=seeds, budget=budget) | {"batch": batch}, "e")


def evaluator_of(task, **changes):
    return Evaluator(replicas_of(**changes)[0], task)


def stack_that_errs(replicas, task, wrong_rows):
    """What a network says counts as right, but on the rows that are listed for its replica."""
    stack = ReplicaStack(replicas, task, "cpu")
    row_RP = torch.arange(len(task.equations)).repeat(len(replicas), 1)
    with torch.no_grad():
        said_RP = stack.model(stack.a_P.take(row_RP), stack.b_P.take(row_RP)).argmax(-1)
    for said_P, wrong in zip(said_RP, wrong_rows, strict=True):
        said_P[wrong] = (said_P[wrong] + 1) % task.sizes.classes
    stack.answer_RP = said_RP
    return stack


@pytest.mark.parametrize(
    ("modulus", "train_fraction", "batch_size", "train", "validation"),
    [
        (41, 0.5, None, 420, 420),  # half of a full batch of 840
        (41, 0.5, 601, 300, 300),
        (41, 0.5, 514, 257, 257),
        (41, 0.5, 20, 256, 256),  # no fewer
        (71, 0.5, 2046, 1023, 1023),
        (71, 0.5, None, 1024, 1024),  # no more
        (31, 0.2, None, 192, 256),  # no more than there are
    ],
)
def test_a_sample_is_half_a_batch_within_bounds(modulus, train_fraction, batch_size, train, validation):
    task = make_task(modulus=modulus, train_fraction=train_fraction)
    batch = {"sampling": "with_replacement", "size": batch_size} if batch_size else FULL
    sample = evaluator_of(task, batch=batch).sample
    assert (len(sample["train"]), len(sample["validation"])) == (train, validation)


def test_a_sample_is_drawn_from_all_of_its_own_part(task):
    """It has no equation twice, and every first and second operand of the table."""
    mask = {"train": task.train_mask(0), "validation": task.validation_mask(0)}
    for part, rows in evaluator_of(task).sample.items():
        assert len(set(rows)) == 420
        assert mask[part][rows].all()
        for operand in "ab":
            assert set(task.equations[operand].to_numpy()[rows]) == set(range(41))


def test_a_sample_depends_on_the_split_seed_alone(task):
    """Seeds 0 and 3 have split seed 0, seed 1 has another, although of an equal split."""
    task = replace(task, splits=task.splits.assign(**{"1": task.splits["0"]}))
    first, same, other = (Evaluator(replica, task).sample for replica in replicas_of(seeds=(0, 3, 1)))
    for part in PARTS:
        assert (first[part] == same[part]).all()
        in_both = len(set(first[part]) & set(other[part]))
        assert in_both < 0.3 * 840  # a quarter of all is in both of two independent halves


@pytest.mark.parametrize(
    ("seen", "decided", "undecided"),
    [
        ([], (0.0, 0.9599), (0.96, 0.98, 0.99, 1.0)),
        ([(10, 0.99)], (0.0, 0.9599, 0.99, 1.0), (0.96, 0.98, 0.9899)),
        ([(10, 0.99), (510, 0.99)], (0.0, 0.9599, 0.96, 0.9899, 0.99, 1.0), ()),
    ],
    ids=["no crossing", "pending", "sustained"],
)
def test_which_accuracies_of_a_sample_do_not_decide(seen, decided, undecided):
    detector = CrossingDetector(budget=1000)
    for step, accuracy in seen:
        detector.update(step, accuracy)
    assert not [accuracy for accuracy in decided if detector.is_undecided(accuracy)]
    assert not [accuracy for accuracy in undecided if not detector.is_undecided(accuracy)]


def test_a_sample_hides_a_crossing_once_in_15_000_samples():
    """Of 256 equations 11 or more wrong, less than 0.96 right, where 0.01 of all are wrong."""
    assert not CrossingDetector(budget=1000).is_undecided(1 - 11 / 256)
    assert CrossingDetector(budget=1000).is_undecided(1 - 10 / 256)
    hidden = sum(comb(256, wrong) * 0.01**wrong * 0.99 ** (256 - wrong) for wrong in range(11, 257))
    assert 14_500 < 1 / hidden < 15_500


def needs_all(evaluator, step, accuracy, equations=420):
    """Of training and validation, where both samples have this accuracy."""
    metrics = {f"{part}_accuracy": accuracy for part in PARTS}
    metrics |= {f"{part}_equations": equations for part in PARTS}
    return [evaluator.needs_all_equations(part, step, metrics) for part in PARTS]


def test_all_equations_are_measured_where_the_sample_is_undecided(task):
    """A part by its own detector: that of training has a crossing, so that 1.0 decides."""
    evaluator = evaluator_of(task)
    evaluator.detectors["train"].update(10, 0.99)
    assert needs_all(evaluator, 20, 0.5) == [False, False]
    assert needs_all(evaluator, 20, 0.98) == [True, True]
    assert needs_all(evaluator, 20, 1.0) == [False, True]


def test_all_equations_are_measured_as_training_may_end(task):
    """From the budget on, and when the crossing of validation has been there for as long as it must hold."""
    evaluator = evaluator_of(task)
    assert needs_all(evaluator, 999, 0.1) == [False, False]
    assert needs_all(evaluator, 1000, 0.1) == [True, True]
    assert needs_all(evaluator, 1020, 0.1) == [True, True]
    evaluator.detectors["train"].update(10, 0.99)
    assert needs_all(evaluator, 510, 0.1) == [False, False]  # memorization ends no training
    evaluator.detectors["validation"].update(100, 0.99)
    assert needs_all(evaluator, 599, 0.1) == [False, False]
    assert needs_all(evaluator, 600, 0.1) == [True, True]


def test_no_part_is_measured_twice():
    """The samples of a small task are all of its equations."""
    evaluator = evaluator_of(make_task(train_fraction=0.5))
    assert needs_all(evaluator, 1000, 1.0, equations=60) == [False, True]  # 60 and 61 of 121


@pytest.mark.parametrize(
    ("in_sample", "elsewhere", "measured", "right", "crosses"),
    [
        (21, 0, 420, 399, False),  # 0.95 of the sample decides, although 0.975 of all are right
        (16, 0, 841, 825, False),  # 0.962 of the sample, 0.981 of all
        (9, 0, 841, 832, False),  # 0.9893 of all
        (8, 0, 841, 833, True),  # 0.981 of the sample, 0.9905 of all
        (0, 9, 841, 832, False),  # all of the sample, 0.9893 of all
        (0, 8, 841, 833, True),
    ],
)
def test_a_detector_is_told_the_accuracy_on_all_equations(
    in_sample, elsewhere, measured, right, crosses, task
):
    (replica,) = replicas_of()
    evaluator = Evaluator(replica, task)
    sample, whole = evaluator.sample["validation"], evaluator.whole["validation"]
    wrong = [*sample[:in_sample], *np.setdiff1d(whole, sample)[:elsewhere]]
    stack = stack_that_errs([replica], task, [wrong])
    (metrics,) = evaluate(stack, [evaluator], 7)
    assert metrics["validation_equations"] == measured
    assert metrics["validation_accuracy"] == pytest.approx(right / measured, rel=1e-12)
    assert evaluator.detectors["validation"].candidate == (7 if crosses else None)


def test_accuracy_of_groups_is_on_all_equations_too(task):
    """Five mirrored pairs outside the sample are wrong."""
    (replica,) = replicas_of()
    evaluator = Evaluator(replica, task)
    mirrored = np.flatnonzero(task.mirrored_mask(0))
    wrong = np.setdiff1d(mirrored, evaluator.sample["validation"])[:5]
    (metrics,) = evaluate(stack_that_errs([replica], task, [wrong]), [evaluator], 7)
    assert metrics["validation_accuracy/mirrored"] == pytest.approx(1 - 5 / len(mirrored), rel=1e-12)
    assert metrics["validation_accuracy/unmirrored"] == 1


def test_neighbours_are_measured_by_their_own_needs(task):
    """The first and the third are bad at validation, the second is good, and the third at training, too."""
    replicas = replicas_of(seeds=(0, 1, 2))
    evaluators = [Evaluator(replica, task) for replica in replicas]
    samples = [evaluator.sample for evaluator in evaluators]
    bad, good = samples[0]["validation"][:100], samples[1]["validation"][:4]
    both = [*samples[2]["validation"][:200], *samples[2]["train"][:300]]
    metrics = evaluate(stack_that_errs(replicas, task, [bad, good, both]), evaluators, 7)
    measured = [(m["train_equations"], m["validation_equations"]) for m in metrics]
    assert measured == [(840, 420), (840, 841), (420, 420)]
    accuracies = [m[f"{part}_accuracy"] for m in metrics for part in PARTS]
    assert accuracies == pytest.approx([1, 1 - 100 / 420, 1, 1 - 4 / 841, 1 - 300 / 420, 1 - 200 / 420])
    found = [e.detectors[part].candidate for e in evaluators for part in PARTS]
    assert found == [7, None, 7, 7, None, None]


def test_training_does_not_end_while_a_crossing_is_pending(tiny_task):
    """Neither at the budget nor when generalization is sustained, whichever part has the crossing."""
    for part in PARTS:
        evaluator = evaluator_of(tiny_task, budget=30)
        assert not evaluator.is_finished(29)
        assert evaluator.is_finished(30)
        evaluator.detectors[part].update(20, 0.99)
        assert not evaluator.is_finished(30)
        evaluator.detectors[part].update(40, 0.5)  # the crossing fails
        assert evaluator.is_finished(40)

    evaluator = evaluator_of(tiny_task, budget=10_000)
    train, validation = (evaluator.detectors[part] for part in PARTS)
    validation.update(10, 0.99)
    validation.update(510, 0.99)
    assert evaluator.is_finished(510)
    train.update(400, 0.99)
    assert not evaluator.is_finished(510)
    train.update(900, 0.99)
    assert evaluator.is_finished(900)


def test_memorization_alone_ends_no_training(tiny_task):
    evaluator = evaluator_of(tiny_task, budget=10_000)
    for step in (10, 510):
        evaluator.detectors["train"].update(step, 1.0)
    assert evaluator.detectors["train"].sustained
    assert not evaluator.is_finished(510)
    assert evaluator.is_finished(10_000)
