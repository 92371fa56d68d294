"""`grokking search`: look for hyperparameters with which a task is generalized on in few steps."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grokking.cli import completion
from grokking.config import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from grokking.api.searching import TaskSearch
    from grokking.search.study import SharedStudy

EVERY_SECONDS = 30  # between two lines where the output is no terminal


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
            metavar="[KEY=VALUE]...", help="Changed values of the task.", autocompletion=completion.keys
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="For how long new trials begin.")] = 10.0,
) -> None:
    """Search hyperparameters of a one-layer network for the fewest steps to generalization on a task.

    Each trial is judged by a tenth of the equations, on up to three seeds. Trials under way at the end of the
    time are finished. The same command goes on with the search.

    Examples:

      grokking search division_97_f50 --minutes 30

      grokking search addition_97_f50 modulus=59 train_fraction=0.4
    """
    if not 0 < minutes < 100_000:
        raise ConfigError(f"`--minutes` must be above 0, but got {minutes}")
    from grokking.api.keys import parse_all
    from grokking.api.searching import plan_search
    from grokking.cli.terminal import console

    screen, asked = console(), plan_search(task, parse_all(changes or []))
    searched = ", ".join(asked.plan.config.space)
    screen.print(f"{asked.section['name']}: searching {searched} for {minutes:g} minutes", soft_wrap=True)
    with _Progress(asked, 60 * minutes, screen) as progress:
        study = asked.run(60 * minutes, progress.show)
    _tell(asked, study, screen)


class _Progress:
    """Trials, the best so far, the time left: a line that is redrawn on a terminal."""

    def __init__(self, asked: "TaskSearch", seconds: float, screen: "Console") -> None:
        self.asked, self.end, self.screen = asked, time.monotonic() + seconds, screen
        self.told = time.monotonic()
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
        elif time.monotonic() - self.told >= EVERY_SECONDS:
            self.told = time.monotonic()
            self.screen.print(self._line(study), soft_wrap=True)

    def _line(self, study: "SharedStudy") -> str:
        best, left = self.asked.best_steps(study), int(self.end - time.monotonic())
        found = "none generalized yet" if best is None else f"best so far {best:,.0f} steps"
        over = f"{left // 60}:{left % 60:02} left" if left > 0 else "finishing the last trials"
        return f"{study.known.ended} trials, {found}; {over}"


def _tell(asked: "TaskSearch", study: "SharedStudy", screen: "Console") -> None:
    """What was found, how to confirm it, how to look at it."""
    from grokking.cli.terminal import table

    shown, best = asked.checkout.shown, asked.best(study)
    if best is None:
        screen.print(f"{len(study.ended())} trials, none of which generalized with all seeds; search longer")
    else:
        screen.print(
            f"{len(study.ended())} trials; the best is number {best['trial']}: "
            f"{best['searched_cost']:,.0f} steps, the median of its seeds",
            style="bold",
        )
        screen.print(
            table(("key", "value"), [(k, _short(v)) for k, v in _with_decay(best["values"]).items()])
        )
        file = asked.save(best["values"])
        command = f"grokking run {shown(file)} --name {asked.plan.name}"
        screen.print(f"confirm it on ten fresh seeds and splits:  {command}", soft_wrap=True)
        screen.print("that also tells whether it groks: a fast recipe often generalizes as it memorizes")
    screen.print(f"look at all trials:  optuna-dashboard {shown(asked.journal)}", soft_wrap=True)


def _with_decay(values: Mapping[str, Any]) -> dict[str, Any]:
    """The weight decay beside the rate of decay that was searched: learning rate times weight decay."""
    rate, decay = "optimizer.learning_rate", "optimizer.decay_rate"
    if not {rate, decay} <= values.keys():
        return dict(values)
    return {**values, "optimizer.weight_decay": values[decay] / values[rate]}


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
