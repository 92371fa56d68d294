"""What the shell offers at a press of the tab key."""

import typer

from grokking.config import ConfigError


def experiments(incomplete: str) -> list[str]:
    """Names of experiments."""
    from grokking.api.checkout import here

    try:
        names = here().catalogue.names("experiments")
    except ConfigError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def runs(incomplete: str) -> list[str]:
    """Names of experiments and of own runs."""
    from grokking.api.checkout import here

    try:
        own = here().own_runs()
    except ConfigError:
        return []
    return [*experiments(incomplete), *(name for name in own if name.startswith(incomplete))]


def tasks(incomplete: str) -> list[str]:
    """Names of tasks."""
    from grokking.api.checkout import here

    try:
        names = here().catalogue.names("tasks")
    except ConfigError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def keys(ctx: typer.Context, incomplete: str) -> list[str]:
    """Keys of the experiment that stands before, each with `=`; short where that is unique."""
    from grokking.api.checkout import here
    from grokking.api.keys import flat, short_names

    try:
        catalogue = here().catalogue
        entry = catalogue.entry("experiments", ctx.params["experiment"])
        entry["task"] = catalogue.entry("tasks", entry["task"])
    except (ConfigError, KeyError):
        return []
    names = short_names(flat(entry))
    return [f"{name}=" for name, meant in names.items() if len(meant) == 1 and name.startswith(incomplete)]
