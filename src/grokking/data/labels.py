"""The answers a table is trained with: its own, or its own in disorder as a control."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, Seed
from grokking.data.table import Table


@dataclass(frozen=True, config=STRICT)
class ExactLabelsConfig:
    name: Literal["exact"]


@dataclass(frozen=True, config=STRICT)
class ShuffledLabelsConfig:
    name: Literal["shuffled"]
    seed: Seed  # of the permutation


LabelsConfig = Annotated[ExactLabelsConfig | ShuffledLabelsConfig, Field(discriminator="name")]


def exact(table: Table, config: ExactLabelsConfig) -> Table:
    return table


def shuffled(table: Table, config: ShuffledLabelsConfig) -> Table:
    """The answers permuted once over the whole table: nothing is left to learn but the table itself."""
    answers = np.random.default_rng(config.seed).permutation(table.equations["c"].to_numpy())
    equations = table.equations.assign(c=answers)
    return replace(table, formula=f"{table.formula}, answers shuffled", equations=equations, additive=None)


LABELS: dict[str, Callable[[Table, Any], Table]] = {"exact": exact, "shuffled": shuffled}
