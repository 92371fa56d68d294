"""The claims that stages check before they write the numbers that these are about."""

import json
from collections.abc import Mapping
from pathlib import Path

from grokking.analysis import claims
from pipelines.common.reports import REPORTS

CLAIMS = REPORTS / "claims.yaml"


def require_claims(new: Mapping[Path, str]) -> None:
    """Stop, in one line, where a claim of reports/claims.yaml does not hold of these files' new content.

    A claim may be about other files, too, and each of the stages that write one checks it.
    """
    if not CLAIMS.exists():
        return
    known = claims.read(CLAIMS)
    files = {name: Path(file) for name, file in known.numbers.items()}
    texts = {
        name: new.get(file) or file.read_text(encoding="utf-8")
        for name, file in files.items()
        if file in new or file.exists()
    }
    numbers = {name: json.loads(text) for name, text in texts.items()}
    claims.require(known, numbers, [name for name, file in files.items() if file in new])
