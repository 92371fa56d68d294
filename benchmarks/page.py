"""The report as markdown, and its place on a page of docs, one for each processor."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parents[1] / "docs"
PERFORMANCE, SEARCH = DOCS / "performance.md", DOCS / "search.md"
END = "<!-- end of benchmark -->"


@dataclass(frozen=True)
class Section:
    """A heading, a table and how to read it."""

    title: str
    table: pd.DataFrame
    note: str

    def markdown(self) -> str:
        rows = self.table.to_markdown(index=False, stralign="left", disable_numparse=True)
        return f"### {self.title}\n\n{rows}\n\n{self.note.strip()}\n"


def replaced(text: str, report: str, program: str, processor: str) -> str:
    """The page with this program's report of this processor replaced, or added at the end.

    Reports of other processors and the text around them stay.
    """
    begin = f"<!-- benchmark: python -m benchmarks.{program} on {processor} -->"
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        before, after = f"{text.rstrip()}\n\n".lstrip(), "\n"
    return f"{before}{begin}\n\n{report.strip()}\n\n{END}{after}"


def write(report: str, program: str, processor: str, page: Path = PERFORMANCE) -> None:
    text = page.read_text() if page.exists() else ""
    page.write_text(replaced(text, report, program, processor))
