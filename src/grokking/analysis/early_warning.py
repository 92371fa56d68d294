"""Which diagnostic sees generalization coming, and how early: AUROC and lead time over snapshots.

A snapshot at step t of a replica that generalizes at T is positive if t < T <= 2t, negative if T > 2t or if
the replica had not generalized by 2t. It is left out after T, or if the replica was stopped before 2t.
"""

# S snapshots, R replicas

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

HORIZON = 2  # "soon" is within this many times the present step
FALSE_POSITIVES = 0.05
RESAMPLES = 1000
COVERAGE = (2.5, 97.5)  # percentiles of the bootstrap
RANDOM_SEED = 0

# Diagnostic -> whether it should rise (1) or fall (-1) towards generalization; decided beforehand
DIRECTIONS: dict[str, int] = {
    "step": 1,
    "loss/train": -1, "loss/validation": -1, "accuracy/validation": 1, "margin/validation": 1,
    "logit_rms": 1, "norm/total": -1,
    "r_sum": 1, "sum_loss/validation": -1, "restricted_loss/validation": -1, "excluded_loss/train": 1,
    "distance_irrelevance": -1, "energy/other": -1,
    "neuron_ipr": 1, "neuron_gini": 1, "neuron_snr": 1, "embedding_snr": 1,
    "circularity": 1, "phase_rqi": 1, "hidden_rqi": 1, "class_alignment": 1,
    "rqi": 1, "effective_rank": -1, "participation_ratio": -1, "uncentred_alignment": 1, "mean_free_ratio": 1,
}  # fmt: skip
# The five order parameters of system 2
PUBLISHED_FIVE = ("rqi", "effective_rank", "participation_ratio", "uncentred_alignment", "mean_free_ratio")
IN_HINDSIGHT = ("restricted_loss/validation", "excluded_loss/train")  # use the last network's frequencies


