"""An evaluation: metrics on a sample of equations, and on all of them where the sample does not decide."""

# R replicas, E equations measured, P equations of the task

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from grokking.data.batches import batch_size
from grokking.data.seeds import EVALUATION_SAMPLE, stream
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.events import CrossingDetector
from grokking.engine.metrics import EquationMetrics
from grokking.engine.stack import ReplicaStack
from grokking.experiment import Replica

PARTS = ("train", "validation")
SMALLEST_SAMPLE, LARGEST_SAMPLE = 256, 1024  # equations of each part

Metrics = dict[str, float]


class EvaluationSampler:
    """Chooses the equations on which a replica is evaluated, and detects its two events.

    The sample of each part has half as many equations as a batch, but 256 to 1,024. So both cost at most a
    third of an update from a batch of 512 on, as an update costs three forward passes. Where a sample leaves
    an event open, all equations of the part are measured.
    """

    def __init__(self, replica: Replica, task: Task) -> None:
        masks = task.train_mask(replica.split_seed), task.validation_mask(replica.split_seed)
        self.budget = replica.config.budget
        self.whole = {part: np.flatnonzero(mask) for part, mask in zip(PARTS, masks, strict=True)}
        half_a_batch = batch_size(replica.config.batch, len(self.whole["train"])) // 2
        size = min(max(SMALLEST_SAMPLE, half_a_batch), LARGEST_SAMPLE)
        random = np.random.default_rng(stream(replica.split_seed, EVALUATION_SAMPLE))
        self.sample = {part: np.sort(random.permutation(rows)[:size]) for part, rows in self.whole.items()}
        self.groups = _groups(replica, task)
        self.detectors = {part: CrossingDetector(self.budget) for part in PARTS}

    def needs_whole(self, part: str, step: int, sampled: Metrics) -> bool:
        """Whether this part must be measured as a whole: for an event, or as the replica may end here."""
        if sampled[f"{part}_equations"] == len(self.whole[part]):
            return False
        may_end = step >= self.budget or self.detectors["validation"].trial_is_over(step)
        return may_end or self.detectors[part].needs_all_equations(sampled[f"{part}_accuracy"])

    def update(self, step: int, metrics: Metrics) -> None:
        """Pass an evaluation on to the detectors."""
        for part, detector in self.detectors.items():
            detector.update(step, metrics[f"{part}_accuracy"])

    def is_finished(self, step: int) -> bool:
        """Whether the replica has generalized or used its budget, and no crossing is on trial."""
        if any(detector.on_trial for detector in self.detectors.values()):
            return False
        return self.detectors["validation"].sustained or step >= self.budget

    def state(self) -> dict[str, Any]:
        """What the detectors have seen, for a checkpoint."""
        return {part: asdict(detector) for part, detector in self.detectors.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.detectors = {part: CrossingDetector(**seen) for part, seen in state.items()}


def evaluate(stack: ReplicaStack, samplers: list[EvaluationSampler], step: int) -> list[Metrics]:
    """Metrics of each replica of the stack; its sampler's detectors are updated with them."""
    metrics = _on_samples(stack, samplers)
    for part in PARTS:
        rows = [i for i, sampler in enumerate(samplers) if sampler.needs_whole(part, step, metrics[i])]
        if rows:
            chosen = [samplers[i] for i in rows]
            whole_RE = np.stack([sampler.whole[part] for sampler in chosen])
            measured = _part_metrics(part, stack.measure(rows, whole_RE), chosen, whole_RE)
            for i, exact in zip(rows, measured, strict=True):
                metrics[i] |= exact
    for sampler, found in zip(samplers, metrics, strict=True):
        sampler.update(step, found)
    return metrics


def _on_samples(stack: ReplicaStack, samplers: list[EvaluationSampler]) -> list[Metrics]:
    """Metrics on each replica's samples, both parts in one pass, with the norms of logits and weights."""
    train_RE, validation_RE = (np.stack([sampler.sample[part] for sampler in samplers]) for part in PARTS)
    measured = stack.measure(list(range(len(samplers))), np.hstack([train_RE, validation_RE]))
    split = train_RE.shape[1]
    train = _part_metrics("train", measured.columns(slice(split)), samplers, train_RE)
    validation = _part_metrics("validation", measured.columns(slice(split, None)), samplers, validation_RE)
    rest_R = {"logit_rms": measured.logit_rms()} | stack.norms()
    rest = {name: value_R.tolist() for name, value_R in rest_R.items()}
    replicas = range(len(samplers))
    return [train[i] | validation[i] | {name: rest[name][i] for name in rest} for i in replicas]


def _part_metrics(
    part: str, measured: EquationMetrics, samplers: list[EvaluationSampler], index_RE: np.ndarray
) -> list[Metrics]:
    """Mean loss, accuracy, number of equations, accuracy of each group that has any, of each replica."""
    loss_R, accuracy_R = measured.loss_RE.mean(1).tolist(), measured.correct_RE.mean(1).tolist()
    correct_RE, equations = measured.correct_RE.cpu().numpy(), index_RE.shape[1]
    metrics: list[Metrics] = [
        {f"{part}_loss": loss, f"{part}_accuracy": accuracy, f"{part}_equations": equations}
        for loss, accuracy in zip(loss_R, accuracy_R, strict=True)
    ]
    for i, sampler in enumerate(samplers):
        for name, mask_P in sampler.groups[part].items():
            if (chosen_E := mask_P[index_RE[i]]).any():
                metrics[i][f"{part}_accuracy/{name}"] = float(correct_RE[i][chosen_E].mean())
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
