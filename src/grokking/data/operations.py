"""Binary operations: each is a table of equations a ∘ b = c over tokens 0..n-1."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

Elementwise = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Operation:
    """A named operation: how people write it, and its equations for a modulus."""

    formula: str
    equations: Callable[[int], pd.DataFrame]


def elementwise(rule: Elementwise) -> Callable[[int], pd.DataFrame]:
    """All n² equations c = rule(a, b) mod n, ordered by a, then b."""

    def equations(modulus: int) -> pd.DataFrame:
        a, b = _all_pairs(modulus)
        return pd.DataFrame({"a": a, "b": b, "c": rule(a, b) % modulus})

    return equations


def quotients(modulus: int) -> pd.DataFrame:
    """All n(n-1) equations a / b = c with b ≠ 0, ordered by a, then b.

    Answer and divisor are enumerated and the dividend computed, so c · b ≡ a holds by construction.
    """
    require_prime(modulus)
    c, b = _all_pairs(modulus)
    table = pd.DataFrame({"a": c * b % modulus, "b": b, "c": c})
    return table[table["b"] > 0].sort_values(["a", "b"], ignore_index=True)


def require_prime(modulus: int) -> None:
    """Division has a unique answer only modulo a prime."""
    factor = next((f for f in range(2, int(modulus**0.5) + 1) if modulus % f == 0), None)
    if factor is not None:
        raise ValueError(
            f"division needs a prime modulus, but got {modulus} = {factor} * {modulus // factor}"
        )


def _all_pairs(modulus: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.divmod(np.arange(modulus**2), modulus)
    return first, second


OPERATIONS = {
    "add": Operation("a + b", elementwise(np.add)),
    "subtract": Operation("a - b", elementwise(np.subtract)),
    "multiply": Operation("a · b", elementwise(np.multiply)),
    "divide": Operation("a / b", quotients),
}
