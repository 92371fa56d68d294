"""`grokking list`: every experiment and every own run, with what it came to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grokking.api.checkout import Checkout

COLUMNS = ("experiment", "system", "published", "generalized", "time-to-grok", "ratio")
NUMBERS = COLUMNS[2:]
NOT_TRAINED, DAMAGED = ("", "not trained", ""), ("", "damaged", "")


def list_runs(
    group: Annotated[str | None, typer.Option(help="Only one group of experiments, or `own`.")] = None,
) -> None:
    """List the experiments by group with the results that are here, and your own runs.

    Published: the step of the author's own run. Time-to-grok: the median step of generalization with the
    first and last, replicas that did not generalize counted. Ratio: how much later than memorization.

    Examples:

      grokking list

      grokking list --group systems
    """
    from grokking.api.checkout import here
    from grokking.cli.terminal import console, table
    from grokking.config import ConfigError

    screen, checkout = console(), here()
    rows = _rows(checkout)
    if group is not None and group not in rows:
        raise ConfigError(f"`--group` must be one of {', '.join(rows)}, but got {group!r}")
    for name, of_group in rows.items():
        if of_group and group in (None, name):
            screen.print(name, style="bold")
            screen.print(table(COLUMNS, of_group, right=NUMBERS))


def _rows(checkout: "Checkout") -> dict[str, list[tuple[str, ...]]]:
    """By group; own runs last."""
    from grokking.analysis.published import PUBLISHED

    published = {p.experiment: p.with_threshold for p in PUBLISHED}
    published |= {p.preset: p.with_threshold for p in PUBLISHED}
    names = checkout.catalogue.names("experiments")
    groups = dict.fromkeys(map(checkout.catalogue.group, names))
    found: dict[str, list[tuple[str, ...]]] = {group: [] for group in groups}
    for name in names:
        system = str(checkout.catalogue.entry("experiments", name)["system"])
        row = (name, "" if system == "none" else system, published.get(name, ""))
        found[checkout.catalogue.group(name)].append((*row, *_outcome(checkout.tables(name))))
    return found | {"own": [(name, "", "", *_own_outcome(checkout, name)) for name in checkout.own_runs()]}


def _own_outcome(checkout: "Checkout", name: str) -> tuple[str, str, str]:
    """That of an own run, with the number of networks that an interruption has left untrained."""
    from grokking.api.loading import of_folder
    from grokking.config import ConfigError

    try:
        return _outcome(checkout.own / name / "tables", of_folder(checkout.own / name).asked)
    except ConfigError:
        return DAMAGED


def _outcome(folder: Path, asked: int | None = None) -> tuple[str, str, str]:
    """Generalized, time-to-grok and ratio; of a grid those of its best point."""
    from grokking.analysis import results
    from grokking.config import ConfigError
    from grokking.storage import runs

    if not runs.exists(folder):
        return NOT_TRAINED
    try:
        replicas = runs.read_table(folder / "replicas.parquet")
    except ConfigError:
        return DAMAGED
    best, points = results.summary(results.best_of_grid(replicas)[1]), len(results.grid_points(replicas))
    of = f", best of {points} points" if points > 1 else ""
    if asked is not None and len(replicas) < asked:
        of += f", {asked - len(replicas)} not trained"
    ratio = "" if best["median_ratio"] is None else f"{best['median_ratio']:.1f}"
    return f"{results.generalized_text(best)}{of}", results.median_and_range(best), ratio
