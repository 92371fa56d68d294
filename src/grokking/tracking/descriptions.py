"""What a run is and what came out, in sentences: the description that MLflow shows on a run's page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokking.analysis.results import GROKKING_RATIO, summary, varying
from grokking.analysis.tuning import best_point
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
    table = replicas[["replica", "seed", "split_seed", *varying(replicas), *COLUMNS]].to_markdown(index=False)
    return f"# {title}\n\n{of_parent(about, replicas)}\n\n{table}\n"


def outcome(row: Mapping[str, Any]) -> str:
    """A replica's result in one sentence."""
    generalized, memorized = row["generalization_step"], row["memorization_step"]
    if row["diverged"]:
        return f"Diverged by step {row['steps_run']:,}."
    if not present(generalized):
        learned = f"Memorized at {memorized:,.0f}, did" if present(memorized) else "Did"
        end = min(row["steps_run"], row["budget"])
        return f"{learned} not generalize within {end:,} steps (censored)."
    if not present(memorized):
        return f"Generalized at {generalized:,.0f}, without memorizing before the end."
    ratio = generalized / memorized
    return f"Memorized at {memorized:,.0f}, generalized at {generalized:,.0f}: {told(ratio)}."


def parent_outcome(replicas: pd.DataFrame) -> str:
    """The result of an experiment in one sentence, of its best point where it has a grid."""
    axes = varying(replicas)
    if axes:
        best = best_point(replicas, axes)
        point = replicas[(replicas[axes] == pd.Series(best)).all(axis=1)]
        where = " ".join(f"{identity.short(axis)}={identity.number(value)}" for axis, value in best.items())
        points = len(replicas.groupby(axes))
        return f"A grid of {points} points, the best of them {where}. There: {median_outcome(point)}"
    return median_outcome(replicas)


def median_outcome(replicas: pd.DataFrame) -> str:
    found = summary(replicas)
    count = f"{found['generalized']} of {found['n']} generalized"
    if found["median_step"] is None:
        return f"{count} within {found['budget']:,} steps (the others are censored)."
    median = f"{count}, the median at step {found['median_step']:,.0f}"
    if found["median_ratio"] is None:
        return f"{median}."
    memorized = f"memorized at {found['median_memorization_step']:,.0f}"
    return f"{median}, {memorized}: {told(found['median_ratio'])}."


def told(ratio: float) -> str:
    """A ratio, and that it is no grokking where it is too small."""
    small = "" if metrics.grokked(ratio) else f" (below {GROKKING_RATIO}: not called grokking)"
    return f"ratio {ratio:.1f}{small}"


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
    return f"{found[word]} of {found['n']} {word}"


def page(about: About) -> str:
    return f"Compared with others in `{about.page}`." if about.page else ""


def paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
