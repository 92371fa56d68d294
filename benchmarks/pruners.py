"""Which trials of the benchmark would a pruner have stopped? All were trained to their ends, so one can tell.

    python -m benchmarks.pruners [--orders 5] [--write]

The trials of all tuned rules on one workload are one search. It is replayed in random orders, as a pruner
compares a trial with those before it. Every pruner looks at the same steps: 10, and then 1.3 times the last,
as a study does. Ours has the rules of a study that need nothing but the curve.
"""

import argparse
import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, PatientPruner, WilcoxonPruner

from benchmarks import page
from benchmarks.signed_rank import fast_wilcoxon
from grokking.catalogue import read_catalogue
from grokking.executors.resources import processes
from grokking.leaderboard.curves import NETWORK, all_curves
from grokking.leaderboard.table import open_benchmark
from grokking.search import pruner_audit
from grokking.search.pruning import FORECASTS, CurvePoint, PruningContext, forecast, slack, stop_rule
from grokking.search.replay import PRUNERS, Pruner, median, stops
from grokking.search.trial_monitor import CHECK_RATIO, FIRST_CHECK

ROOT = Path(__file__).parents[1]
CURVES_PAGE = page.DOCS / "curves.md"
# Times the fastest trial so far: who is no slower should not be stopped, as the study `quick` has it
RACING_FACTOR = read_catalogue(ROOT).entry("studies", "quick")["pruner"]["racing_factor"]
COUNTS = ["bests", "bests_stopped", "good", "good_stopped", "saved", "steps"]  # of `judged`
PATIENCE = 3  # looks without an improvement, before the median may stop a trial


def patient(budget: int) -> BasePruner:
    """The median, asked only of trials that have not improved for a while."""
    return experimental(PatientPruner, MedianPruner(), PATIENCE)


def wilcoxon(budget: int) -> BasePruner:
    """A signed-rank test of a curve against that of the best trial, look by look."""
    return experimental(WilcoxonPruner)


def experimental(pruner: Callable[..., BasePruner], *arguments: Any) -> BasePruner:
    """Make a pruner of which Optuna warns that it may change: the lock file pins Optuna."""
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        return pruner(*arguments)


def on_both(name: str, build: Callable[[int], BasePruner]) -> dict[str, Pruner]:
    """The pruner on validation accuracy and on validation loss."""
    return {
        f"{name} on accuracy": Pruner("validation_accuracy", "maximize", build),
        f"{name} on loss": Pruner("validation_loss", "minimize", build),
    }


OPTUNAS = {
    **on_both("MedianPruner", median),
    **on_both("HyperbandPruner", PRUNERS["hyperband/loss"].build),
    **on_both("PatientPruner", patient),
    **on_both("WilcoxonPruner", wilcoxon),
}


@dataclass(frozen=True)
class Trials:
    """The trials of one workload: curves at the looks, steps of generalization (NaN: never), steps run."""

    workload: str
    curves: list[pd.DataFrame]
    generalized: np.ndarray
    steps_run: np.ndarray
    budget: int


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruners", description=__doc__)
    parser.add_argument("--orders", type=int, default=5, help="random orders of the trials")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/curves.md")
    options = parser.parse_args(arguments)
    workloads = complete_trials(all_curves(open_benchmark(ROOT)))
    with ProcessPoolExecutor(processes(len(workloads))) as pool:
        found = pool.map(partial(judge, orders=options.orders), workloads)
        judgements = []
        for trials, rows in zip(workloads, found, strict=True):
            judgements.append(rows)
            print(workload_part(trials, rows), flush=True)
    summary = summary_part(workloads, pd.concat(judgements))
    print(summary)
    if options.write:
        each = [workload_part(trials, rows) for trials, rows in zip(workloads, judgements, strict=True)]
        parts = ["## Pruners on these curves\n", summary, NOTE, "### On each workload\n", *each]
        page.write("\n".join(parts), "pruners", "the committed curves", CURVES_PAGE)


