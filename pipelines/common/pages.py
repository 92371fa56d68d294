"""Tables of the reports and outputs of commands, put into pages that no stage writes.

A table goes between the lines `<!-- table of reports/x.md -->` and `<!-- end of table -->`, what a command
prints between `<!-- output of command -->` and `<!-- end of output -->`.
"""

import posixpath
import re
import shlex
import subprocess
from pathlib import Path

from grokking.config import ConfigError
from pipelines.common.reports import damaged

PRINTED = re.compile(r"(<!-- output of (.+?) -->\n).*?(<!-- end of output -->)", re.DOTALL)
MARKED = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_outputs(text: str) -> str:
    """The page with what each marked command prints now."""
    return PRINTED.sub(lambda found: found[1] + printed(found[2]) + found[3], text)


def printed(command: str) -> str:
    """What a command prints, as a block of code where it does not print one itself."""
    done = subprocess.run(shlex.split(command), capture_output=True, encoding="utf-8")
    if done.returncode:
        raise ConfigError(f"`{command}` failed: {done.stderr.strip()}")
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    block = lines if lines[0].startswith("```") else ["```", *lines, "```"]
    return "\n".join([*block, ""])


def with_tables(text: str, root: Path) -> str:
    """The page with each marked table as its report under `root` has it."""
    return MARKED.sub(lambda found: found[1] + table_of(root, found[2]) + found[3], text)


def table_of(root: Path, page: str) -> str:
    """The first table of a markdown page, with its links from the root instead of the page's folder."""
    file = root / page
    if not file.exists():
        raise ConfigError(f"{page} does not exist; run the stage that writes it first")
    try:
        found = re.search(r"^(\|.*\n)+", file.read_text(encoding="utf-8"), re.MULTILINE)
    except ValueError:
        found = None
    if found is None:
        raise damaged(Path(page))
    folder = posixpath.dirname(page)
    return re.sub(r"\]\((?!\w+:)", f"]({folder}/", found[0])
