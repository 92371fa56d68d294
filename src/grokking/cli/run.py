"""`grokking run`: train an experiment with changed values."""

from typing import Annotated, Any

import typer

from grokking.cli import completion
from grokking.config import ConfigError


def run(
    experiment: Annotated[
        str,
        typer.Argument(
            help="An experiment of params.yaml or extended/params.yaml, or a file with a configuration.",
            autocompletion=completion.experiments,
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changed values.", autocompletion=completion.keys),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="How many networks; 1 unless said, or all that a configuration file lists."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    name: Annotated[str | None, typer.Option(help="The run's name, by default made of the changes.")] = None,
) -> None:
    """Train an experiment with changed values, in a folder of its own under artifacts/own/.

    A key is dotted (optimizer.weight_decay), or its last part where that is unique; `steps` is the budget.
    The same command goes on with a run that was interrupted, and shows one that is there.

    Examples:

      grokking run embedding_mlp modulus=59

      grokking run wide_mlp weight_decay=0.3 train_fraction=0.4 steps=2000 --seeds 3 --name mine
    """
    from grokking.api.keys import parse_all

    parsed = parse_all(changes or [])
    _require_device(device)

    from grokking.api import training
    from grokking.cli.live import LiveRun
    from grokking.cli.result import show_result, warn_of_split
    from grokking.cli.terminal import console

    training.require_device(device)
    screen = console()
    own = training.plan(_read(experiment), parsed, seeds, name)
    todo = own.unfinished()
    warn_of_split(own)
    if todo:
        screen.print(f"{own.folder.name}: {len(todo)} to train, at most {todo[0].config.budget:,} steps each")
    else:
        screen.print(f"{own.folder.name}: trained already")
    with LiveRun(own.folder.name, todo, screen) as live:
        own.train(live.show, device)
    show_result(own.run, screen)


def _require_device(device: str | None) -> None:
    if device not in (None, "cpu", "cuda"):
        raise ConfigError(f"`--device` must be cpu or cuda, but got {device!r}")


def _read(experiment: str) -> str | dict[str, Any]:
    """A name, or the configuration in a file that `grokking search` or `grokking run` wrote."""
    if not experiment.endswith((".yaml", ".yml")):
        return experiment
    from pathlib import Path

    from grokking.catalogue import read_yaml

    file = Path(experiment).expanduser()
    if not file.exists():
        raise ConfigError(
            f"there is no file {file}; `grokking search TASK` writes artifacts/searches/TASK.yaml"
        )
    found = read_yaml(file, file)
    config = found.get("config", found) if isinstance(found, dict) else found
    if not isinstance(config, dict):
        raise ConfigError(f"{experiment} must hold a configuration, a mapping of keys, but holds {config!r}")
    return dict(config)