NOTE = f"""
*Best kept*: the step of the fastest trial that the pruner lets end, over that of the fastest of all; median
and range over workloads and orders; inf: it stops all that generalize. *New bests stopped*: of the trials
that were faster than all before them, those that it would have stopped before they generalized. *Stopped too
soon*: the same of the trials that generalize within the budget, and within {RACING_FACTOR} times the step
of the fastest before them, which is what the study `quick` waits for. *Steps saved*: the share of all steps
that would not have been trained. Counts are added up over workloads; they are means over orders, and
brackets are 95 % intervals (Wilson) of the counts rounded. *Ours*: the rules of a [study](search.md) that
need nothing but the curve. `python -m benchmarks.pruners --write` makes these tables.
"""


def workload_part(trials: Trials, judgements: pd.DataFrame) -> str:
    good = int(np.isfinite(trials.generalized).sum())
    return (
        f"`{trials.workload}`: {len(trials.curves)} trials, {good} of which generalize within "
        f"{trials.budget:,} steps.\n\n{markdown(judgements)}\n"
    )


def summary_part(workloads: Sequence[Trials], judgements: pd.DataFrame) -> str:
    """Counts of an order are added up over workloads."""
    networks = sum(len(trials.curves) for trials in workloads)
    return (
        f"All {networks:,} trials of tuned rules on {len(workloads)} workloads and variants, each workload a "
        f"search of its own, in {judgements['order'].nunique()} random orders.\n\n{markdown(judgements)}\n"
    )


def markdown(judgements: pd.DataFrame) -> str:
    return pruner_table(judgements).to_markdown(index=False, disable_numparse=True)


def complete_trials(curves: pd.DataFrame) -> list[Trials]:
    """The trials of tuned rules of each workload on which some generalize; no rule has stopped any."""
    found = [_trials(str(name), rows) for name, rows in tuned_trials(curves).groupby("workload")]
    return [trials for trials in found if np.isfinite(trials.generalized).any()]


