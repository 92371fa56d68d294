"""The Python interface: `grokking.load(name)`, `grokking.train(name, key=value)`, and what they return.

Nothing is imported before it is asked for, so that `import grokking` takes no time.
"""

from importlib import import_module
from typing import Any

OFFERED = {
    "load": "grokking.api.loading",
    "train": "grokking.api.training",
    "Run": "grokking.api.run",
    "Prediction": "grokking.api.run",
    "ConfigError": "grokking.config",
}


def __getattr__(name: str) -> Any:
    if name not in OFFERED:
        known = ", ".join(OFFERED)
        raise AttributeError(f"module 'grokking' has no attribute {name!r}; it offers {known}")
    return getattr(import_module(OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted(OFFERED)
