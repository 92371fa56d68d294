"""Where results are, from the root of a checkout. Training depends on this file; reports have their own.

Tables are in git, under results/. Snapshots of networks are large: they are in DVC's cache or stay here.
"""

import os
from pathlib import Path

REPOSITORY = Path(os.environ.get("DVC_ROOT", ""))  # also from a DVC experiment's temporary copy of it
RESULTS = Path("results")
SPLITS = RESULTS / "splits"  # of each task
RUNS = RESULTS / "runs"  # of each experiment, in the folder of its group
DIAGNOSTICS = RESULTS / "diagnostics"  # of each experiment, in the folder of its group
TUNED = RESULTS / "tuning"  # of each entry of `tuning`, in the folders tuning and confirmed
SEARCHES = RESULTS / "search"  # of each study
CONFIRMED = RESULTS / "confirm"  # of each study, a folder per arm
SWEEPS = RESULTS / "sweeps"  # of each sweep
SNAPSHOTS = Path("artifacts/snapshots")  # of each experiment's replicas, by group
# No outputs, which DVC would delete at each start: searches and runs under way go on from them.
STUDIES = REPOSITORY / "studies"  # Optuna's own storage of each study
CHECKPOINTS = REPOSITORY / ".checkpoints"
