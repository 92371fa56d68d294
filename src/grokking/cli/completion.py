"""What the shell offers at a press of the tab key; nothing where the entries cannot be read."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from grokking.config import ConfigError

if TYPE_CHECKING:
    from grokking.api.checkout import Checkout


def experiments(incomplete: str) -> list[str]:
    """Names of experiments."""
    return _beginning(incomplete, lambda checkout: checkout.catalogue.names("experiments"))


def runs(incomplete: str) -> list[str]:
    """Names of experiments and of own runs."""
    return experiments(incomplete) + _beginning(incomplete, lambda checkout: checkout.own_runs())


def tasks(incomplete: str) -> list[str]:
    """Names of tasks."""
    return _beginning(incomplete, lambda checkout: checkout.catalogue.names("tasks"))


def families(incomplete: str) -> list[str]:
    """Families of networks that can be searched."""
    from grokking.api.search_plan import families

    return _beginning(incomplete, families)


def keys(ctx: typer.Context, incomplete: str) -> list[str]:
    """Keys of the experiment that stands before, each with `=`; short where that is unique."""
    return _beginning(incomplete, lambda checkout: _keys(checkout, ctx.params.get("experiment", "")))


def _keys(checkout: "Checkout", experiment: str) -> list[str]:
    from grokking.api.keys import flat, short_names

    entry = checkout.catalogue.entry("experiments", experiment)
    entry["task"] = checkout.catalogue.entry("tasks", entry["task"])
    return [f"{name}=" for name, meant in short_names(flat(entry)).items() if len(meant) == 1]


def _beginning(incomplete: str, names: Callable[["Checkout"], Iterable[str]]) -> list[str]:
    from grokking.api.checkout import here

    try:
        return [name for name in names(here()) if name.startswith(incomplete)]
    except ConfigError:
        return []
