"""`make readme`: put tables of the reports into README.md, and outputs of commands into docs."""

from pathlib import Path

from pipelines.common.pages import with_outputs, with_tables
from pipelines.common.stage import run

README = Path("README.md")
DOCS = Path("docs")


def main() -> None:
    README.write_text(with_tables(README.read_text(encoding="utf-8"), Path()), encoding="utf-8")
    for page in DOCS.glob("*.md"):
        page.write_text(with_outputs(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    run(main)