def labelled(diagnostics: Mapping[str, pd.DataFrame], replicas: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The snapshots of every experiment, labelled by the later fate of their replica.

    Adds the columns `run` (a number per replica), `group` (its system), `soon` (1 positive, 0 negative, NaN
    left out), `memorized` (whether it had by then) and `generalization_step` (NaN: never).
    """
    tables, known = [], 0
    for name, table in diagnostics.items():
        outcome = replicas[name].set_index("replica").loc[table["replica"]]
        columns = {
            "run": known + table["replica"].to_numpy(),
            "group": outcome["system"].astype(str).to_numpy(),
            "soon": soon(table["step"], outcome["generalization_step"], outcome["steps_run"]),
            "memorized": table["step"].to_numpy() >= outcome["memorization_step"].to_numpy(float),
            "generalization_step": outcome["generalization_step"].to_numpy(float),
        }
        tables.append(table.assign(**columns))
        known += len(replicas[name])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*DIRECTIONS])


def soon(step_S: ArrayLike, generalization_S: ArrayLike, steps_run_S: ArrayLike) -> np.ndarray:
    """1 where generalization comes within twice the step, 0 where it does not, NaN where that is unknown."""
    step_S, event_S, run_S = (np.asarray(x, dtype=float) for x in (step_S, generalization_S, steps_run_S))
    label_S = np.where(event_S <= HORIZON * step_S, 1.0, 0.0)
    left_out_S = (step_S >= event_S) | (np.isnan(event_S) & (run_S < HORIZON * step_S))
    return np.where(left_out_S, np.nan, label_S)


@dataclass(frozen=True)
class Wins:
    """Wins and comparisons of positives of replica i against negatives of replica j."""

    won_RR: np.ndarray
    pairs_RR: np.ndarray

    @classmethod
    def count(cls, score_S: np.ndarray, positive_S: np.ndarray, run_S: np.ndarray, runs: int) -> "Wins":
        """From snapshots of replicas 0 to runs - 1; ties count half."""
        positive_S = np.asarray(positive_S, dtype=bool)
        one, other = score_S[positive_S][:, None], score_S[~positive_S][None]
        won = (one > other) + 0.5 * (one == other)
        of_one, of_other = (np.eye(runs)[run_S[mask]] for mask in (positive_S, ~positive_S))
        return cls(of_one.T @ won @ of_other, np.outer(of_one.sum(0), of_other.sum(0)))

    def between(self, chosen_RR: np.ndarray) -> "Wins":
        """Only those between the chosen pairs of replicas."""
        return Wins(self.won_RR * chosen_RR, self.pairs_RR * chosen_RR)

    def auroc(self, weight_R: np.ndarray) -> float:
        """The AUROC with each replica counted as often as its weight says."""
        pairs = weight_R @ self.pairs_RR @ weight_R
        return float(weight_R @ self.won_RR @ weight_R / pairs) if pairs > 0 else np.nan


def threshold(score_S: np.ndarray) -> float:
    """The least threshold that at most 5 % of these scores, of replicas that never generalized, exceed."""
    allowed = int(FALSE_POSITIVES * len(score_S))
    return float(np.sort(score_S)[len(score_S) - allowed - 1])


def lead(step_S: np.ndarray, score_S: np.ndarray, above: float, generalization: float) -> float:
    """Step of generalization over step of the alarm; 1 if there was no alarm.

    The alarm is the first snapshot from which on all before generalization are above the threshold.
    """
    before = step_S < generalization
    quiet = np.flatnonzero(before & ~(score_S > above))
    first = int(quiet[-1]) + 1 if len(quiet) else 0
    return float(generalization / step_S[first]) if first < before.sum() else 1.0


def judge(snapshots: pd.DataFrame, name: str) -> dict[str, float]:
    """One diagnostic: AUROC after memorization, the same from step 0, and lead at 5 % false positives.

    Snapshots are compared within a group, that is with networks of their kind; `auroc_pooled` compares all
    with all. Intervals are percentiles over bootstrap samples of replicas.
    """
    known = snapshots[np.isfinite(snapshots[name])]
    known = known.assign(score=DIRECTIONS[name] * known[name])
    runs = 1 + int(snapshots["run"].max())
    group_R = snapshots.groupby("run")["group"].first().reindex(range(runs)).to_numpy()
    same_RR = np.equal.outer(group_R, group_R)
    weights = np.random.default_rng(RANDOM_SEED).multinomial(runs, np.full(runs, 1 / runs), size=RESAMPLES)
    at_risk, all_RR = known.dropna(subset=["soon"]), np.ones_like(same_RR)
    memorized = at_risk[at_risk["memorized"]]
    kinds = {
        "auroc": (memorized, same_RR),
        "auroc_all": (at_risk, same_RR),
        "auroc_pooled": (memorized, all_RR),
    }
    row: dict[str, float] = {"positives": memorized["soon"].sum(), "snapshots": len(memorized)}
    for kind, (chosen, pairs_RR) in kinds.items():
        score_S, soon_S, run_S = (chosen[column].to_numpy() for column in ("score", "soon", "run"))
        wins = Wins.count(score_S, soon_S, run_S, runs).between(pairs_RR)
        row |= _interval(kind, wins.auroc(np.ones(runs)), [wins.auroc(weight) for weight in weights])
    return row | _lead(known[known["memorized"]], weights)


def _lead(known: pd.DataFrame, weights: np.ndarray) -> dict[str, float]:
    """Median lead over the replicas of groups with controls, the share warned, and the interval."""
    groups = [_Group.of(own) for _, own in known.groupby("group")]
    groups = [group for group in groups if len(group.never) and len(group.events)]

    def resampled(weight_R: np.ndarray) -> np.ndarray:
        return np.concatenate([group.leads(weight_R) for group in groups]) if groups else np.empty(0)

    found = resampled(np.ones(weights.shape[1], dtype=int))
    drawn = [resampled(weight_R) for weight_R in weights]
    medians = [float(np.median(leads)) for leads in drawn if len(leads)]
    share = float((found > 1).mean()) if len(found) else np.nan
    return _interval("lead", float(np.median(found)) if len(found) else np.nan, medians) | {
        "warned": share, "warnable": len(found)
    }  # fmt: skip


@dataclass(frozen=True)
class _Group:
    """Replicas of one kind of network: steps and scores of each, and when it generalized."""

    steps: dict[int, np.ndarray]
    scores: dict[int, np.ndarray]
    events: dict[int, float]  # of those that generalized
    never: tuple[int, ...]  # the others

    @classmethod
    def of(cls, known: pd.DataFrame) -> "_Group":
        runs = known["run"].unique().tolist()
        own = {run: known[known["run"] == run].sort_values("step") for run in runs}
        events = {run: of_run["generalization_step"].iloc[0] for run, of_run in own.items()}
        return cls(
            {run: of_run["step"].to_numpy() for run, of_run in own.items()},
            {run: of_run["score"].to_numpy() for run, of_run in own.items()},
            {run: float(event) for run, event in events.items() if event == event},
            tuple(run for run, event in events.items() if event != event),
        )

    def leads(self, weight_R: np.ndarray) -> np.ndarray:
        """Leads with each replica repeated as its weight says; none where no control was drawn."""
        controls = [np.tile(self.scores[run], weight_R[run]) for run in self.never if weight_R[run]]
        if not controls:
            return np.empty(0)
        above = threshold(np.concatenate(controls))
        drawn = [run for run in self.events if weight_R[run]]
        found = [lead(self.steps[run], self.scores[run], above, self.events[run]) for run in drawn]
        return np.repeat(found, weight_R[drawn])


def _interval(kind: str, value: float, resampled: list[float]) -> dict[str, float]:
    finite = [x for x in resampled if np.isfinite(x)]
    low, high = np.percentile(finite, COVERAGE) if finite else (np.nan, np.nan)
    return {kind: value, f"{kind}_low": float(low), f"{kind}_high": float(high)}


def warning_table(snapshots: pd.DataFrame) -> pd.DataFrame:
    """A row per diagnostic that has a value somewhere, best first."""
    if unknown := [name for name in DIRECTIONS if name not in snapshots]:
        raise ValueError(f"no diagnostic is called {', '.join(unknown)}; take a name of `diagnostics.suite`")
    judged = {name: judge(snapshots, name) for name in DIRECTIONS if snapshots[name].notna().any()}
    table = pd.DataFrame(judged, index=None if judged else ["auroc"]).T
    return table.sort_values("auroc", ascending=False).rename_axis("diagnostic")
