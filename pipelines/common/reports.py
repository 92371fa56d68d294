"""Where reports are, what lies in the folders of diagnostics and studies, and the metrics of DVC."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"  # that compare experiments
DRAWN = REPORTS / "experiments"  # a folder of figures for each experiment
SUMMARY = REPORTS / "summary"  # metrics of DVC, a file for each experiment
SEARCH_REPORTS = REPORTS / "search"
COMPARISONS = REPORTS / "extended"  # of each group of long runs
DIAGNOSTICS_TABLE, PORTRAIT = "diagnostics.parquet", "portrait.safetensors"
NETWORK = "network.safetensors"  # of each reproduction, after training: the replica that is portrayed
# in each study's folder: its row of the page of all studies, all its numbers, and what rules would have done
# to exempt replicas
OVERVIEW, NUMBERS, JUDGEMENTS = "overview.json", "results.json", "judgements.csv"


def write_metrics(numbers: Mapping[str, Mapping[str, Any]]) -> None:
    """A file of DVC metrics for each name, and no others: `dvc metrics show` makes each a row."""
    shutil.rmtree(SUMMARY, ignore_errors=True)
    SUMMARY.mkdir(parents=True)
    for name, values in numbers.items():
        (SUMMARY / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")
