"""A sweep as params.yaml has it: one experiment, one task, and a design that says what varies."""

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, PositiveInt, Seed, satisfying
from grokking.data.tasks import DistinctSeeds

Axes = satisfying(lambda axes: len(axes) > 0, "name at least one key of `experiment` or `task`")
# lowest and highest value that was predicted before the sweep was trained, by what was predicted
Predicted = dict[str, tuple[float, float]]


@dataclass(frozen=True, config=STRICT)
class GridDesign:
    """Every combination of the values of its axes."""

    kind: Literal["grid"]
    axes: Annotated[dict[str, tuple[Any, ...]], Axes]  # dotted key, such as task.split.train_fraction

    def __post_init__(self) -> None:
        for key, values in self.axes.items():
            if not values or any(values.count(value) > 1 for value in values):
                raise ValueError(f"needs distinct values of {key}, at least one, but got {list(values)}")


@dataclass(frozen=True, config=STRICT)
class Range:
    low: float
    high: float
    scale: Literal["linear", "log"]

    def __post_init__(self) -> None:
        if self.low >= self.high or (self.scale == "log" and self.low <= 0):
            raise ValueError(
                f"needs `low` below `high`, and above 0 on a log scale, but got {self.low} and {self.high}"
            )


@dataclass(frozen=True, config=STRICT)
class SobolDesign:
    """Points of a scrambled Sobol sequence, which fill the axes more evenly than random ones."""

    kind: Literal["sobol"]
    axes: Annotated[dict[str, Range], Axes]
    points: PositiveInt  # best a power of two
    seed: Seed  # of the scrambling


@dataclass(frozen=True, config=STRICT)
class SweepReplicas:
    """The pairs of seed and split seed that each cell is trained with."""

    seeds: DistinctSeeds
    split_seeds: DistinctSeeds
    # paired: the first seed with the first split, and so on; crossed: every seed with every split, which
    # tells the luck of the initialisation from that of the data
    pairs: Literal["paired", "crossed"]

    def __post_init__(self) -> None:
        if self.pairs == "paired" and len(self.seeds) != len(self.split_seeds):
            raise ValueError(
                "with `pairs` paired needs as many `split_seeds` as `seeds`, but got "
                f"{len(self.split_seeds)} and {len(self.seeds)}; write crossed for all combinations"
            )

    def drawn(self) -> list[tuple[int, int]]:
        """Each pair of seed and split seed."""
        if self.pairs == "paired":
            return list(zip(self.seeds, self.split_seeds, strict=True))
        return list(itertools.product(self.seeds, self.split_seeds))


@dataclass(frozen=True, config=STRICT)
class SweepConfig:
    design: Annotated[GridDesign | SobolDesign, Field(discriminator="kind")]
    replicas: SweepReplicas
    predicted: Predicted
