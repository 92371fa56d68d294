"""A run under way: both accuracies, a sparkline of each, the step and the time left."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from grokking.cli.chart import Curve, chart, sparkline
from grokking.cli.terminal import TRAIN, VALIDATION, table
from grokking.experiment import Replica
from grokking.training.records import Evaluation

EVERY_SECONDS = 30  # between two lines where the output is no terminal
ROWS = 12  # replicas shown at most


class LiveRun:
    """Shows evaluations: redrawn on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str, replicas: Sequence[Replica], console: Console) -> None:
        self.name, self.console = name, console
        self.replicas = {replica.index: replica for replica in replicas}
        self.seen: dict[int, list[Evaluation]] = {index: [] for index in self.replicas}
        self.started = self.printed = time.monotonic()
        self.kept: dict[int, int] = {}  # the last step that an earlier call has trained, by replica
        self.live = Live(get_renderable=self._shown, console=console, refresh_per_second=3, transient=True)

    def __enter__(self) -> "LiveRun":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def show(self, evaluation: Evaluation) -> None:
        """Take one more evaluation into the display."""
        self.seen[evaluation.replica].append(evaluation)
        if evaluation.seconds > time.monotonic() - self.started:
            self.kept[evaluation.replica] = evaluation.step
        if not self.console.is_terminal and time.monotonic() - self.printed >= EVERY_SECONDS:
            self.printed = time.monotonic()
            self.console.print(self._line(evaluation), soft_wrap=True)

    def _line(self, evaluation: Evaluation) -> str:
        metrics = evaluation.metrics
        return (
            f"{self.name}, seed {self.replicas[evaluation.replica].seed}: step {evaluation.step:,}, "
            f"train {metrics['train_accuracy']:.1%}, validation {metrics['validation_accuracy']:.1%}; "
            f"{self._time_left()}"
        )

    def _time_left(self) -> str:
        """From the speed so far, were every replica to use its budget; most end long before."""
        made = sum(self._step(index) - self.kept.get(index, 0) for index in self.replicas)
        left = sum(self._steps_left(index) for index in self.replicas)
        if made == 0 or left == 0:
            return "almost done" if left == 0 else "beginning"
        seconds = (time.monotonic() - self.started) * left / made
        return f"at most {int(seconds) // 60}:{int(seconds) % 60:02} left"

    def _step(self, index: int) -> int:
        return self.seen[index][-1].step if self.seen[index] else 0

    def _steps_left(self, index: int) -> int:
        finished = self.seen[index] and self.seen[index][-1].finished
        return 0 if finished else max(0, self.replicas[index].config.budget - self._step(index))

    def _shown(self) -> RenderableType:
        rows = [self._row(index) for index in list(self.replicas)[:ROWS]]
        head = ("seed", "step", "train", "", "validation", " ")
        curves = [curve for part in ("train", "validation") for curve in self._curves(part)]
        return Group(
            Text(f"{self.name}: {self._time_left()}", "bold"),
            table(head, rows, right=("seed", "step", "train", "validation")),
            chart(curves, self.console),
        )

    def _row(self, index: int) -> list[str]:
        replica, seen = self.replicas[index], self.seen[index]
        cells = [str(replica.seed), f"{seen[-1].step:,}" if seen else "0"]
        for part in ("train", "validation"):
            values = [evaluation.metrics[f"{part}_accuracy"] for evaluation in seen]
            cells += [f"{values[-1]:.1%}" if values else "", sparkline(values)]
        return cells

    def _curves(self, part: str) -> list[Curve]:
        style = TRAIN if part == "train" else VALIDATION
        found = []
        for seen in self.seen.values():
            later = [e for e in seen if e.step >= 1]
            values = [e.metrics[f"{part}_accuracy"] for e in later]
            found.append(Curve(part, part[0], style, [e.step for e in later], values))
        return found
