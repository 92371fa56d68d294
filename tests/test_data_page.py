"""docs/data.md names every column of every table that is written, with its type and its missing values."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "data.md").read_text()
TABLES = re.findall(r"<!-- columns of (.*?) -->\n\|.*\n\|.*\n((?:\|.*\n)+)", PAGE)
FOLDERS = ("results", "reports")  # what is in git
TYPES = {
    "integer": lambda column: is_whole(column) and not column.map(type).eq(bool).any(),
    "float": lambda column: column.dtype == float,
    "boolean": lambda column: column.map(lambda value: isinstance(value, bool | np.bool_)).all(),
    "text": lambda column: column.map(type).eq(str).all(),
}


def is_whole(column: pd.Series) -> bool:
    """Whole numbers, also in a column that is float since some are missing."""
    return column.map(lambda value: isinstance(value, int | np.integer | float) and value == int(value)).all()


def rows_of(text: str) -> dict[str, tuple[str, str, str]]:
    """By column its type, unit and meaning."""
    cells = [[cell.strip() for cell in row.strip("|\n").split("|")] for row in text.splitlines()]
    assert all(len(row) == 4 for row in cells)
    found = {row[0].strip("`"): tuple(row[1:]) for row in cells}
    assert len(found) == len(cells)
    return found


def row_for(column: str, rows: dict[str, tuple[str, str, str]]) -> str | None:
    """The row of a column: its own, or one with a <placeholder>."""
    if column in rows:
        return column
    patterns = {name: re.sub("<.*?>", "*", name) for name in rows if "<" in name}
    return next((name for name, pattern in patterns.items() if fnmatchcase(column, pattern)), None)


def read(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)


def files(patterns: str) -> list[Path]:
    return sorted(file for pattern in patterns.split() for file in ROOT.glob(pattern))


def test_every_table_has_its_columns_on_the_page():
    named = {file for patterns, _ in TABLES for file in files(patterns)}
    written = {
        file for name in FOLDERS for kind in ("parquet", "csv") for file in ROOT.glob(f"{name}/**/*.{kind}")
    }
    assert written == named
    assert len(named) > 100


@pytest.mark.parametrize(("patterns", "text"), TABLES, ids=[patterns.split()[0] for patterns, _ in TABLES])
def test_the_page_names_the_columns_of_the_files(patterns, text):
    rows, used = rows_of(text), set()
    for file in files(patterns):
        for column, values in read(file).items():
            row = row_for(str(column), rows)
            assert row is not None, f"{column} of {file.relative_to(ROOT)} is not on the page"
            used.add(row)
            kinds, there = rows[row][0], values[~values.isna()]
            allowed = [name for name in TYPES if name in re.split(r", | or ", kinds)]
            assert any(TYPES[name](there) for name in allowed), f"{column} of {file} is {values.dtype}"
            assert "NaN" in kinds or not values.isna().any(), f"{column} of {file} has NaN"
    assert used == set(rows), f"on the page, but in no file: {set(rows) - used}"


@pytest.mark.parametrize("folder", ["results", "artifacts", "reports", "studies", "mlruns", ".checkpoints"])
def test_every_folder_is_described(folder):
    assert re.search(rf"^\| `{re.escape(folder)}/", PAGE, re.MULTILINE)
    assert folder in (ROOT / ".gitignore").read_text() or (ROOT / folder).is_dir()


def test_files_of_an_own_run_are_described():
    from grokking.api.loading import CONFIG, CURVES, NETWORKS, TABLES

    section = PAGE.partition("## What the command writes")[2].partition("\n## ")[0]
    assert all(name in section for name in (CONFIG, CURVES, NETWORKS, TABLES))
