"""The page of the benchmark."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grokking.analysis.pages import plain
from grokking.leaderboard import records, step_seconds
from grokking.leaderboard.scoring import difference_p, is_sooner, shares_within
from grokking.leaderboard.table import Entry, Ranking, ranking, times_table
from grokking.leaderboard.targets import read_target, targets_table
from grokking.leaderboard.trials import OPEN_TRIALS, share_of_range
from grokking.leaderboard.workloads import Benchmark, Workload

PAGE, PICTURE = Path("reports/leaderboard.md"), Path("reports/leaderboard.png")
ALIKE_P = 0.05  # from it on two submissions cannot be told apart
EDGE = 0.1  # of a range
COMPARED = ["cannot be told apart (p)", "better over its whole space (p)"]
FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0)

PAGE_TEXT = """# Benchmark of time-to-grok, version {version}

{ranking}
Score: the mean height of the performance profile, from 0 to 1, in steps and in seconds on one core.
Seconds: {processor}. Brackets are 95 % over trials drawn again.
Trials that generalize: of those on the workloads, variants not counted.
Not ranked: {not_ranked}.

## Steps to generalization

{times}
The median over the studies of the fastest trial of each; "—" where in most studies no trial generalized
within the budget.

## Steps to generalization on held-out variants

{times_on_variants}
Each variant changes one thing of a workload, and has twice its budget. A variant of a workload that a
submission misses counts as missed, too, and is not trained.

## Who is fastest where

{fastest}
Fastest: by the best points of each study, as in the score. The other columns compare all trials of a
submission, if any generalizes, with all of the fastest one's (of several, the first), by the log-rank test.
Where p is 0.05 or more, the two cannot be told apart. Where it is less, and the other's trials generalize
sooner, that one is better over its whole space. The values of p are not corrected for their number.

## Within a factor of the fastest

The share of workloads on which a submission is so near the fastest: the performance profile. The score is the
mean height of its line in the picture, where factors from 1 to {ratio:g} have equal weight.

![Performance profiles of all submissions]({picture})

{profiles}

## Where the best points lie

Hyperparameters whose best points, the fastest trial of each study, lie in the outer tenth of their range in
the median: a wider range might do better. {edges}

## Records

Open submissions: the rule, the loss, batches and initial weights as anybody likes, on one workload. A record
needs {open_trials} of {open_trials} networks, and p below {significant} against the record before it.

{records}
## Targets

{targets}
Target: steps that the best rule needs after {trials} trials of each, the median of {reruns} networks.
Fastest: a rule's fastest trial of one network. A trial ended where it could no longer be the fastest of all,
so "—" says that the rule was never ahead.

## Submissions

Minutes: what the updates of all its trials took on one core, on machines that may have had other work.

