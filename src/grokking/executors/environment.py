"""Numbers in environment variables. A wrong one raises ConfigError."""

import math
import os

from grokking.config import ConfigError


def positive(variable: str, default: int) -> int:
    """A whole number of at least 1."""
    written = os.environ.get(variable, str(default))
    if not written.isdecimal() or len(written) > 9 or int(written) < 1:
        raise ConfigError(f"{variable} must be a whole number of at least 1, but got {written[:40]!r}")
    return int(written)


def seconds(variable: str, default: float) -> float:
    """A number of seconds from 0 on."""
    written = os.environ.get(variable, str(default))
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise ConfigError(f"{variable} must be a number of seconds from 0 on, but got {written!r}")
    return number
