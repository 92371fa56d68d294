"""What is measured of a replica at an evaluation: on a sample of its equations, on all where that matters."""

# R replicas, E equations measured, V classes

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from grokking.data.batches import batch_size
from grokking.data.seeds import EVALUATION_SAMPLE, stream
from grokking.data.tasks import Task
from grokking.engine.answers import answers
from grokking.engine.events import CrossingDetector
from grokking.experiment import Replica

PARTS = ("train", "validation")
SMALLEST_SAMPLE, LARGEST_SAMPLE = 256, 1024  # equations of each part


@dataclass(frozen=True)
class EquationMetrics:
    """Of each equation: loss, 1 where the largest logit is the answer's, mean squared centred logit."""

    loss_RE: Tensor
    correct_RE: Tensor
    square_RE: Tensor

    @classmethod
    def of(cls, logits_REV: Tensor, answer_RE: Tensor, loss_RE: Tensor) -> Self:
        correct_RE = logits_REV.argmax(-1) == answer_RE
        centred_REV = logits_REV - logits_REV.mean(-1, keepdim=True)
        return cls(loss_RE.double(), correct_RE.double(), centred_REV.square_().mean(-1).double())

    @classmethod
    def joined(cls, slices: Sequence[Self]) -> Self:
        fields = ("loss_RE", "correct_RE", "square_RE")
        return cls(*(torch.cat([getattr(part, field) for part in slices], dim=1) for field in fields))

    def columns(self, chosen: slice) -> Self:
        """The same of some equations only."""
        return type(self)(self.loss_RE[:, chosen], self.correct_RE[:, chosen], self.square_RE[:, chosen])

    def logit_rms(self) -> Tensor:
        """Root mean square of the centred logits, (R,)."""
        return self.square_RE.mean(1).sqrt()


class Measurable(Protocol):
    def measure(self, positions: list[int], index_RE: np.ndarray) -> EquationMetrics: ...
    def norms(self, positions: list[int]) -> dict[str, Tensor]: ...


