"""Where artifacts are, from the root of a checkout. Training depends on this file; reports have their own."""

from pathlib import Path

SPLITS = Path("artifacts/splits")  # of each task
RUNS = Path("artifacts/runs")  # of each experiment, in the folder of its group
DIAGNOSTICS = Path("artifacts/diagnostics")  # of each experiment
TUNED = Path("artifacts/tuning")  # of each entry of `tuning`, in the folders tuning and confirmed
SEARCHES = Path("artifacts/search")  # of each study
CONFIRMED = Path("artifacts/confirm")  # of each study, a folder per arm
STUDIES = Path("studies")  # Optuna's own storage of each study; not an output, so that a search can go on
CHECKPOINTS = Path(".checkpoints")  # of runs under way; not an output, which DVC would delete at each start
