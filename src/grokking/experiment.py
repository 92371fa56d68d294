"""An experiment: one task, and the replicas that are trained on it."""

import copy
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from math import prod
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, Seed, Steps, UnitInterval, load, one_of
from grokking.data import tasks
from grokking.data.batches import BatchConfig, require_batch
from grokking.data.tasks import Task
from grokking.models import FAMILIES, ModelConfig
from grokking.updates.gradient_filters import FilterConfig
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OPTIMIZERS, OptimizerConfig
from grokking.updates.projections import PROJECTIONS
from grokking.updates.schedules import ScheduleConfig
from grokking.updates.weight_clamps import ClampConfig

MOST_REPLICAS = 10_000  # of one experiment


@dataclass(frozen=True, config=STRICT)
class ExperimentConfig:
    system: Literal[0, 1, 2, 3, 4, "none"]  # the published system it belongs to
    role: Literal["reproduction", "variant", "control"]  # control: shows what generalization depends on
    task: str
    model: ModelConfig
    loss: Annotated[str, one_of(LOSSES)]
    label_noise: UnitInterval  # share of the training equations that are given a wrong answer
    precision: Literal["float32", "float64"]  # of parameters and activations
    # bfloat16: inputs and results of the dense layers' products are rounded to it, sums stay float32; fast
    # where hardware has it. An embedding MLP's first layer and a tied unembedding are not rounded
    matmul_precision: Literal["full", "bfloat16"]
    loss_precision: Literal["float32", "float64"]  # of the sums over classes in the loss and its gradient
    gradient_filter: FilterConfig  # applied before the projection
    gradient_projection: Annotated[str, one_of(PROJECTIONS)]  # orthogonal: without the part along the weights
    optimizer: OptimizerConfig
    weight_clamp: ClampConfig  # after each update
    frozen: Literal["nothing", "first_layer", "readout"]  # parameters that stay as initialised
    schedule: ScheduleConfig
    batch: BatchConfig
    budget: Steps  # updates by which generalization must begin; a replica without it is censored

    def __post_init__(self) -> None:
        if self.matmul_precision == "bfloat16" and self.precision == "float64":
            raise ValueError(
                "`matmul_precision` bfloat16 needs `precision` float32, but got float64; use full"
            )
        family = FAMILIES[self.model.family]
        if self.matmul_precision == "bfloat16" and not family.multiplies_by_torch:
            raise ValueError(
                f"`matmul_precision` bfloat16 needs torch, but `{self.model.family}` multiplies by NumPy; "
                "write full"
            )
        if OPTIMIZERS[self.optimizer.name].needs_matrices and not family.has_hidden_matrices(self.model):
            raise ValueError(
                f"`optimizer` {self.optimizer.name} updates matrices between hidden layers, but this model "
                "has none; add a hidden layer, take another family or write adamw"
            )

    def update_hparams(self) -> dict[str, float]:
        """Hyperparameters of the update by name: the floats, which may differ between replicas of a stack."""
        values = vars(self.optimizer) | vars(self.gradient_filter) | vars(self.weight_clamp)
        return {name: value for name, value in values.items() if isinstance(value, float)}


@plain_dataclass(frozen=True)
class Replica:
    """One network of an experiment: its configuration and its seeds."""

    index: int
    seed: int  # of initialisation, batches and label noise
    split_seed: int
    config: ExperimentConfig

    def row(self) -> dict[str, Any]:
        """Every hyperparameter and seed, flat, as a row of replicas.parquet."""
        flat: dict[str, Any] = {"replica": self.index, "seed": self.seed, "split_seed": self.split_seed}
        for key, value in asdict(self.config).items():
            if isinstance(value, dict):  # a section, such as the optimizer
                flat |= {f"{key}.{name}": cell for name, cell in value.items()}
            else:
                flat[key] = value
        return {key: " ".join(map(str, x)) if isinstance(x, tuple) else x for key, x in flat.items()}

    def stack_key(self, task: Task) -> str:
        """Replicas with equal keys can share a stack.

        Seeds and floats may differ, but not the floats of the schedule, nor a family's `shape_floats`. The
        number of training equations may not: with some kinds of split it varies with the seed.
        """
        model, row = self.config.model, self.row()
        may_differ = {"replica", "seed", "split_seed"} | {key for key in row if isinstance(row[key], float)}
        may_differ -= {f"model.{name}" for name in FAMILIES[model.family].shape_floats}
        may_differ -= {key for key in row if key.startswith("schedule.")}
        must_equal = {key: value for key, value in row.items() if key not in may_differ}
        return json.dumps(must_equal | {"train_equations": task.train_size(self.split_seed)})


