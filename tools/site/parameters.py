"""Tables of every key that params.yaml can have, from the dataclasses that load it."""

import dataclasses
import re
import typing
from typing import Any

from grokking.data.tasks import TaskConfig
from grokking.experiment import ExperimentConfig, ReplicasConfig
from grokking.search.config import StudyConfig
from tools.site.comments import comments_of
from tools.site.types import members, type_and_rule

SECTIONS = {
    "tasks": TaskConfig,
    "experiments": ExperimentConfig,
    "replicas": ReplicasConfig,
    "studies": StudyConfig,
}
MARK = re.compile(r"<!-- keys of (\w+) -->")
HEAD = ["| key | type | rule | meaning |", "|:--|:--|:--|:--|"]


def with_tables(text: str) -> str:
    """A page with the tables in place of the marks `<!-- keys of SECTION -->`."""
    return MARK.sub(lambda found: markdown(SECTIONS[found[1]]), text)


def markdown(kind: type) -> str:
    """The keys of a section, and below it a table for each section inside."""
    lines, hints = [*HEAD], _hints(kind)
    inner = {name: kinds for name, hint in hints.items() if (kinds := members(hint))}
    lines += [_row(name, hint, kind) for name, hint in hints.items()]
    for name, kinds in inner.items():
        lines += ["", f"### {name}"]
        for member in kinds:
            lines += ["", *_of_member(member)]
    return "\n".join([*lines, ""])


def _of_member(kind: type) -> list[str]:
    """One of the forms of a section; the first key says which."""
    hints = _hints(kind)
    return [*HEAD, *(_row(name, hint, kind) for name, hint in hints.items())]


def _row(name: str, hint: Any, kind: type) -> str:
    if kinds := members(hint):
        what, rule = "section", f"[below](#{name})" if len(kinds) > 1 else ""
    else:
        what, rule = type_and_rule(hint)
    cells = (f"`{name}`", what, rule, comments_of(kind).get(name, ""))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
