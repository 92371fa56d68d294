"""An experiment whose optimizer is the rule of a submission."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, NonNegative, Positive, load
from grokking.experiment import ExperimentConfig
from grokking.leaderboard.submission import OPEN, Submission
from grokking.models import FAMILIES, ModelConfig
from grokking.search.space import apply_point
from grokking.updates.optimizers import OPTIMIZERS

USUAL = {
    "gradient_filter": {"name": "none"},
    "gradient_projection": "none",
    "weight_clamp": {"name": "none"},
    "schedule": {"name": "constant", "warmup_steps": 0},
}


@dataclass(frozen=True, config=STRICT)
class RuleConfig:
    """Hyperparameters of a rule of its own; the schedule multiplies the learning rate."""

    name: str
    learning_rate: Positive
    weight_decay: NonNegative
    values: dict[str, float]  # all others


@dataclass(frozen=True, config=STRICT)
class Model:
    model: ModelConfig


@dataclass(frozen=True, config=STRICT)
class SubmittedExperiment(ExperimentConfig):
    optimizer: RuleConfig  # type: ignore[assignment]

    def update_hparams(self) -> dict[str, float]:
        return super().update_hparams() | self.optimizer.values


@contextmanager
def known(*submissions: Submission) -> Iterator[None]:
    """Within, the engine of this process knows the rules of these submissions by their names."""
    rules = {own.optimizer_name: own.rule for own in submissions if own.rule is not None}
    added = rules.keys() - OPTIMIZERS.keys()  # nested in another `known`, nothing is left to add
    OPTIMIZERS.update(rules)
    try:
        yield
    finally:
        for name in added:
            del OPTIMIZERS[name]


def configured(submission: Submission, experiment: dict[str, Any], point: dict[str, Any]) -> ExperimentConfig:
    """The experiment trained by the rule at a point of its space; ConfigError where it cannot be."""
    where = f"submission {submission.name}"
    values = {_dotted(key): value for key, value in (submission.declared.SETTINGS | point).items()}
    mapping = apply_point(experiment | USUAL, values, where)
    if submission.rule is None:
        return load(ExperimentConfig, _trainable(mapping, where), where)
    own = {"learning_rate": 1.0, "weight_decay": 0.0} | mapping.get("optimizer", {})
    rest = {key: own[key] for key in own.keys() - {"learning_rate", "weight_decay"}}
    kept = {"learning_rate": own["learning_rate"], "weight_decay": own["weight_decay"]}
    mapping["optimizer"] = {"name": submission.optimizer_name, **kept, "values": dict(sorted(rest.items()))}
    with known(submission):
        try:
            return load(SubmittedExperiment, mapping, where)
        except ConfigError as error:  # who wrote it knows no `optimizer.values`
            raise ConfigError(str(error).replace(".optimizer.values.", ".")) from None


def _trainable(mapping: dict[str, Any], where: str) -> dict[str, Any]:
    """Muon's rule for all but hidden matrices, AdamW, where the network has none of these."""
    model: Any = load(Model, {"model": mapping["model"]}, where).model
    own = mapping["optimizer"]
    if own["name"] != "muon" or FAMILIES[model.family].has_hidden_matrices(model):
        return mapping
    rates = {key: own[f"adamw_{key}"] for key in ("learning_rate", "weight_decay")}
    rest = {key: own[key] for key in ("beta1", "beta2", "epsilon")}
    return mapping | {"optimizer": {"name": "adamw"} | rates | rest}


def _dotted(key: str) -> str:
    """A name without a section is a hyperparameter of the rule."""
    whole = ("gradient_projection", *OPEN)
    return key if "." in key or key in whole else f"optimizer.{key}"
