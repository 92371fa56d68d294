"""`make readme`: put the tables of the reports into README.md, which no stage writes.

A table goes between the lines `<!-- table of reports/x.md -->` and `<!-- end of table -->`.
"""

import posixpath
import re
from pathlib import Path

from grokking.config import ConfigError
from pipelines.common.stage import run

README = Path("README.md")
MARKED = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main() -> None:
    README.write_text(with_tables(README.read_text(encoding="utf-8"), Path()), encoding="utf-8")


def with_tables(text: str, root: Path) -> str:
    """The page with each marked table as its report under `root` has it."""
    return MARKED.sub(lambda found: found[1] + table_of(root, found[2]) + found[3], text)


def table_of(root: Path, page: str) -> str:
    """The first table of a markdown page, with its links from the root instead of the page's folder."""
    file = root / page
    if not file.exists():
        raise ConfigError(f"{page} does not exist; run the stage that writes it first")
    found = re.search(r"^(\|.*\n)+", file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ConfigError(f"{page} has no table")
    folder = posixpath.dirname(page)
    return re.sub(r"\]\((?!\w+:)", f"]({folder}/", found[0])


if __name__ == "__main__":
    run(main)