def tuned_trials(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of submitted rules that are tuned."""
    submitted = curves[curves["origin"] == "submission"]
    studies = submitted.groupby("rule")["study"].transform("nunique")
    return submitted[studies > 1]


def _trials(workload: str, rows: pd.DataFrame) -> Trials:
    runs = [run.sort_values("step", ignore_index=True) for _, run in rows.groupby(NETWORK)]
    budget = int(rows["budget"].min())
    within = [run["generalization_step"].iloc[0] for run in runs]
    return Trials(
        workload=workload,
        curves=[at_looks(run[run["step"] <= budget]) for run in runs],
        generalized=np.array([step if step <= budget else math.nan for step in within]),
        steps_run=np.array([min(budget, run["step"].iloc[-1]) for run in runs]),
        budget=budget,
    )


def at_looks(curve: pd.DataFrame) -> pd.DataFrame:
    """The rows at which a pruner is asked."""
    kept, due = [], float(FIRST_CHECK)
    for row, step in enumerate(curve["step"]):
        if step >= due:
            kept.append(row)
            due = CHECK_RATIO * step
    return curve.iloc[kept]


def our_stops(curves: Sequence[pd.DataFrame], generalized: Sequence[float], budget: int) -> list[float]:
    """As `search.replay.stops`, for our own rules."""
    best, errors, memorized, found = math.inf, list[float](), list[float](), []
    for curve, until in zip(curves, generalized, strict=True):
        context = PruningContext(
            budget=budget,
            limit=RACING_FACTOR * best,
            decay_rate=0.0,
            decay_driven=False,
            memorization_step=float(np.median(memorized)) if memorized else None,
            generalization_norm=None,
            slack=slack(errors[-FORECASTS:]),
        )
        step, forecasts = _our_stop(curve, until, context)
        found.append(step)
        memorized += [at for at in curve["memorization_step"].iloc[:1].dropna() if not at > step]
        if math.isnan(step) and not math.isnan(until):
            best = min(best, until)
            errors.append(max(forecasts, default=0.0) / until)
    return found


def _our_stop(curve: pd.DataFrame, until: float, context: PruningContext) -> tuple[float, list[float]]:
    points, forecasts = list[CurvePoint](), list[float]()
    for row in curve.to_dict("records"):
        if row["step"] >= until:
            break
        points.append(
            CurvePoint(
                step=row["step"],
                cost=row["step"],
                train_loss=row["train_loss"],
                train_accuracy=row["train_accuracy"],
                monitor_loss=row["validation_loss"],
                weight_norm=row["weight_norm"],
                **dict.fromkeys(("logit_rms", "r_sum", "ipr", "zero_gradient"), math.nan),
            )
        )
        forecasts.append(forecast(points))
        if row["step"] > context.limit or stop_rule(points, context):
            return float(row["step"]), forecasts
    return math.nan, forecasts


def judge(trials: Trials, orders: int) -> pd.DataFrame:
    """What each pruner does to the trials in each order, a row per pruner and order."""
    replays: dict[str, Callable[..., list[float]]] = {"ours": our_stops}
    for name, pruner in OPTUNAS.items():
        replays[name] = lambda *of_trials, pruner=pruner: stops(pruner, *of_trials)
    with fast_wilcoxon():
        return pd.DataFrame(
            [
                {"pruner": name, "order": order} | _judged_in_order(trials, replay, order)
                for name, replay in replays.items()
                for order in range(orders)
            ]
        )


def _judged_in_order(trials: Trials, replay: Callable[..., list[float]], order: int) -> dict[str, float]:
    number_N = np.random.default_rng(order).permutation(len(trials.curves))
    generalized_N, steps_N = trials.generalized[number_N], trials.steps_run[number_N]
    stop = replay([trials.curves[i] for i in number_N], generalized_N.tolist(), trials.budget)
    return judged(generalized_N, steps_N, np.array(stop))


def pruner_table(judgements: pd.DataFrame) -> pd.DataFrame:
    """A row per pruner."""
    by_pruner = judgements.groupby("pruner", sort=False)
    return pd.DataFrame([{"pruner": name} | _row(rows) for name, rows in by_pruner])


def _row(judgements: pd.DataFrame) -> dict[str, str]:
    best = judgements["best_kept"]
    counts = judgements.groupby("order")[COUNTS].sum().mean()
    return {
        "best kept": f"{best.median():.2f} ({best.min():.2f}–{best.max():.2f})",
        "new bests stopped": _share(counts["bests_stopped"], counts["bests"]),
        "stopped too soon": _share(counts["good_stopped"], counts["good"]),
        "steps saved": f"{counts['saved'] / counts['steps']:.0%}",
    }


def judged(generalized_N: np.ndarray, steps_N: np.ndarray, stop_N: np.ndarray) -> dict[str, float]:
    """Of one order, from the steps of generalization and of stops, NaN where there is none, and steps run."""
    stopped_N, inf_N = np.isfinite(stop_N), np.nan_to_num(generalized_N, nan=np.inf)
    before_N = np.minimum.accumulate(np.concatenate([[np.inf], inf_N[:-1]]))
    best_N = inf_N < before_N
    good_N = np.isfinite(inf_N) & (inf_N <= RACING_FACTOR * before_N)
    return {
        "best_kept": inf_N[~stopped_N].min(initial=np.inf) / inf_N.min(),
        "bests": best_N.sum(),
        "bests_stopped": (best_N & stopped_N).sum(),
        "good": good_N.sum(),
        "good_stopped": (good_N & stopped_N).sum(),
        "saved": np.nan_to_num(steps_N - stop_N).clip(min=0).sum(),
        "steps": steps_N.sum(),
    }


def _share(count: float, total: float) -> str:
    _, low, high = pruner_audit.share(round(count), round(total))
    share = count / total if total else math.nan
    return f"{count:.1f} of {total:.1f}: {share:.0%} ({low:.0%}–{high:.0%})"


if __name__ == "__main__":
    main()
