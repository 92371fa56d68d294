"""`grokking compare`: runs side by side."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from grokking.cli import completion

if TYPE_CHECKING:
    import pandas as pd

    from grokking.api.run import Run
    from grokking.cli.chart import Curve


def compare(
    names: Annotated[
        list[str],
        typer.Argument(help="Experiments or runs of your own, two or more.", autocompletion=completion.runs),
    ],
) -> None:
    """Compare runs: the values in which they differ, their results, and one chart of validation accuracy.

    Examples:

      grokking compare embedding_mlp embedding_mlp_no_decay

      grokking compare wide_mlp mine shared_mlp_f30
    """
    from grokking.analysis.results import best_of_grid, without_sections
    from grokking.api.loading import load
    from grokking.cli.chart import chart
    from grokking.cli.terminal import console, table
    from grokking.config import ConfigError

    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError("name two or more different runs, such as `grokking compare wide_mlp mine`")
    screen, runs = console(), [load(name) for name in names]
    best = [best_of_grid(run.replicas()) for run in runs]
    shown = [replicas for _, replicas in best]
    screen.print(table(("", *names), _differences(runs)))
    screen.print(table(("", *names), _results(shown)))
    for name, (point, _) in zip(names, best, strict=True):
        if point:
            screen.print(f"{name} is a grid; its best point is shown: {without_sections(point)}")
    curves = [curve for n, run in enumerate(runs) for curve in _validation(n, run, shown[n])]
    screen.print("validation accuracy", style="bold")
    screen.print(chart(curves, screen))


def _differences(runs: "list[Run]") -> list[list[Any]]:
    """A row per key whose values are not all equal."""
    from grokking.api.keys import flat

    configs = [flat(run.config) for run in runs]
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = [[key, *(config.get(key, "—") for config in configs)] for key in keys]
    return [row for row in rows if any(value != row[1] for value in row[2:])]


def _results(shown: "list[pd.DataFrame]") -> list[list[Any]]:
    """What became of the replicas of each run."""
    from grokking.analysis.results import generalized_text, in_steps, median_and_range, ratio_text, summary

    found = [summary(replicas) for replicas in shown]
    seconds = [replicas["seconds"].median() for replicas in shown]
    return [
        ["replicas that generalized", *(generalized_text(s) for s in found)],
        ["memorized, median step", *(in_steps(s["median_memorization_step"]) for s in found)],
        ["generalized, median step", *map(median_and_range, found)],
        ["ratio, median", *(ratio_text(s["median_ratio"]) for s in found)],
        ["replicas that grokked", *(f"{s['grokked']} of {s['n']}" for s in found)],
        ["training, median seconds", *(f"{value:.1f}" for value in seconds)],
    ]


def _validation(position: int, run: "Run", replicas: "pd.DataFrame") -> "list[Curve]":
    """The validation accuracy of a run's replicas, in one colour."""
    from grokking.cli.chart import STYLES, Curve

    letter, style = chr(ord("A") + position % 26), STYLES[position % len(STYLES)]
    history = run.history()
    later = history[(history["step"] >= 1) & history["replica"].isin(replicas["replica"])]
    return [
        Curve(run.name, letter, style, own["step"].tolist(), own["validation_accuracy"].tolist())
        for _, own in later.groupby("replica")
    ]
