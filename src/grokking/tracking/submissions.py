"""Publish the submissions to the benchmark: a run each, with its scores, rule, trials and curves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokking.leaderboard.page import PAGE
from grokking.leaderboard.running import CURVES, RUNS
from grokking.leaderboard.scoring import Score
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.table import VERSION, NothingRanked, open_benchmark, rank, result_folder, source
from grokking.leaderboard.workloads import FILE
from grokking.tracking import identity, single_runs
from grokking.tracking.descriptions import paragraphs
from grokking.tracking.single_runs import Logged

if TYPE_CHECKING:
    from mlflow import MlflowClient

FORM = "1"  # of what is written to MLflow: another one publishes everything again


@dataclass(frozen=True)
class Submitted:
    """A submission that is ranked, and its files."""

    submission: Submission
    rank: int
    of: int  # submissions that are ranked
    steps: Score
    seconds: Score | None  # where the seconds of a step were measured
    files: list[Path]

    @property
    def name(self) -> str:
        return f"submission {self.submission.name}"

    def form(self) -> str:
        """All that is shown of it and not in its files."""
        return f"{FORM} {self.rank} {self.of} {self.steps} {self.seconds}"


def find(root: Path) -> list[Submitted]:
    """The submissions of a checkout that are ranked, best first; none where there are no results."""
    if not (root / FILE.format(version=VERSION)).exists():
        return []
    benchmark = open_benchmark(root)
    try:
        ranked = rank(benchmark)
    except NothingRanked:
        return []
    found = []
    for position, score in enumerate(ranked.steps, start=1):
        name, folder = score.submission, result_folder(benchmark, score.submission)
        files = [source(benchmark, name), folder / RUNS, folder / CURVES]
        own = ranked.entries[name].submission
        found.append(Submitted(own, position, len(ranked.steps), score, ranked.seconds.get(name), files))
    return found


def publish(client: "MlflowClient", submitted: Submitted) -> bool:
    """Publish one submission; False where the store holds just this already."""

    def logged() -> Logged:
        return Logged(_params(submitted.submission), _found(submitted), _note(submitted))

    place, tags = (identity.RANKED, submitted.name), _tags(submitted.submission)
    return single_runs.publish(client, place, tags, submitted.form(), submitted.files, logged)


def _tags(submission: Submission) -> dict[str, str]:
    return {
        "key": f"submission/{submission.name}",
        "kind": "submission",
        "submission": submission.name,
        "ruleset": submission.declared.RULESET,
        "stage": "bench",
        **identity.source_tags("publish"),
    }


def _params(submission: Submission) -> dict[str, Any]:
    """What all trials share, and the range of each hyperparameter."""
    space = {f"space.{key}": _range(own) for key, own in submission.declared.SPACE.items()}
    return dict(submission.declared.SETTINGS) | space


def _range(dimension: Any) -> str:
    if hasattr(dimension, "low"):
        return f"{dimension.kind} {dimension.low:g} to {dimension.high:g}"
    return json.dumps(dimension.corners(), default=str)


def _found(submitted: Submitted) -> dict[str, Any]:
    steps, seconds = submitted.steps, submitted.seconds
    times = {f"steps_{name}": time for name, time in steps.times.items() if time < float("inf")}
    return {
        "rank": submitted.rank,
        "score_in_steps": steps.score,
        "score_in_seconds": None if seconds is None else seconds.score,
        "share_generalized": steps.generalized[0],
        **times,
    }


def _note(submitted: Submitted) -> str:
    steps = submitted.steps
    return paragraphs(
        submitted.submission.about,
        f"**Score in steps:** {steps.score:.2f} ({steps.low:.2f} to {steps.high:.2f}), rank {submitted.rank} "
        f"of {submitted.of} ({steps.ranks[0]} to {steps.ranks[1]}).",
        f"A row per trial: `{RUNS}`. Their curves: `{CURVES}`. All submissions: `{PAGE}`.",
    )
