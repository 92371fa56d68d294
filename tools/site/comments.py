"""Comments beside the fields of a dataclass: the unit and the meaning of each."""

import ast
import inspect
import io
import textwrap
import tokenize


def comments_of(kind: type) -> dict[str, str]:
    """By field, the comments behind it and on lines of their own before it; inherited fields too."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__[:-1]):
        found |= _own(textwrap.dedent(inspect.getsource(owner)))
    return found


def _own(source: str) -> dict[str, str]:
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    fields = [node for node in body.body if isinstance(node, ast.AnnAssign)]
    found: dict[str, list[str]] = {}
    for line, comment in _comments(source):
        field = next((f for f in fields if line <= (f.end_lineno or f.lineno)), None)
        if field is not None and isinstance(field.target, ast.Name):
            found.setdefault(field.target.id, []).append(comment)
    return {name: "; ".join(parts) for name, parts in found.items()}


def _comments(source: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = [(t.start[0], t.string.lstrip("# ")) for t in tokens if t.type == tokenize.COMMENT]
    return [(line, comment) for line, comment in found if comment != "fmt: skip"]
