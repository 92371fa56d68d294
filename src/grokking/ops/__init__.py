"""Fast passes, each beside its plain twin and chosen by one switch, `use`."""

from grokking.ops.switch import is_fast, use

__all__ = ["is_fast", "use"]
