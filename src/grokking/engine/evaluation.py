"""An evaluation: metrics on a sample of equations, and on all of them where the sample does not decide."""

# R replicas, E equations measured, P equations of the task

import numpy as np

from grokking.data.batches import batch_size
from grokking.data.seeds import EVALUATION_SAMPLE, derived_seed
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.events import CrossingDetector
from grokking.engine.metrics import EquationMetrics, weight_norms
from grokking.engine.stack import ReplicaStack
from grokking.experiment import Replica

PARTS = ("train", "validation")
SMALLEST_SAMPLE, LARGEST_SAMPLE = 256, 1024  # equations of each part

Metrics = dict[str, float]


class Evaluator:
    """Chooses the equations on which a replica is evaluated, follows its two events, and says when it ends.

    The sample of a part, training or validation, has half as many equations as a batch, but at least 256 and
    at most 1,024. So with batches of 512 or more both samples are no more than a batch, and an evaluation
    costs a third of an update. Where a sample cannot decide an event, all equations of the part are measured.
    """

    def __init__(self, replica: Replica, task: Task) -> None:
        masks = task.train_mask(replica.split_seed), task.validation_mask(replica.split_seed)
        self.budget = replica.config.budget
        self.whole = {part: np.flatnonzero(mask) for part, mask in zip(PARTS, masks, strict=True)}
        half_a_batch = batch_size(replica.config.batch, len(self.whole["train"])) // 2
        size = min(max(SMALLEST_SAMPLE, half_a_batch), LARGEST_SAMPLE)
        random = np.random.default_rng(derived_seed(replica.split_seed, EVALUATION_SAMPLE))
        self.sample = {part: np.sort(random.permutation(rows)[:size]) for part, rows in self.whole.items()}
        self.groups = _groups(replica, task)
        self.detectors = {part: CrossingDetector(self.budget) for part in PARTS}

    def needs_all_equations(self, part: str, step: int, metrics: Metrics) -> bool:
        """Whether all equations of this part must be measured: for an event, or as training may end."""
        if metrics[f"{part}_equations"] == len(self.whole[part]):
            return False
        may_end = step >= self.budget or self.detectors["validation"].hold_is_over(step)
        return may_end or self.detectors[part].is_undecided(metrics[f"{part}_accuracy"])

    def is_finished(self, step: int) -> bool:
        """Whether the replica has generalized or used its budget, and no crossing is pending."""
        if any(detector.is_pending for detector in self.detectors.values()):
            return False
        return self.detectors["validation"].sustained or step >= self.budget


def evaluate(stack: ReplicaStack, evaluators: list[Evaluator], step: int) -> list[Metrics]:
    """Metrics of each replica of the stack; its evaluator's detectors are updated with them."""
    metrics = _on_samples(stack, evaluators)
    for part in PARTS:
        positions = [i for i, e in enumerate(evaluators) if e.needs_all_equations(part, step, metrics[i])]
        if positions:
            chosen = [evaluators[i] for i in positions]
            whole_RE = np.stack([evaluator.whole[part] for evaluator in chosen])
            measured = _part_metrics(part, stack.measure(positions, whole_RE), chosen, whole_RE)
            for i, exact in zip(positions, measured, strict=True):
                metrics[i] |= exact
    for evaluator, of_replica in zip(evaluators, metrics, strict=True):
        for part, detector in evaluator.detectors.items():
            detector.update(step, of_replica[f"{part}_accuracy"])
    return metrics


def _on_samples(stack: ReplicaStack, evaluators: list[Evaluator]) -> list[Metrics]:
    """Metrics on each replica's samples, both parts in one pass, with the norms of logits and weights."""
    train_RE, validation_RE = (np.stack([e.sample[part] for e in evaluators]) for part in PARTS)
    measured = stack.measure(list(range(len(evaluators))), np.hstack([train_RE, validation_RE]))
    size = train_RE.shape[1]  # of the training sample, whose columns come first
    train = _part_metrics("train", measured.columns(slice(size)), evaluators, train_RE)
    validation = _part_metrics("validation", measured.columns(slice(size, None)), evaluators, validation_RE)
    norms_R = {"logit_rms": measured.square_RE.mean(1).sqrt()} | weight_norms(stack.update_rule.named_params)
    rows = zip(*(norm_R.tolist() for norm_R in norms_R.values()), strict=True)
    norms = [dict(zip(norms_R, row, strict=True)) for row in rows]
    return [t | v | n for t, v, n in zip(train, validation, norms, strict=True)]


def _part_metrics(
    part: str, measured: EquationMetrics, evaluators: list[Evaluator], index_RE: np.ndarray
) -> list[Metrics]:
    """Mean loss, accuracy, number of equations, accuracy of each group that has any, of each replica."""
    loss_R, accuracy_R = measured.loss_RE.mean(1).tolist(), measured.correct_RE.mean(1).tolist()
    correct_RE, metrics = measured.correct_RE.cpu().numpy(), []
    of_each = zip(evaluators, loss_R, accuracy_R, correct_RE, index_RE, strict=True)
    for evaluator, loss, accuracy, correct_E, index_E in of_each:
        of_replica = {f"{part}_loss": loss, f"{part}_accuracy": accuracy, f"{part}_equations": len(index_E)}
        for name, mask_P in evaluator.groups[part].items():
            if (chosen_E := mask_P[index_E]).any():
                of_replica[f"{part}_accuracy/{name}"] = float(correct_E[chosen_E].mean())
        metrics.append(of_replica)
    return metrics


def _groups(replica: Replica, task: Task) -> dict[str, dict[str, np.ndarray]]:
    """Groups of equations whose accuracy is reported apart, by part: masks (P,) by name.

    A validation pair whose mirror is trained on is easy for a network that treats its operands alike. The
    accuracy on wrong labels tells memorization from generalization.
    """
    mirrored_P = task.mirrored_mask(replica.split_seed)
    wrong_P = answers(replica, task) != task.equations["c"].to_numpy()
    noise = {"corrupted": wrong_P, "clean": ~wrong_P} if wrong_P.any() else {}
    return {"train": noise, "validation": {"mirrored": mirrored_P, "unmirrored": ~mirrored_P}}
