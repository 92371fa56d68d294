"""Primes: the factors of a modulus, and the moduli by which one can divide."""

from math import isqrt
from typing import Annotated

from pydantic import AfterValidator

from grokking.config import whole_number


def prime_factors(n: int) -> list[int]:
    """The distinct primes that divide n, ascending."""
    return [factor for factor in range(2, n + 1) if n % factor == 0 and is_prime(factor)]


def is_prime(n: int) -> bool:
    return n >= 2 and all(n % factor for factor in range(2, isqrt(n) + 1))


def require_prime(modulus: int) -> int:
    """Division has a unique answer only modulo a prime."""
    if is_prime(modulus):
        return modulus
    factor = prime_factors(modulus)[0]
    raise ValueError(
        f"division needs a prime modulus, but got {modulus} = {factor} * {modulus // factor}; "
        "write a prime, or another operation"
    )


Modulus = Annotated[int, whole_number(2, 1000)]  # at most a million equations
PrimeModulus = Annotated[Modulus, AfterValidator(require_prime)]
