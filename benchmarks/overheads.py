"""What a run spends beside its updates: evaluations and checkpoints."""

import json
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from benchmarks.cases import Case
from benchmarks.ours import make_stack
from benchmarks.page import Section
from benchmarks.timing import Settings, Timed, Update
from benchmarks.worker import blocking
from grokking.engine.evaluation import Evaluator, evaluate
from grokking.engine.evaluation_steps import snapshot_steps, steps_within
from grokking.engine.events import hold_end
from grokking.training.checkpoint import Checkpoint
from grokking.training.loop import train
from grokking.training.state import TrainingState

RESULTS = Path(__file__).parents[1] / "reports" / "results.json"
LONGEST_RUN = 20_000  # steps that are accounted for at most
WHOLE = 10  # evaluations of a run on every equation; three runs had 4 to 13 for each part
CHECKPOINT_SECONDS = 30.0  # training time between two checkpoints, the engine's own default

NOTE = f"""
*Steps*: to the end of the last replica's run in reports/results.json, or else the budget; at most
{LONGEST_RUN:,}. An evaluation uses samples of both parts, and every equation of a part where its sample
is inconclusive; here {WHOLE} evaluations of a run are taken to use every equation of both. *Share of the
run*: time of all evaluations in that of evaluations and steps. The checkpoint is that of the end of the run,
snapshots included; its share assumes one every {CHECKPOINT_SECONDS:.0f} s.
"""


@dataclass(frozen=True)
class Costs:
    """Seconds of a step, of an evaluation on samples, of one on every equation, and of a checkpoint."""

    step: float
    sampled: float
    whole: float
    checkpoint: float


def measure(cases: list[Case], settings: Settings) -> Section:
    """One row per case."""
    rows = [_row(case, settings) for case in cases]
    return Section("Evaluations and checkpoints", pd.DataFrame(rows), NOTE)


def run_length(case: Case) -> int:
    """Steps until the last replica's generalization was sustained, or the budget where there is no result."""
    results = json.loads(RESULTS.read_text())["experiments"] if RESULTS.exists() else {}
    last = results.get(case.name, {}).get("last_step")
    budget = case.replica.config.budget
    return min(LONGEST_RUN, budget, budget if last is None else int(hold_end(last)))


def _row(case: Case, settings: Settings) -> dict[str, str]:
    steps = run_length(case)
    evaluations = len(steps_within(steps))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder), case.name)
        costs = _costs(case, _saving(case, steps, settings.device, checkpoint), settings)
        size = checkpoint.file.stat().st_size
    evaluating = evaluations * costs.sampled + WHOLE * (costs.whole - costs.sampled)
    return {
        "case": f"`{case.name}`",
        "steps": f"{steps:,}",
        "evaluations": f"{evaluations:,}",
        "sampled, ms": f"{1e3 * costs.sampled:.2f}",
        "whole, ms": f"{1e3 * costs.whole:.1f}",
        "share of the run": f"{evaluating / (evaluating + steps * costs.step):.1%}",
        "checkpoint, ms": f"{1e3 * costs.checkpoint:.1f}",
        "its share": f"{costs.checkpoint / (CHECKPOINT_SECONDS + costs.checkpoint):.2%}",
        "its size, MB": f"{size / 1e6:.1f}",
    }


def _costs(case: Case, save: Callable[[], None], settings: Settings) -> Costs:
    """Medians over rounds in which each takes its turn."""
    stack = make_stack([case.replica], case.task, settings.device)
    every_equation = np.arange(len(case.task.equations))[None]
    updates = (
        stack.update,
        repeated(_sampled_evaluation(case, settings.device)),
        repeated(lambda: stack.measure([0], every_equation)),
        repeated(save),
    )
    timed = [Timed(blocking(update, settings.device)) for update in updates]
    rounds = [[each.seconds_per_step(settings.seconds) for each in timed] for _ in range(settings.few_rounds)]
    return Costs(*(median(column) for column in zip(*rounds, strict=True)))


def repeated(function: Callable[[], object]) -> Update:
    """The function, called count times."""

    def times(count: int) -> None:
        for _ in range(count):
            function()

    return times


def _sampled_evaluation(case: Case, device: str) -> Callable[[], object]:
    """An evaluation of an untrained network, whose accuracy on the samples leaves no event open."""
    stack = make_stack([case.replica], case.task, device)
    evaluator = Evaluator(case.replica, case.task)
    return lambda: evaluate(stack, [evaluator], 0)


def _saving(case: Case, steps: int, device: str, checkpoint: Checkpoint) -> Callable[[], None]:
    """Save a state that holds as many evaluations and snapshots as at the end of the run."""
    first = next(train([case.replica], case.task, device))
    state, snapshots = TrainingState([case.replica], case.task, device), snapshot_steps(steps)
    state.evaluations = [
        replace(first, step=step, parameters=deepcopy(first.parameters) if step in snapshots else None)
        for step in steps_within(steps)
    ]
    return lambda: checkpoint.save(state.to_checkpoint())
