"""What a run has come to: a curve, the sentence, and where its files are."""

import sys

from rich.console import Console

from grokking.analysis.sentences import sentences
from grokking.api.checkout import here
from grokking.api.run import Run
from grokking.api.training import OwnRun
from grokking.cli.chart import accuracies, chart
from grokking.identifiability import warning
from grokking.storage.task_files import describe


def show_result(run: Run, screen: Console) -> None:
    """The curve, a sentence per replica, the figure's path."""
    screen.print(chart(accuracies(run.history()), screen))
    screen.print()
    for sentence in sentences(run.replicas()):
        screen.print(sentence, style="bold")
    if run.figure.exists():
        screen.print(f"curves: {here().shown(run.figure)}", soft_wrap=True)


def warn_of_split(own: OwnRun) -> None:
    """Tell of a training set that does not determine the operation, as the stages do."""
    if text := warning(describe(own.task)):
        print(f"warning: {own.folder.name}: {text}", file=sys.stderr)
