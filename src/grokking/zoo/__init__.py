"""Trained networks that are in git: `grokking.zoo.list()`, and `grokking.zoo.load(name)` for one of them.

No training, no pickle and no network is needed. Nothing is imported before it is asked for.
"""

from importlib import import_module
from typing import Any

OFFERED = {
    "load": "grokking.zoo.collection",
    "list": "grokking.zoo.collection",
    "hooked_transformer": "grokking.zoo.lens",
    "tokens": "grokking.zoo.lens",
}


def __getattr__(name: str) -> Any:
    if name not in OFFERED:
        known = ", ".join(OFFERED)
        raise AttributeError(f"module 'grokking.zoo' has no attribute {name!r}; it offers {known}")
    return getattr(import_module(OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted(OFFERED)
