"""What a study must have in common with an earlier one to go on with its trials, as one hash."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from grokking.search.config import StudyPlan

# Keys of a study that change no trial. Any other key begins a new study when its value changes
NOT_IN_KEY = ("trials", "sustain_seeds", "confirm", "round")
# The files of this package that decide what is tried, when it stops and what value it has. The others keep,
# share, check and show what these have done
DECIDING = (
    "config", "executor", "known_trials", "monitored_task", "objective", "pruning", "pruning_context",
    "sampler", "scheduler", "seed_job", "space", "trial_monitor", "trial_outcomes",
)  # fmt: skip


def study_key(plan: StudyPlan, core: str) -> str:
    """Hash of what decides how a trial ends: configuration, DECIDING, and what trains it (`core`)."""
    config = {name: value for name, value in asdict(plan.config).items() if name not in NOT_IN_KEY}
    written = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256((written + core + code_of_trials()).encode()).hexdigest()


@cache
def code_of_trials() -> str:
    """Hash of the code in DECIDING."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in DECIDING)).hexdigest()
