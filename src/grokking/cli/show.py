"""`grokking show`: one run, its configuration, its events and its curve."""

import json
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from grokking.cli import completion

if TYPE_CHECKING:
    from grokking.api.checkout import Checkout
    from grokking.api.recipe import Config
    from grokking.api.run import Run


def show(
    name: Annotated[
        str, typer.Argument(help="An experiment or a run of your own.", autocompletion=completion.runs)
    ],
) -> None:
    """Show a run: every value and where it was written, the events of each seed, the curve, the files.

    Examples:

      grokking show wide_mlp

      grokking show demo
    """
    from grokking.api.checkout import here
    from grokking.api.keys import flat
    from grokking.api.loading import load, of_experiment, read_config
    from grokking.cli.result import show_result
    from grokking.cli.terminal import console, table
    from grokking.storage import runs

    screen, checkout = console(), here()
    is_own = name not in checkout.catalogue.names("experiments")
    run = load(name) if is_own else of_experiment(checkout, name)
    asked = read_config(run.folder.parent) if is_own else {"experiment": name, "changes": {}}
    rows = [(key, value, _origin(checkout, asked, key)) for key, value in flat(run.config).items()]
    replicas = run.replicas() if runs.exists(run.folder) else None
    screen.print(table(("key", "value", "written in"), rows))
    if replicas is None:
        stage = f"not trained yet: `dvc repro train@{name}`, or `grokking run {name}`"
        message = f"not trained to its end: go on with `{_command(run, asked)}`" if is_own else stage
        screen.print(message, soft_wrap=True)
        return
    columns = ("seed", "split_seed", "memorization_step", "generalization_step", "steps_run", "seconds")
    cells = [[_cell(value) for value in row] for row in replicas[list(columns)].itertuples(index=False)]
    screen.print(table([column.replace("_", " ") for column in columns], cells))
    show_result(run, screen)
    if is_own and len(replicas) < run.asked:
        missing = f"{len(replicas)} of {run.asked} networks are trained to their end"
        screen.print(f"{missing}: go on with `{_command(run, asked)}`", soft_wrap=True)
    for path in (run.folder, run.networks, run.committed):
        if path is not None and path.exists():
            screen.print(f"files: {checkout.shown(path)}", soft_wrap=True)


def _command(run: "Run", asked: "Config") -> str:
    """What began an own run, or goes on with it."""
    begun = asked["experiment"] or str(run.folder.parent / "config.yaml")
    changes = [f"{key}={json.dumps(value)}" for key, value in asked["changes"].items()]
    seeds = str(len(run.config["replicas"]["seeds"]))
    return shlex.join(["grokking", "run", begun, *changes, "--seeds", seeds, "--name", run.name])


def _origin(checkout: "Checkout", asked: "Config", key: str) -> str:
    """Where a value was written."""
    if key in asked["changes"]:
        return "the command"
    experiment = asked["experiment"]
    if experiment not in checkout.catalogue.names("experiments"):
        return ""
    if not key.startswith("task."):
        return checkout.catalogue.origin(f"experiments.{experiment}.{key}")
    task = asked["changes"].get("task.name", checkout.catalogue.entry("experiments", experiment)["task"])
    if key == "task.name":
        return checkout.catalogue.origin(f"experiments.{experiment}.task")
    return checkout.catalogue.origin(f"tasks.{task}{key.removeprefix('task')}")


def _cell(value: float) -> str:
    """A step or seconds; a dash for what did not happen."""
    if value is None or value != value:
        return "—"
    return f"{value:,.1f}" if value != int(value) else f"{int(value):,}"
