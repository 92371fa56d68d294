"""Curves in the terminal: accuracy over a logarithmic axis of steps, and sparklines."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.text import Text

from grokking.cli.terminal import TRAIN, VALIDATION

BARS = "▁▂▃▄▅▆▇█"
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character, by row and column
BRAILLE = 0x2800
MARGIN = 7  # columns for the labels of the vertical axis
STYLES = (TRAIN, VALIDATION, "green", "magenta", "cyan", "yellow")


@dataclass(frozen=True)
class Curve:
    """Values in [0, 1] at steps of at least 1; without colours it is drawn with its letter."""

    label: str
    letter: str
    style: str
    steps: Sequence[float]
    values: Sequence[float]


def accuracies(history: pd.DataFrame) -> list[Curve]:
    """Both accuracies of every replica."""
    found = []
    for part, style in (("train", TRAIN), ("validation", VALIDATION)):
        for _, own in history.groupby("replica"):
            later = own[own["step"] >= 1]
            values = later[f"{part}_accuracy"].tolist()
            found.append(Curve(part, part[0], style, later["step"].tolist(), values))
    return found


def chart(curves: Sequence[Curve], console: Console, height: int = 12, width: int = 78) -> Text:
    """Curves over log10 of the step; dots with colours, letters without."""
    columns = max(20, min(width, console.width) - MARGIN)
    last = max((max(curve.steps, default=1) for curve in curves), default=1)
    axis = _Axis(max(2.0, float(last)), columns)
    coloured = console.color_system is not None and not console.no_color and console.encoding == "utf-8"
    cells = _dots(curves, axis, height) if coloured else _letters(curves, axis, height)
    text = Text()
    for row in range(height):
        label = {0: "100 %", (height - 1) // 2: "50 %", height - 1: "0 %"}.get(row, "")
        text.append(f"{label:>5} │" if console.encoding == "utf-8" else f"{label:>5} |", "dim")
        for column in range(columns):
            text.append(*cells.get((row, column), (" ", "")))
        text.append("\n")
    text.append(axis.ticks(), "dim")
    text.append("\n" + " " * MARGIN)
    for curve in {curve.label: curve for curve in curves}.values():
        mark = "━━" if coloured else curve.letter
        text.append(f"{mark} {curve.label}   ", curve.style)
    return text.append("(accuracy over optimizer steps)", "dim")


@dataclass(frozen=True)
class _Axis:
    last: float
    columns: int

    def place(self, step: float) -> float:
        """Where a step is, in columns."""
        return math.log10(max(1.0, step)) / math.log10(self.last) * (self.columns - 1)

    def ticks(self) -> str:
        """1, 2, 5, 10 ... as far as there is room, and always the powers of ten first."""
        line = [" "] * (MARGIN + self.columns + 8)
        powers = [10**n for n in range(int(math.log10(self.last)) + 1)]
        for step in [*powers, *(k * power for power in powers for k in (2, 5))]:
            label, at = f"{step:,}", MARGIN + round(self.place(step))
            free = all(cell == " " for cell in line[max(0, at - 2) : at + len(label) + 2])
            if step <= self.last and free:
                line[at : at + len(label)] = label
        return "".join(line).rstrip()


def _points(curve: Curve, axis: _Axis, columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """Cells (row, column) of a grid that a curve passes through."""
    scale = (columns - 1) / (axis.columns - 1)
    before: tuple[int, int] | None = None
    for step, value in zip(curve.steps, curve.values, strict=True):
        if not math.isfinite(value):
            continue
        here = round((1 - min(max(value, 0.0), 1.0)) * (rows - 1)), round(axis.place(step) * scale)
        start = before or here
        count = max(abs(here[0] - start[0]), abs(here[1] - start[1]), 1)
        for i in range(count + 1):
            yield tuple(round(a + (b - a) * i / count) for a, b in zip(start, here, strict=True))  # type: ignore[misc]
        before = here


def _dots(curves: Sequence[Curve], axis: _Axis, height: int) -> dict[tuple[int, int], tuple[str, str]]:
    """A braille character has four rows of two dots; where curves meet, the later one gives the colour."""
    masks: dict[tuple[int, int], int] = {}
    styles: dict[tuple[int, int], str] = {}
    for curve in curves:
        for row, column in _points(curve, axis, 2 * axis.columns, 4 * height):
            cell = row // 4, column // 2
            masks[cell] = masks.get(cell, 0) | DOTS[row % 4][column % 2]
            styles[cell] = curve.style
    return {cell: (chr(BRAILLE + mask), styles[cell]) for cell, mask in masks.items()}


def _letters(curves: Sequence[Curve], axis: _Axis, height: int) -> dict[tuple[int, int], tuple[str, str]]:
    points = ((curve, cell) for curve in curves for cell in _points(curve, axis, axis.columns, height))
    return {cell: (curve.letter, "") for curve, cell in points}


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The latest value of each of some equal parts of a series."""
    if not values:
        return ""
    count = min(width, len(values))
    chosen = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    return "".join(BARS[min(7, int(8 * min(max(v, 0.0), 1.0)))] if v == v else " " for v in chosen)