{submissions}
"""


def page(benchmark: Benchmark, ranked: Ranking) -> str:
    """Ranks, times, profiles, tests of differences, targets, and what each submission is."""
    entries, rules = ranked.entries, benchmark.targets
    targets = {name: read_target(benchmark, own) for name, own in benchmark.workloads.items()}
    known = {name: target for name, target in targets.items() if target is not None}
    attempted = records.attempts(benchmark)
    variants = [own for own in ranked.workloads if own.variant_of]
    reasons = [f"`{name}` ({reason})" for name, reason in ranked.not_ranked.items()]
    return PAGE_TEXT.format(
        version=benchmark.version,
        ranking=plain(ranking(ranked)),
        processor=step_seconds.processor_of(benchmark),
        not_ranked=", ".join(reasons) or "none",
        times=plain(times_table(ranked, [own for own in ranked.workloads if not own.variant_of])),
        times_on_variants=plain(times_table(ranked, variants)) if variants else "None are drawn yet.\n",
        fastest=plain(_fastest(ranked)),
        profiles=plain(_profiles_table(ranked)),
        picture=PICTURE.name,
        ratio=benchmark.rules.ratio,
        edges=", ".join(at_an_edge(ranked)) or "None.",
        open_trials=OPEN_TRIALS,
        significant=records.RECORD_P,
        records=plain(records.table(attempted)) if attempted else "None yet.\n",
        targets=plain(targets_table(benchmark, known)) if known else "None yet.\n",
        reruns=rules.reruns,
        trials=rules.trials,
        submissions="\n".join(
            f"- `{score.submission}`, {_minutes(entries[score.submission]):.0f} minutes: "
            f"{entries[score.submission].submission.about}"
            for score in ranked.steps
        ),
    )


def _minutes(entry: Entry) -> float:
    return float((entry.runs["step_seconds"] * entry.runs["steps_run"]).sum() / 60)


def profiles(ranked: Ranking, factor_T: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
    """By submission, best first: shares of workloads (T,) on which it is within a factor of the fastest."""
    time_SW = np.array([[score.times[own.name] for own in ranked.workloads] for score in ranked.steps])
    names = [score.submission for score in ranked.steps]
    return dict(zip(names, shares_within(time_SW, factor_T), strict=True))


def _profiles_table(ranked: Ranking) -> pd.DataFrame:
    rows = [
        {"submission": name}
        | {f"{factor:g}×": f"{share:.0%}" for factor, share in zip(FACTORS, own, strict=True)}
        for name, own in profiles(ranked, FACTORS).items()
    ]
    return pd.DataFrame(rows)


def _fastest(ranked: Ranking) -> pd.DataFrame:
    """For each workload the fastest submission, and those that all trials cannot tell from it."""
    return pd.DataFrame([_fastest_on(ranked, own) for own in ranked.workloads])


def _fastest_on(ranked: Ranking, workload: Workload) -> dict[str, str]:
    name, label = workload.name, workload.title
    steps = min(score.times[name] for score in ranked.steps)
    if not np.isfinite(steps):
        return {"workload": label} | dict.fromkeys(["fastest", "steps", *COMPARED], "—")
    fastest = [score.submission for score in ranked.steps if score.times[name] == steps]
    compared = _compared(ranked, name, fastest[0])
    return {"workload": label, "fastest": ", ".join(fastest), "steps": f"{steps:,.0f}"} | compared


def _compared(ranked: Ranking, workload: str, first: str) -> dict[str, str]:
    """Which submissions all trials cannot tell from this one, and which ones' trials are better."""
    runs = {score.submission: ranked.entries[score.submission].runs for score in ranked.steps}
    learns = {name for name, own in runs.items() if own.loc[own["workload"] == workload, "observed"].any()}
    others = [name for name in runs if name in learns - {first}]
    p = {name: difference_p(runs[first], runs[name], workload) for name in others}
    alike = [f"{name} ({value:.2f})" for name, value in p.items() if value >= ALIKE_P]
    apart = [name for name, value in p.items() if value < ALIKE_P]
    better = [f"{name} ({p[name]:.3f})" for name in apart if is_sooner(runs[name], runs[first], workload)]
    texts = (", ".join(found) or "none" for found in (alike, better))
    return dict(zip(COMPARED, texts, strict=True))


def at_an_edge(ranked: Ranking) -> list[str]:
    """Hyperparameters of ranked submissions whose best points lie at an edge of their range."""
    found = []
    for name, entry in ranked.entries.items():
        seen = entry.runs[entry.runs["observed"].astype(bool)]
        if seen.empty:
            continue
        best = seen.loc[seen.groupby(["workload", "study"])["generalization_step"].idxmin(), "point"]
        for key, dimension in entry.submission.declared.SPACE.items():
            shares = [share_of_range(dimension, json.loads(point)[key]) for point in best]
            middle = float(np.median(shares))
            if not EDGE <= middle <= 1 - EDGE:
                found.append(f"`{key}` of `{name}` ({'low' if middle < EDGE else 'high'})")
    return found
