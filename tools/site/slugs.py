"""Anchors of headings, as code hosts make them, so that one link serves both."""

import re


def slug(heading: str, separator: str = "-") -> str:
    """`What DVC shows` -> `what-dvc-shows`: letters, digits and hyphens; every space becomes a hyphen."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)
