"""Sums, products and polynomials modulo n: a table for every n.

The polynomials are those of Power et al. 2022 (arXiv 2201.02177).
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from grokking.config import STRICT
from grokking.data.primes import Modulus, is_prime
from grokking.data.table import Additive, Table, all_pairs


@dataclass(frozen=True, config=STRICT)
class ModularConfig:
    name: Literal[
        "add", "subtract", "multiply",
        "sum_of_squares", "quadratic", "quadratic_plus_a", "cubic", "cubic_plus_b",
    ]  # fmt: skip
    modulus: Modulus


# How people write it, and the answer before it is reduced
RULES: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "add": ("a + b", lambda a, b: a + b),
    "subtract": ("a - b", lambda a, b: a - b),
    "multiply": ("a · b", lambda a, b: a * b),
    "sum_of_squares": ("a² + b²", lambda a, b: a**2 + b**2),
    "quadratic": ("a² + ab + b²", lambda a, b: a**2 + a * b + b**2),
    "quadratic_plus_a": ("a² + ab + b² + a", lambda a, b: a**2 + a * b + b**2 + a),
    "cubic": ("a³ + ab", lambda a, b: a**3 + a * b),
    "cubic_plus_b": ("a³ + ab² + b", lambda a, b: a**3 + a * b**2 + b),
}


def modular_table(config: ModularConfig) -> Table:
    """All n² equations c = rule(a, b) mod n, ordered by a, then b."""
    (formula, rule), modulus = RULES[config.name], config.modulus
    a, b = all_pairs(modulus)
    equations = pd.DataFrame({"a": a, "b": b, "c": rule(a, b) % modulus})
    return Table(f"{formula} mod {modulus}", equations, additive_form(config.name, modulus))


def additive_form(name: str, modulus: int) -> Additive | None:
    """Logarithms of the residues but 0 are the integers mod p - 1; a composite modulus has none."""
    match name:
        case "add" | "sum_of_squares":
            return Additive(modulus, operand_sign=1, labels_zero=True)
        case "subtract":
            return Additive(modulus, operand_sign=-1, labels_zero=True)
        case "multiply" if is_prime(modulus):
            return Additive(modulus - 1, operand_sign=1, labels_zero=False)
    return None
