"""The terminal: its width and colours, and tables on it."""

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

from grokking.config import ConfigError

TRAIN, VALIDATION = "blue", "red"
WIDTH_OF_FILES = 120  # where the output is no terminal


def console() -> Console:
    """Standard output; colours only on a terminal, and not with NO_COLOR."""
    if sys.stdout is None:
        raise ConfigError("standard output is closed; write it to a file, or to /dev/null")
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    screen = Console(width=width, highlight=False, emoji=False, markup=False)
    if screen.width < 1:  # COLUMNS=0
        screen.width = 80
    return screen


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> Table:
    """A table with a line under its head; `right` are columns of numbers.

    In a file or a pipe the first column, of names, stays whole, so that it can be searched and copied.
    """
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        whole = column == columns[0] and not sys.stdout.isatty()
        shown.add_column(column, justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        shown.add_row(*map(str, row))
    return shown
