"""Where reports are, and what lies in the folders of diagnostics and studies."""

from pathlib import Path

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
