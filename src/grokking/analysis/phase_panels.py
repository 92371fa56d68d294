"""A sweep's phases as tables of the HTML report: one per value of its first axis, a square per cell."""

from collections.abc import Mapping, Sequence
from typing import Any

from grokking.analysis.phases import PHASES
from grokking.analysis.results import short, value_text

Cell = Mapping[str, Any]


def panels(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Heading, the values across and the lines of each panel; `sweep` as `report_sweep` wrote its numbers."""
    *outer, down, across = sweep["axes"]
    cells = sweep["cells"]
    headings = _values(cells, outer[0]) if outer else [None]
    return [
        {
            "heading": f"{short(outer[0])} {value_text(value)}" if outer else "",
            "across": short(across),
            "down": short(down),
            "columns": [value_text(x) for x in _values(cells, across)],
            "lines": _lines([c for c in cells if not outer or c[outer[0]] == value], down, across),
        }
        for value in headings
    ]


def _lines(cells: Sequence[Cell], down: str, across: str) -> dict[str, list[dict[str, str]]]:
    """The squares of each line, the highest value first."""
    ordered = sorted(cells, key=lambda cell: cell[across])
    return {
        value_text(value): [_square(cell) for cell in ordered if cell[down] == value]
        for value in reversed(_values(cells, down))
    }


def _square(cell: Cell) -> dict[str, str]:
    """Colour, the number in it, and what the pointer shows."""
    step = cell["median_step"]
    ends = "–".join("∞" if cell[end] is None else f"{cell[end]:,.0f}" for end in ("low", "high"))
    when = "" if step is None else f", step {step:,.0f} ({ends})"
    return {
        "phase": f"phase-{list(PHASES).index(cell['phase'])}",
        "text": "" if step is None else f"{step:,.0f}",
        "says": f"{cell['phase']}: {cell['generalized']} of {cell['n']} generalized{when}",
    }


def _values(cells: Sequence[Cell], axis: str) -> list[Any]:
    return sorted({cell[axis] for cell in cells})
