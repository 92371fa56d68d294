"""Formulas as MathML, which browsers draw by themselves: no script, no font."""

import html
import re

from latex2mathml.converter import convert

MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def with_formulas(page: str) -> str:
    """The page's HTML with MathML where arithmatex has marked LaTeX."""
    return MARKED.sub(_formula, page)


def _formula(found: re.Match[str]) -> str:
    tag, kind, latex = found.groups()
    mathml = convert(html.unescape(latex).strip(), display="block" if kind == "[" else "inline")
    return f'<{tag} class="formula">{mathml}</{tag}>'
