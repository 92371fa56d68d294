"""A file that appears as a whole: who is killed while writing it leaves the earlier one, or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Where to write the file, beside its place; it moves there at the end. For one writer at a time."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    yield unfinished
    unfinished.replace(file)
