"""Division modulo a prime, alone or for odd divisors only.

Answer and divisor are enumerated and the dividend computed, so c · b ≡ a holds by construction.
"""

from typing import Literal

import pandas as pd
from pydantic.dataclasses import dataclass

from grokking.config import STRICT
from grokking.data.primes import PrimeModulus
from grokking.data.table import Additive, Table, all_pairs


@dataclass(frozen=True, config=STRICT)
class DivisionConfig:
    name: Literal["divide", "divide_or_subtract"]
    modulus: PrimeModulus


def divide(config: DivisionConfig) -> Table:
    """All p(p-1) equations a / b = c with b ≠ 0: a difference of logarithms, where a ≠ 0."""
    modulus = config.modulus
    equations = _quotients(modulus).sort_values(["a", "b"], ignore_index=True)
    logarithms = Additive(modulus - 1, operand_sign=-1, labels_zero=False)
    return Table(f"a / b mod {modulus}", equations, logarithms)


def divide_or_subtract(config: DivisionConfig) -> Table:
    """All p² equations: a / b where b is odd as a number 0..p-1, else a - b."""
    modulus = config.modulus
    a, b = all_pairs(modulus)
    differences = pd.DataFrame({"a": a, "b": b, "c": (a - b) % modulus})
    quotients = _quotients(modulus)
    parts = [quotients[quotients["b"] % 2 == 1], differences[differences["b"] % 2 == 0]]
    equations = pd.concat(parts).sort_values(["a", "b"], ignore_index=True)
    return Table(f"a / b mod {modulus} if b is odd, else a - b mod {modulus}", equations, None)


def _quotients(modulus: int) -> pd.DataFrame:
    c, b = all_pairs(modulus)
    table = pd.DataFrame({"a": c * b % modulus, "b": b, "c": c})
    return table[table["b"] > 0]


DIVISIONS = {"divide": divide, "divide_or_subtract": divide_or_subtract}
