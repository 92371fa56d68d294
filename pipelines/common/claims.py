"""The claims that stages check before they write the numbers that these are about."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from grokking.analysis import claims
from pipelines.common.reports import REPORTS, read_json

CLAIMS = REPORTS / "claims.yaml"
CLAIMED = ("results", "params.yaml", "extended/params.yaml")  # what the claims are about


def require_claims(new: Mapping[Path, str]) -> None:
    """Stop, in one line, where a claim of reports/claims.yaml does not hold of these files' new content.

    A claim may be about other files, too, and each of the stages that write one checks it. Results that are
    not the committed ones, of another processor or of parameters that were changed, get a warning instead.
    """
    if not CLAIMS.exists():
        return
    known = claims.read(CLAIMS)
    files = {name: Path(file) for name, file in known.numbers.items()}
    numbers = {
        name: json.loads(new[file]) if file in new else read_json(file)
        for name, file in files.items()
        if file in new or file.exists()
    }
    try:
        claims.require(known, numbers, [name for name, file in files.items() if file in new])
    except claims.BrokenClaim as error:
        if are_committed():
            raise
        print(f"warning: {error}", file=sys.stderr)


def are_committed() -> bool:
    """Whether git says that results and parameters are those of the last commit."""
    try:
        done = subprocess.run(
            ["git", "status", "--porcelain", "--", *CLAIMED], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return not done.stdout
