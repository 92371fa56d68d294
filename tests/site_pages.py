"""The pages of the site as files: their order, their headings and their links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tools.site.slugs import slug

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^ {0,3}```.*?^ {0,3}```[ ]*$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def navigation() -> list[str]:
    """Every file that mkdocs.yml names, in order."""
    return list(_leaves(YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"]))


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for below in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(below)


def file_of(named: str) -> Path:
    """A page of docs/, or another file by its path from the root."""
    return DOCS / named if (DOCS / named).exists() else ROOT / named


def prose(page: Path) -> str:
    """The text outside of blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Those of its headings; of a reference also the names that docstrings are taken from."""
    return {slug(_plain(heading)) for heading in HEADING.findall(prose(page))}


def _plain(heading: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")


def section(page: Path, anchor: str) -> str:
    """The text below a heading, up to the next one of any level."""
    text = page.read_text(encoding="utf-8")
    parts = re.split(
        r"^#+ (.+)$", FENCE.sub(lambda block: block[0].replace("\n#", "\n"), text), flags=re.MULTILINE
    )
    by_anchor = {slug(_plain(title)): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}
    return by_anchor[anchor]


def links(page: Path) -> list[str]:
    """Links to other files of the repository or to headings."""
    text = re.sub(r"`[^`\n]+`", "``", prose(page))
    return [target for target in LINK.findall(text) if not re.match(r"\w+:", target)]
