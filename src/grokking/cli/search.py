"""`grokking search`: look for hyperparameters with which a task is generalized on in few steps."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grokking.cli import completion
from grokking.config import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from grokking.api.searching import Confirmation, TaskSearch
    from grokking.api.training import OwnRun
    from grokking.search.study import SharedStudy

EVERY_SECONDS = 30  # between two lines where the output is no terminal
OPTIONS = {"family", "minutes"}


def search(
    task: Annotated[
        str,
        typer.Argument(
            help="A task of params.yaml or extended/params.yaml.", autocompletion=completion.tasks
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Changed values of the task, or of all trials: a key that is set is not searched.",
            autocompletion=completion.keys,
        ),
    ] = None,
    family: Annotated[
        str,
        typer.Option(
            help="The family of networks: one that an entry of `studies` trains.",
            autocompletion=completion.families,
        ),
    ] = "one_hot_mlp",
    minutes: Annotated[
        float, typer.Option(help="For how long. Confirming three seeds may take longer.")
    ] = 10.0,
) -> None:
    """Search hyperparameters for the fewest steps to generalization on a task, and confirm the best.

    Each trial is judged by a tenth of the equations, on up to three seeds. The best is then trained on fresh
    seeds and splits, ten where they fit into the time, and judged by all equations. The same command
    continues the search.

    Examples:

      grokking search division_97_f50 --family transformer --minutes 30

      grokking search addition_97_f50 train_fraction=0.4 model.hidden_widths=[1024]
    """
    if not 0 < minutes < 100_000:
        raise ConfigError(f"`--minutes` must be above 0 and below 100,000, but got {minutes}")
    from grokking.api.keys import parse_all
    from grokking.api.search_plan import plan_search
    from grokking.cli.terminal import console

    deadline = time.monotonic() + 60 * minutes
    parsed = parse_all(changes or [])
    for option in OPTIONS & parsed.keys():
        raise ConfigError(f"`{option}` is an option of a search; write `--{option} {parsed[option]}`")
    screen, asked = console(), plan_search(task, parsed, family)
    searched = ", ".join(asked.plan.config.space)
    screen.print(f"{asked.section['name']}: searching {searched} for {minutes:g} minutes", soft_wrap=True)
    with _Progress(asked, deadline, screen) as progress:
        study = asked.run(deadline, progress.show)
    found = asked.confirmation(study, deadline)
    _print_found(study, None if found is None else found.best, len(asked.plan.config.initial_points), screen)
    if found is not None:
        _print_too_slow(found, screen)
        _confirm(asked, found.run, screen)
    screen.print(
        f"look at all trials:  optuna-dashboard {asked.checkout.shown(asked.journal)}", soft_wrap=True
    )


class _Progress:
    """Trials, the best so far, the time left: a line that is redrawn on a terminal."""

    def __init__(self, asked: "TaskSearch", deadline: float, screen: "Console") -> None:
        self.asked, self.deadline, self.screen = asked, deadline, screen
        self.printed = time.monotonic()
        self.status = screen.status("beginning") if screen.is_terminal else None

    def __enter__(self) -> "_Progress":
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status:
            self.status.stop()

    def show(self, study: "SharedStudy") -> None:
        if self.status:
            self.status.update(self._line(study))
        elif time.monotonic() - self.printed >= EVERY_SECONDS:
            self.printed = time.monotonic()
            self.screen.print(self._line(study), soft_wrap=True)

    def _line(self, study: "SharedStudy") -> str:
        best, left = self.asked.best_steps(study), int(self.deadline - time.monotonic())
        found = "none generalized yet" if best is None else f"best so far {best:,.0f} steps"
        over = f"{left // 60}:{left % 60:02} left" if left > 0 else "finishing the last trials"
        return f"{study.known.ended} trials, {found}; {over}"


def _print_found(study: "SharedStudy", best: Mapping[str, Any] | None, given: int, screen: "Console") -> None:
    """What was found; the first `given` trials are points that earlier searches had found."""
    from grokking.cli.terminal import table

    trials = len(study.ended())
    if best is None:
        screen.print(f"{trials} trials, none of which generalized for good with all seeds; search longer")
        return
    cost = f"{best['searched_cost']:,.0f} steps, the median of its seeds"
    origin = ", which an earlier search had found" if best["trial"] < given else ""
    screen.print(f"{trials} trials; the best is number {best['trial']}{origin}: {cost}", style="bold")
    rows = [(key, _short(value)) for key, value in _with_decay(best["values"]).items()]
    screen.print(table(("key", "value"), rows))


def _print_too_slow(found: "Confirmation", screen: "Console") -> None:
    """Name a trial of fewer steps for which there was no time."""
    if found.too_slow is not None:
        trial, steps = found.too_slow["trial"], found.too_slow["searched_cost"]
        text = f"number {trial} takes {steps:,.0f} steps, but there is no time left to confirm it"
        screen.print(f"{text}; search longer", soft_wrap=True)


def _confirm(asked: "TaskSearch", own: "OwnRun", screen: "Console") -> None:
    """Train the best on fresh seeds, and tell how to go on with it."""
    from grokking.cli.live import LiveRun
    from grokking.cli.result import show_result

    screen.print(f"confirming it on {len(own.replicas)} fresh seeds and splits, with all equations")
    with LiveRun(own.folder.name, own.unfinished(), screen) as live:
        own.train(live.show)
    show_result(own.run, screen)
    shown = asked.checkout.shown(asked.found)
    screen.print(
        f"to train the recipe, with KEY=VALUE where you change it:  grokking run {shown}", soft_wrap=True
    )


def _with_decay(values: Mapping[str, Any]) -> dict[str, Any]:
    """The weight decay beside the rate of decay that was searched: learning rate times weight decay."""
    rate, decay = "optimizer.learning_rate", "optimizer.decay_rate"
    if not {rate, decay} <= values.keys():
        return dict(values)
    return {**values, "optimizer.weight_decay": values[decay] / values[rate]}


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
