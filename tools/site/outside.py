"""Files of the repository that the site has besides docs/: reports, notebooks, changelog.

A page keeps its path from the root, so a link from docs/ to `../reports/x.md` becomes one to `reports/x.md`.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = "docs"
FOLDERS = ("reports", "notebooks")
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
SHOWN = {".md", ".html", ".png", ".svg", ".ipynb"}
LINK = re.compile(r"(\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s#:]+)(#[^)\s]*)?\)")
HREF = re.compile(r'href="([^":#]+)\.md([#"])')


def files() -> list[str]:
    """Their paths from the root."""
    below = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    shown = [str(path.relative_to(ROOT)) for path in below if path.suffix in SHOWN]
    return [*shown, *(page for page in PAGES if (ROOT / page).exists())]


def address(path: str) -> str | None:
    """Where a file of the repository is in the site's sources; None where it is not."""
    inside, _, rest = path.partition("/")
    if inside == DOCS:
        return rest
    return page(path) if path in PAGES or inside in FOLDERS else None


def page(path: str) -> str:
    """A notebook is shown as a page."""
    return path.replace(".ipynb", ".md")


def source(address: str) -> str:
    """The other way: the file in the repository, from the root."""
    is_outside = address in PAGES or address.partition("/")[0] in FOLDERS
    return address if is_outside else f"{DOCS}/{address}"


def with_links(text: str, place: str) -> str:
    """A page's text with links as the site has them; a link to a file that it has not becomes plain text."""

    def changed(found: re.Match[str]) -> str:
        label, target, anchor = found[1], found[2], found[3] or ""
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(source(place)), target))
        to = address(meant)
        if to is None:
            return label[1:-1]
        return f"{label}({posixpath.relpath(to, posixpath.dirname(place) or '.')}{anchor})"

    return LINK.sub(changed, text)


def html_with_links(text: str) -> str:
    """A page that is HTML already, with links to other pages as they are built; browsers ask for no icon."""
    text = text.replace("<head>", '<head><link rel="icon" href="data:,">', 1)
    return HREF.sub(lambda found: f'href="{found[1].replace("../docs/", "../")}.html{found[2]}', text)