class EvaluationSampler:
    """Measures one replica's equations: a fixed sample of each part, or a part as a whole.

    The sample has half as many equations as a batch, within bounds: a look at both parts costs a third of an
    update or less. A replica's watches say where it does not decide an event; there all equations do.
    """

    def __init__(self, replica: Replica, task: Task) -> None:
        mask = task.train_mask(replica.split_seed)
        judged = task.validation_mask(replica.split_seed)
        self.whole = {"train": np.flatnonzero(mask), "validation": np.flatnonzero(judged)}
        half_a_batch = batch_size(replica.config.batch, len(self.whole["train"])) // 2
        size = min(max(SMALLEST_SAMPLE, half_a_batch), LARGEST_SAMPLE)
        random = np.random.default_rng(stream(replica.split_seed, EVALUATION_SAMPLE))
        self.sample = {part: np.sort(random.permutation(rows)[:size]) for part, rows in self.whole.items()}
        self.groups = _groups(replica, task)
        self.watches = {part: CrossingDetector() for part in PARTS}

    def by_group(self, part: str, index_E: np.ndarray, correct_E: np.ndarray) -> dict[str, float]:
        """Accuracy of each group among these equations; a group that has none of them is left out."""
        chosen = {name: correct_E[mask_P[index_E]] for name, mask_P in self.groups[part].items()}
        return {f"{part}_accuracy/{name}": float(of.mean()) for name, of in chosen.items() if len(of)}

    def undecided(self, part: str, step: int, last: bool, look: Mapping[str, float]) -> bool:
        """Whether this part must be measured as a whole: for an event, or because the replica ends here."""
        ends = last or self.watches["validation"].ends_by(step)
        decides = look[f"{part}_equations"] == len(self.whole[part])
        return not decides and (ends or self.watches[part].undecided(look[f"{part}_accuracy"]))

    def state(self) -> dict[str, Any]:
        """What the watches have seen, for a checkpoint."""
        return {part: asdict(watch) for part, watch in self.watches.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.watches = {part: CrossingDetector(**seen) for part, seen in state.items()}

    def take(self, step: int, metrics: Mapping[str, float]) -> None:
        for part, watch in self.watches.items():
            watch.take(step, metrics[f"{part}_accuracy"])


def evaluate(
    stack: Measurable, positions: list[int], samplers: list[EvaluationSampler], steps: list[int], budget: int
) -> list[dict[str, float]]:
    """Metrics of the replicas at these positions of the stack; their watches are told."""
    metrics = _look(stack, positions, samplers)
    for part in PARTS:
        rows = [
            row
            for row, sampler in enumerate(samplers)
            if sampler.undecided(part, steps[row], steps[row] == budget, metrics[row])
        ]
        if rows:
            asked = [samplers[row] for row in rows]
            whole_RE = np.stack([sampler.whole[part] for sampler in asked])
            measured = stack.measure([positions[row] for row in rows], whole_RE)
            for row, exact in zip(rows, _of_part(part, measured, asked, whole_RE), strict=True):
                metrics[row] |= exact
    for sampler, step, found in zip(samplers, steps, metrics, strict=True):
        sampler.take(step, found)
    return metrics


def _look(
    stack: Measurable, positions: list[int], samplers: list[EvaluationSampler]
) -> list[dict[str, float]]:
    """Metrics on each replica's samples, both in one pass, and what needs no equations."""
    train_RE, validation_RE = (np.stack([sampler.sample[part] for sampler in samplers]) for part in PARTS)
    measured, trained = stack.measure(positions, np.hstack([train_RE, validation_RE])), train_RE.shape[1]
    each = zip(
        _of_part("train", measured.columns(slice(trained)), samplers, train_RE),
        _of_part("validation", measured.columns(slice(trained, None)), samplers, validation_RE),
        strict=True,
    )
    rest = {"logit_rms": measured.logit_rms()} | stack.norms(positions)
    values = {name: value_R.tolist() for name, value_R in rest.items()}
    return [
        train | validation | {name: value[row] for name, value in values.items()}
        for row, (train, validation) in enumerate(each)
    ]


def _of_part(
    part: str, measured: EquationMetrics, samplers: list[EvaluationSampler], index_RE: np.ndarray
) -> list[dict[str, float]]:
    """Mean loss, accuracy, over how many equations, and accuracy of each group, for each replica."""
    loss_R, accuracy_R = (x_RE.mean(1).tolist() for x_RE in (measured.loss_RE, measured.correct_RE))
    correct_RE, equations = measured.correct_RE.cpu().numpy(), index_RE.shape[1]
    return [
        {f"{part}_loss": loss_R[row], f"{part}_accuracy": accuracy_R[row], f"{part}_equations": equations}
        | sampler.by_group(part, index_RE[row], correct_RE[row])
        for row, sampler in enumerate(samplers)
    ]


def _groups(replica: Replica, task: Task) -> dict[str, dict[str, np.ndarray]]:
    """Equations of each part whose accuracy is told apart: masks (P,) by name.

    A validation pair whose mirror is trained on is easy for a network that treats its operands alike; what
    becomes of wrong labels tells memorisation from generalisation.
    """
    mirrored_P = task.mirrored_mask(replica.split_seed)
    wrong_P = answers(replica, task) != task.equations["c"].to_numpy()
    noise = {"corrupted": wrong_P, "clean": ~wrong_P} if wrong_P.any() else {}
    return {"train": noise, "validation": {"mirrored": mirrored_P, "unmirrored": ~mirrored_P}}


def weight_norms(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Euclidean norm of all parameters and of each layer's, from stacked parameters; (R,) each.

    Layers are added one by one: a reduction over them would round differently for other R.
    """
    squares: dict[str, Any] = defaultdict(int)
    for name, parameter in parameters.items():
        layer = name.rpartition(".")[0] or name
        square_R = _sum_of_squares(parameter)
        squares["weight_norm"] = squares["weight_norm"] + square_R
        squares[f"weight_norm/{layer}"] = squares[f"weight_norm/{layer}"] + square_R
    return {name: square.sqrt() for name, square in squares.items()}


def _sum_of_squares(parameter: Tensor) -> Tensor:
    return parameter.detach().flatten(1).to(torch.float64).square().sum(1)
