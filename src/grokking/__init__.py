"""Grokking laboratory: networks that memorize a small algebraic table and generalize long after."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """What `grokking.api` offers, such as `grokking.load`; by name, since no stage depends on it."""
    return getattr(import_module("grokking.api"), name)
