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
    "zoo": "grokking.zoo",  # a module itself
}


def __getattr__(name: str) -> Any:
    if name not in OFFERED:
        known = ", ".join(OFFERED)
        raise AttributeError(f"module 'grokking' has no attribute {name!r}; it offers {known}")
    module = import_module(OFFERED[name])
    return module if OFFERED[name] == f"grokking.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(OFFERED)
