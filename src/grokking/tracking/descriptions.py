"""What a run is and what came out, in sentences: the description that MLflow shows on a run's page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokking.analysis import sentences
from grokking.analysis.results import diverged_text, grid_points, summary, varying
from grokking.analysis.tuning import best_replicas
from grokking.tracking import identity, metrics
from grokking.tracking.store import present

NOTE = "mlflow.note.content"
COLUMNS = ("memorization_step", "generalization_step", "final_validation_accuracy", "steps_run", "seconds")


@dataclass(frozen=True)
class About:
    """What the files of a run do not say of it."""

    what: str  # a sentence
    apart: str  # what sets it apart from the entry that it extends; "" where it extends a default
    page: str  # of reports/ or docs/, where it is compared with others
    verdict: str = ""  # on the published number that it repeats


def of_parent(about: About, replicas: pd.DataFrame) -> str:
    """Description of an experiment's run."""
    verdict = f"The published number: {about.verdict}." if about.verdict else ""
    return paragraphs(about.what, about.apart, f"**{parent_outcome(replicas)}**", verdict, page(about))


def of_replica(about: About, row: Mapping[str, Any]) -> str:
    seeds = f"One network of it: seed {row['seed']}, split {row['split_seed']}."
    return paragraphs(f"{about.what} {seeds}", about.apart, f"**{outcome(row)}**", page(about))


def summary_page(title: str, about: About, replicas: pd.DataFrame) -> str:
    """The artifact `summary.md` of an experiment: its description, and a row per replica."""
    columns = ["replica", "seed", "split_seed", *varying(replicas), *COLUMNS]
    table = replicas[columns].astype(object).fillna("—").to_markdown(index=False)
    return f"# {title}\n\n{of_parent(about, replicas)}\n\n{table}\n"


def outcome(row: Mapping[str, Any]) -> str:
    """A replica's result in one sentence."""
    return as_sentence(sentences.sentence(row))


def parent_outcome(replicas: pd.DataFrame) -> str:
    """The result of an experiment in one sentence, of its best point where it has a grid."""
    axes = varying(replicas)
    if axes:
        point = best_replicas(replicas, axes)
        where = identity.point_name({axis: point[axis].iloc[0] for axis in axes})
        points = len(grid_points(replicas))
        return f"A grid of {points} points, the best of them {where}. There: {median_outcome(point)}"
    return median_outcome(replicas)


def median_outcome(replicas: pd.DataFrame) -> str:
    return as_sentence(sentences.overall(replicas))


def as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def outcome_tag(row: Mapping[str, Any]) -> str:
    """A replica's result in a word, to filter by."""
    if row["diverged"]:
        return "diverged"
    if not present(row["generalization_step"]):
        return "censored"
    ratio = row["generalization_step"] / row["memorization_step"] if metrics.memorized(row) else None
    return "grokked" if metrics.grokked(ratio) else "generalized"


def parent_outcome_tag(replicas: pd.DataFrame) -> str:
    found = summary(replicas)
    word = "grokked" if found["grokked"] else "generalized"
    return f"{found[word]} of {found['n']} {word}{diverged_text(found)}"


def page(about: About) -> str:
    return f"Compared with others in `{about.page}`." if about.page else ""


def paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
