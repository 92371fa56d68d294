"""Operations as addition in a cyclic group: which token stands for which residue.

Multiplication and division of the non-zero residues of a prime p are addition and subtraction of discrete
logarithms in Z_{p-1}. Fourier diagnostics are of functions on Z_n, so without this order they see nothing
in a network that has learned to multiply. Zero is an orbit of its own and left out.
"""

# T tokens of the table, n order of the group, V classes

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grokking.data.primes import is_prime
from grokking.data.tasks import TaskConfig


@dataclass(frozen=True)
class Order:
    """Tokens such that a[i] ∘ b[j] = c[(i + j) mod n]: three arrays of length n.

    Subtraction and division list b backwards, so that every operation becomes a sum.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def grid(self, table_TTX: np.ndarray) -> np.ndarray:
        """The pairs of a (T, T, ...) table in this order, (n, n, ...)."""
        return table_TTX[np.ix_(self.a, self.b)]

    def logits(self, logits_TTV: np.ndarray) -> np.ndarray:
        """Logits of all pairs with pairs and classes in this order, (n, n, n)."""
        return self.grid(logits_TTV)[:, :, self.c]


def order_of(task: TaskConfig) -> Order | None:
    """The order of the task's operation, where it is that of a cyclic group."""
    return find_order(task.operation.name, getattr(task.operation, "modulus", None))


def find_order(operation: str, modulus: int | None) -> Order | None:
    """The order where the operation is that of a cyclic group, which products mod a composite are not."""
    if operation not in ORDERS or modulus is None:
        return None
    if operation in ("multiply", "divide") and not is_prime(modulus):
        return None
    return order(operation, modulus)


def order(operation: str, modulus: int) -> Order:
    """The order of tokens in which `operation` (a name of data.operations) is addition.

    Raises ValueError for an operation that is not one of a cyclic group.
    """
    if operation not in ORDERS:
        raise ValueError(f"`operation` must be one of {', '.join(ORDERS)}, but got {operation!r}")
    return ORDERS[operation](modulus)


def primitive_root(prime: int) -> int:
    """The smallest g whose powers are all non-zero residues: 5 for 97, 3 for 113. O(p²) at worst."""
    for root in range(1, prime):
        if sorted(_powers(root, prime)) == list(range(1, prime)):
            return root
    raise ValueError(f"a primitive root needs a prime modulus, but got {prime}")


def _powers(root: int, prime: int) -> list[int]:
    powers = [1]
    for _ in range(prime - 2):
        powers.append(powers[-1] * root % prime)
    return powers


def _sums(modulus: int) -> Order:
    every = np.arange(modulus)
    return Order(every, every, every)


def _products(modulus: int) -> Order:
    powers = np.array(_powers(primitive_root(modulus), modulus))
    return Order(powers, powers, powers)


def _inverted(direct: Callable[[int], Order]) -> Callable[[int], Order]:
    """The inverse operation: b runs through the inverses."""

    def orders(modulus: int) -> Order:
        found = direct(modulus)
        return Order(found.a, found.b[-np.arange(len(found.b))], found.c)

    return orders


ORDERS: dict[str, Callable[[int], Order]] = {
    "add": _sums,
    "subtract": _inverted(_sums),
    "multiply": _products,
    "divide": _inverted(_products),
}