def require_fit(replica: Replica, task: Task, where: str, seeds: str | None = None) -> None:
    """Raise ConfigError where a replica cannot be trained on the task; `seeds` is where its seeds stand."""
    tasks.require_split(task, replica.split_seed, f"{seeds or f'{where}.replicas'}.split_seeds")
    FAMILIES[replica.config.model.family].require_fit(replica.config.model, task.sizes, f"{where}.model")
    require_batch(replica.config.batch, task.train_size(replica.split_seed), f"{where}.batch")


@dataclass(frozen=True, config=STRICT)
class Seeds:
    """The pairs of seed and split seed that each grid point is trained with."""

    seeds: tuple[Seed, ...]
    split_seeds: tuple[Seed, ...]  # paired with `seeds`, one each

    def __post_init__(self) -> None:
        if not self.seeds or len(self.seeds) != len(self.split_seeds):
            raise ValueError(
                f"needs as many `split_seeds` as `seeds`, at least one, but got {len(self.split_seeds)} "
                f"and {len(self.seeds)}"
            )
        pairs = Counter(zip(self.seeds, self.split_seeds, strict=True))
        if repeated := [pair for pair, count in pairs.items() if count > 1]:
            seed, split_seed = repeated[0]
            raise ValueError(f"has seed {seed} with split seed {split_seed} twice; write each pair once")


@dataclass(frozen=True, config=STRICT)
class ReplicasConfig(Seeds):
    """Which replicas an experiment has: every point of the grid with every pair of seeds."""

    grid: dict[str, tuple[Any, ...]]  # dotted key of the experiment -> the values it takes

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, values in self.grid.items():
            if key == "task" or not values:
                raise ValueError(
                    "`grid` needs at least one value per key, and an experiment has one task; "
                    f"remove `{key}` from it"
                )
            if any(values.count(value) > 1 for value in values):
                raise ValueError(f"`grid` needs distinct values of {key}, but got {list(values)}")
        for earlier, later in itertools.combinations(self.grid, 2):
            if earlier.startswith(f"{later}."):
                raise ValueError(f"`grid` names {earlier} before {later}, which replaces it; swap them")
        count = prod(map(len, self.grid.values())) * len(self.seeds)
        if count > MOST_REPLICAS:
            raise ValueError(
                f"makes {count:,} replicas of its grid and its seeds; an experiment has at most "
                f"{MOST_REPLICAS:,}; write fewer values or several experiments"
            )


def expand(mapping: Mapping[str, Any], where: str) -> list[Replica]:
    """The replicas of an experiment as written in params.yaml, grid point by grid point.

    Raises ConfigError for anything unknown, missing or out of range, at any point of the grid.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"`{where}` must be a mapping of keys, but got {mapping!r}")
    shared = {key: value for key, value in mapping.items() if key != "replicas"}
    plan = load(ReplicasConfig, mapping.get("replicas"), f"{where}.replicas")
    points = [dict(zip(plan.grid, values, strict=True)) for values in itertools.product(*plan.grid.values())]
    configs = [_at_point(shared, point, where) for point in points]
    each = itertools.product(configs, zip(plan.seeds, plan.split_seeds, strict=True))
    return [Replica(i, seed, split_seed, config) for i, (config, (seed, split_seed)) in enumerate(each)]


def _at_point(shared: Mapping[str, Any], point: Mapping[str, Any], where: str) -> ExperimentConfig:
    """The configuration at a point of the grid; an error of a value in it names the grid."""
    try:
        return load(ExperimentConfig, with_values(shared, point, "grid"), where)
    except ConfigError as error:
        key = next((key for key in point if str(error).startswith(f"`{where}.{key}")), None)
        if key is None:
            raise
        wrong, _, what = str(error).removeprefix(f"`{where}.").partition("` ")
        raise ConfigError(f"`{where}.replicas.grid` sets `{wrong}`, which {what}") from None


def with_values(mapping: Mapping[str, Any], values: Mapping[str, Any], named_by: str) -> dict[str, Any]:
    """A copy of the experiment with these dotted keys set; errors blame the key `named_by`."""
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
