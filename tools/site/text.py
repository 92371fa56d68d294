"""What the site changes in the Markdown of pages that are also read in the repository."""

import re
from collections.abc import Callable

FENCE = re.compile(r"(^ {0,3}```.*?^ {0,3}```[ ]*$)", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)


def outside_of_code(text: str, change: Callable[[str], str]) -> str:
    """The text with a change of all that is in no block of code."""
    parts = FENCE.split(text)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def without_comments(text: str) -> str:
    """Marks for programs are no part of the page; a table needs an empty line before it."""
    return COMMENT.sub("\n", text)


def with_graphs(text: str) -> str:
    """Graphs of stages as tables, since drawing them takes a script from elsewhere."""
    return MERMAID.sub(lambda found: _table(found[1]), text)


def _table(graph: str) -> str:
    names = dict(re.findall(r'(\w+)\["(.+?)"\]', graph))
    edges = re.findall(r"(\w+)-->(\w+)", graph)
    lines = ["| stage | reads what these write |", "|:--|:--|"]
    for node, name in names.items():
        before = ", ".join(f"`{names[one]}`" for one, other in edges if other == node)
        lines.append(f"| `{name}` | {before} |")
    return "\n".join([*lines, ""])
