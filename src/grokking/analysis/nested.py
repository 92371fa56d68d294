"""Nested mappings, as entries of params are, by dotted keys."""

from collections.abc import Mapping
from typing import Any


def flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings with dotted keys; a grid stays one value."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and key != "grid":
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = dict(value) if isinstance(value, Mapping) else value
    return found
