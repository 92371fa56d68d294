"""Operations by name: a configuration becomes a table."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from grokking.data.division import DIVISIONS, DivisionConfig
from grokking.data.latin_square import LatinSquareConfig, latin_square_table
from grokking.data.modular import RULES, ModularConfig, modular_table
from grokking.data.permutations import PRODUCTS, PermutationConfig, permutation_table
from grokking.data.table import Table

OperationConfig = Annotated[
    ModularConfig | DivisionConfig | PermutationConfig | LatinSquareConfig, Field(discriminator="name")
]

OPERATIONS: dict[str, Callable[[Any], Table]] = {
    **dict.fromkeys(RULES, modular_table),
    **DIVISIONS,
    **dict.fromkeys(PRODUCTS, permutation_table),
    "latin_square": latin_square_table,
}
