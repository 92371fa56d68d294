"""An experiment: one network on one task, trained as a set of replicas."""

import copy
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, PositiveInt, Seed, UnitInterval, load, one_of
from grokking.data.batches import BatchConfig
from grokking.data.tasks import Task
from grokking.models import ModelConfig
from grokking.models.one_hot_mlp import OneHotMLPConfig
from grokking.updates.gradient_filters import PROJECTIONS, FilterConfig
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OptimizerConfig
from grokking.updates.schedules import ScheduleConfig
from grokking.updates.weight_clamps import ClampConfig

# What changes only the values of tensors; replicas that differ in nothing else can share a batch.
HYPERPARAMETERS = {
    "optimizer": (
        "learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon", "adamw_learning_rate",
        "adamw_weight_decay",
    ),
    "gradient_filter": ("decay", "amplitude"),
    "weight_clamp": ("max_norm",),
}  # fmt: skip
VALUES = {
    "replica", "seed", "split_seed", "label_noise", "model.alpha", "model.init_scale", "model.embedding_std",
    "model.output_scale",
    *(f"{section}.{name}" for section, names in HYPERPARAMETERS.items() for name in names),
}  # fmt: skip
PARAMS_PREFIX = "params/"  # of the columns of trials.parquet that hold hyperparameters, by dotted key
BY_HAND = {
    "optimizer.name": "sgd", "loss": "cross_entropy", "gradient_filter.name": "none",
    "gradient_projection": "none", "weight_clamp.name": "none", "frozen": "nothing",
    "matmul_precision": "full",
}  # fmt: skip


@dataclass(frozen=True, config=STRICT)
class ExperimentConfig:
    system: Literal[0, 1, 2, 3, 4, "none"]  # the published system it belongs to
    role: Literal["reproduction", "variant", "control"]  # control: shows what generalisation depends on
    task: str
    model: ModelConfig
    loss: Annotated[str, one_of(LOSSES)]
    label_noise: UnitInterval  # share of the training equations that are given a wrong answer
    precision: Literal["float32", "float64"]  # of parameters and activations
    # bfloat16: factors of matrix products are rounded to it, sums are float32; fast where it is in hardware
    matmul_precision: Literal["full", "bfloat16"]
    loss_precision: Literal["float32", "float64"]  # of the loss and its gradient at the logits
    gradient_filter: FilterConfig  # applied before the projection
    gradient_projection: Annotated[str, one_of(PROJECTIONS)]  # orthogonal: ⟂Grad, off each weight tensor
    optimizer: OptimizerConfig
    weight_clamp: ClampConfig  # after each update
    frozen: Literal["nothing", "first_layer", "readout"]  # parameters that stay as initialised
    schedule: ScheduleConfig
    batch: BatchConfig
    budget: PositiveInt  # updates; a replica that has not generalised by then is censored

    def __post_init__(self) -> None:
        if self.model.family == "numpy_mlp":
            self._require_by_hand()
        if self.matmul_precision == "bfloat16" and self.precision == "float64":
            raise ValueError(
                "`matmul_precision` bfloat16 is of `precision` float32, but got float64; write full"
            )
        if self.optimizer.name == "muon" and isinstance(self.model, OneHotMLPConfig):
            self._require_hidden_matrix(self.model)

    def _require_by_hand(self) -> None:
        """What backpropagation by hand in NumPy is written for."""
        for key, value in BY_HAND.items():
            found = attrgetter(key)(self)
            if found != value:
                raise ValueError(
                    f"`numpy_mlp` is trained by hand with `{key}` {value}, but got {found}; "
                    "use family `one_hot_mlp` for any other"
                )

    def _require_hidden_matrix(self, model: OneHotMLPConfig) -> None:
        if len(model.hidden_widths) == 1:
            raise ValueError(
                "`optimizer` muon is of matrices between hidden layers, but `hidden_widths` "
                f"{list(model.hidden_widths)} has none; add a hidden layer or write adamw"
            )


@plain_dataclass(frozen=True)
class Replica:
    """One network of an experiment: its configuration, its seeds, and what sets it apart."""

    index: int
    seed: int  # of initialisation and batches
    split_seed: int
    config: ExperimentConfig

    def stack_key(self, task: Task) -> str:
        """Equal for replicas that can share a batch: the configuration without its values, the batch's size.

        Splits that keep whole groups of equations together need not be of one size.
        """
        shape = {key: value for key, value in self.row().items() if key not in VALUES}
        return json.dumps(shape | {"train_equations": int(task.train_mask(self.split_seed).sum())})

    def row(self) -> dict[str, Any]:
        """Every hyperparameter and seed, flat, as a row of replicas.parquet."""
        flat: dict[str, Any] = {"replica": self.index, "seed": self.seed, "split_seed": self.split_seed}
        for key, value in asdict(self.config).items():
            if isinstance(value, dict):
                flat |= {f"{key}.{name}": _cell(inner) for name, inner in value.items()}
            else:
                flat[key] = value
        return flat


@dataclass(frozen=True, config=STRICT)
class Plan:
    """Which replicas an experiment has: every point of the grid with every pair of seeds."""

    seeds: tuple[Seed, ...]
    split_seeds: tuple[Seed, ...]  # paired with `seeds`, one each
    grid: dict[str, tuple[Any, ...]]  # dotted key of the experiment -> the values it takes

    def __post_init__(self) -> None:
        if not self.seeds or len(self.seeds) != len(self.split_seeds):
            raise ValueError(
                f"needs as many `split_seeds` as `seeds`, at least one, but got {len(self.split_seeds)} "
                f"and {len(self.seeds)}"
            )
        empty = [key for key, values in self.grid.items() if not values]
        if empty or "task" in self.grid:
            raise ValueError(
                "`grid` needs at least one value per key, and an experiment has one task; "
                f"remove `{empty[0] if empty else 'task'}` from it"
            )


def expand(mapping: Mapping[str, Any], where: str) -> list[Replica]:
    """The replicas of an experiment as written in params.yaml, grid point by grid point.

    Raises ConfigError for anything unknown, missing or out of range, at any point of the grid.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"`{where}` must be a mapping of keys, but got {mapping!r}")
    shared = {key: value for key, value in mapping.items() if key != "replicas"}
    plan = load(Plan, mapping.get("replicas"), f"{where}.replicas")
    points = itertools.product(*plan.grid.values())
    values = [dict(zip(plan.grid, point, strict=True)) for point in points]
    configs = [load(ExperimentConfig, with_values(shared, at, "grid"), where) for at in values]
    drawn = list(itertools.product(configs, zip(plan.seeds, plan.split_seeds, strict=True)))
    return [Replica(i, seed, split_seed, config) for i, (config, (seed, split_seed)) in enumerate(drawn)]


def with_values(mapping: Mapping[str, Any], values: Mapping[str, Any], named_by: str) -> dict[str, Any]:
    """A copy of the experiment with these dotted keys set; `named_by` is where a mistake would be."""
    changed = copy.deepcopy(dict(mapping))
    for dotted, value in values.items():
        *path, last = dotted.split(".")
        section = changed
        for key in path:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(
                    f"`{named_by}` names `{dotted}`, but `{key}` holds the value {section!r}, not keys"
                )
        section[last] = copy.deepcopy(value)
    return changed


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else value
