"""Sums, products and polynomials modulo n: a table for every n.

The polynomials are those of Power et al. 2022 (arXiv 2201.02177).
"""

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
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


def sum_of_labels(modulus: int) -> Additive:
    return Additive(modulus, operand_sign=1, labels_zero=True)


def difference_of_labels(modulus: int) -> Additive:
    return Additive(modulus, operand_sign=-1, labels_zero=True)


def sum_of_logarithms(modulus: int) -> Additive | None:
    """Logarithms of the residues but 0 are the integers mod p - 1; a composite modulus has none."""
    return Additive(modulus - 1, operand_sign=1, labels_zero=False) if is_prime(modulus) else None


def not_additive(modulus: int) -> None:
    return None


@plain_dataclass(frozen=True)
class Rule:
    """How people write it, the answer before it is reduced, and its additive form for a modulus."""

    formula: str
    answer: Callable[[np.ndarray, np.ndarray], np.ndarray]
    additive: Callable[[int], Additive | None]


RULES = {
    "add": Rule("a + b", lambda a, b: a + b, sum_of_labels),
    "subtract": Rule("a - b", lambda a, b: a - b, difference_of_labels),
    "multiply": Rule("a · b", lambda a, b: a * b, sum_of_logarithms),
    "sum_of_squares": Rule("a² + b²", lambda a, b: a**2 + b**2, sum_of_labels),
    "quadratic": Rule("a² + ab + b²", lambda a, b: a**2 + a * b + b**2, not_additive),
    "quadratic_plus_a": Rule("a² + ab + b² + a", lambda a, b: a**2 + a * b + b**2 + a, not_additive),
    "cubic": Rule("a³ + ab", lambda a, b: a**3 + a * b, not_additive),
    "cubic_plus_b": Rule("a³ + ab² + b", lambda a, b: a**3 + a * b**2 + b, not_additive),
}


def modular_table(config: ModularConfig) -> Table:
    """All n² equations c = rule(a, b) mod n, ordered by a, then b."""
    rule, modulus = RULES[config.name], config.modulus
    a, b = all_pairs(modulus)
    equations = pd.DataFrame({"a": a, "b": b, "c": rule.answer(a, b) % modulus})
    return Table(f"{rule.formula} mod {modulus}", equations, rule.additive(modulus))
