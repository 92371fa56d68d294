"""A hyperparameter study as tables: what it found, how that did on fresh seeds, what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from grokking.analysis.pareto import whole_trials
from grokking.analysis.published import PUBLISHED, RECORDS, STUDY_RECORDS, Published
from grokking.analysis.results import generalized_text, ratio_text, summary
from grokking.analysis.search_axes import Axis, axes
from grokking.analysis.survival import logrank_p, median, median_interval
from grokking.storage import runs

ARMS = {
    "winner": "best sustained trial of the search",
    "runner_up": "second best sustained trial",
    "random_best": "best of {random} random trials, together of the same compute",
    "published": "the published configuration",
}
# Objective -> its column in replicas.parquet of a trained run
COLUMNS = {"steps": "generalization_step", "examples": "examples", "flops": "flops", "seconds": "seconds"}
PREFIXES = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6))  # of FLOP
UNITS = {"steps": "steps", "examples": "examples", "flops": "FLOP", "seconds": "seconds"}
Entry = Mapping[str, Any]  # of params.yaml, with all that it inherits
Row = dict[str, str]


@dataclass(frozen=True)
class Study:
    """A study that was run and confirmed, read from its files."""

    name: str
    config: Entry
    task: Entry
    trials: pd.DataFrame
    replicas: pd.DataFrame
    best: Mapping[str, Any]
    confirmed: Mapping[str, pd.DataFrame]  # of each arm, replicas on fresh seeds

    @property
    def objective(self) -> str:
        return str(self.config["objective"])

    @property
    def unit(self) -> str:
        return UNITS[self.objective]

    @property
    def axes(self) -> list[Axis]:
        return axes(self.config["space"])

    @property
    def whole_trials(self) -> pd.DataFrame:
        """The trials that generalized with all their seeds, with their steps and seconds."""
        return whole_trials(self.trials, self.replicas)

    def was_given(self, arm: str) -> bool:
        """Whether the point of an arm is one of `initial_points`, which are a search's first trials."""
        drawn = arm not in self.best or searched_by(arm) == "random"
        return not drawn and self.best[arm]["trial"] < len(self.config["initial_points"])

    @property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """The row in the table of trials of each arm that was chosen by a search."""
        table = {arm: self.trials[self.trials["arm"] == searched_by(arm)] for arm in self.best}
        numbers = {arm: self.best[arm]["trial"] for arm in self.best}
        return {arm: table[arm].set_index("trial").loc[numbers[arm]].to_dict() for arm in self.best}


def read(name: str, config: Entry, task: Entry, searched: Path, confirmed: Path) -> Study | None:
    """The study, or None where it was not both searched and confirmed."""
    if not (searched / "best.yaml").exists() or not any(confirmed.glob("*/run.json")):
        return None
    trials, replicas = (runs.read_table(searched / f"{kind}.parquet") for kind in ("trials", "replicas"))
    runs.require_as_written(searched / "best.yaml")
    best = YAML(typ="safe").load((searched / "best.yaml").read_text(encoding="utf-8"))
    there = [arm for arm in ARMS if runs.exists(confirmed / arm)]
    arms = {arm: runs.read(confirmed / arm).replicas for arm in there}
    return Study(name, config, task, trials, replicas, best, arms)


def searched_by(arm: str) -> str:
    """The search that chose a confirmed arm."""
    return "random" if arm == "random_best" else "search"


def times(replicas: pd.DataFrame, objective: str) -> tuple[np.ndarray, np.ndarray]:
    """Cost of each replica to generalization in units of the objective, and whether it generalized.

    One that did not has the cost of the whole budget, at the rate of the steps it ran.
    """
    observed = replicas["observed"].to_numpy(bool)
    run = replicas["steps_run"] if objective == "steps" else replicas[objective]
    whole = run * replicas["budget"] / replicas["steps_run"]
    return replicas[COLUMNS[objective]].where(observed, whole).to_numpy(float), observed


def arm_table(study: Study) -> pd.DataFrame:
    """A row per confirmed arm; p of the log-rank test against the winner."""
    return pd.DataFrame([_arm(study, arm) for arm in study.confirmed])


def _arm(study: Study, arm: str) -> Row:
    replicas = study.confirmed[arm]
    found = summary(replicas)
    row = {
        "arm": arm.replace("_", " "),
        "description": describe(study, arm),
        "generalized": generalized_text(found),
        f"median {study.unit} (95 %)": medians_of(study)[arm],
        "log-rank p": p_text(p_against_winner(study, arm)),
    }
    if study.objective != "steps":
        row["steps (95 %)"] = with_interval(replicas, "steps")
    row["memorized at step"] = number(found["median_memorization_step"], "steps")
    row["ratio"] = ratio_text(found["median_ratio"], digits=2)
    others = [objective for objective in ("flops", "seconds") if objective != study.objective]
    return row | {UNITS[name]: with_interval(replicas, name, interval=False) for name in others}


def describe(study: Study, arm: str) -> str:
    """An arm in words, with its trial number."""
    random = int((study.trials["arm"] == "random").sum())
    text = ARMS[arm].format(random=random)
    if arm == "published" and published_number(study) is None:
        text = "a configuration that was published for another task or training fraction"
    if arm not in study.best:
        return text
    from_where = origin(study, arm)
    return f"{text}: number {study.best[arm]['trial']}" + (f", {from_where}" if from_where else "")


def origin(study: Study, arm: str) -> str:
    """Where the point of a chosen trial is from, if not from the sampler's knowledge of others."""
    if study.was_given(arm):
        return "a point that the study was given"
    return "drawn at random before TPE began" if is_of_the_start(study, arm) else ""


def is_of_the_start(study: Study, arm: str) -> bool:
    """Whether an arm's point was drawn at random, before TPE knew of enough trials."""
    if arm not in study.best:
        return False
    sampler, number = study.config["sampler"], study.best[arm]["trial"]
    learns = searched_by(arm) == "search" and sampler["name"] == "tpe"
    return bool(learns and number < sampler["startup_trials"])


def with_interval(replicas: pd.DataFrame, objective: str, interval: bool = True) -> str:
    """Kaplan-Meier median of the cost with its 95 % interval; > the whole budget where it was not reached."""
    cost, observed = times(replicas, objective)
    middle = median(cost, observed)
    if middle is None:
        return f"> {number(float(np.median(cost[~observed])), objective)}"
    low, high = (number(end, objective) for end in median_interval(cost, observed))
    return f"{number(middle, objective)} ({low}–{high})" if interval else number(middle, objective)


def number(value: float | None, objective: str) -> str:
    """A cost in three digits, with a prefix where it is large; steps and examples in full."""
    if value is None:
        return "—"
    if objective in ("steps", "examples"):
        return f"{value:,.0f}"
    prefix, size = next((found for found in PREFIXES if value >= found[1]), ("", 1.0))
    return f"{value / size:.3g}{prefix}"


def p_against_winner(study: Study, arm: str) -> float | None:
    """Two-sided log-rank p-value in units of the objective; None for the winner itself."""
    if arm == "winner":
        return None
    ours, theirs = (times(study.confirmed[name], study.objective) for name in (arm, "winner"))
    return logrank_p(*ours, *theirs)


def p_text(p: float | None) -> str:
    if p is None:
        return "—"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def regression_table(study: Study) -> pd.DataFrame:
    """For each arm that a search chose, its cost in the search and on fresh seeds.

    The best of many trials is partly the luckiest; the ratio tells how much of it was luck.
    """
    return pd.DataFrame([_regression(study, arm) for arm in study.best if arm in study.confirmed])


def _regression(study: Study, arm: str) -> Row:
    searched = float(study.best[arm]["searched_cost"])
    confirmed = median(*times(study.confirmed[arm], study.objective))
    seeds = len(study.config["search"]["seeds"])
    return {
        "arm": arm.replace("_", " "),
        f"searched: median {study.unit} of {seeds}": number(searched, study.objective),
        f"confirmed: median of {len(study.confirmed[arm])}": number(confirmed, study.objective),
        "ratio": "—" if confirmed is None else f"{confirmed / searched:.2f}",
    }


def count_table(study: Study) -> pd.DataFrame:
    """How many trials of each search ended for each reason; `raced` and the like are pruning rules."""
    counts = study.trials.groupby(["state", "reason", "arm"]).size().unstack("arm", fill_value=0)
    ordered = counts.reindex(columns=[arm for arm in ("search", "random") if arm in counts])
    return ordered.sort_values(["state", "search"], ascending=[True, False]).astype(str).reset_index()


def compute_table(study: Study) -> pd.DataFrame:
    """Trials, replicas, training and time of each search and of the confirmation."""
    rows = []
    for arm, trials in study.trials.groupby("arm", sort=False):
        seeds = study.replicas["arm"] == arm
        rows.append(_compute(f"{arm}", len(trials), int(seeds.sum()), trials["flops"], trials["seconds"]))
    fresh = pd.concat(study.confirmed.values())
    whole = fresh["flops"] * fresh["steps_run"] / fresh["generalization_step"].fillna(fresh["steps_run"])
    return pd.DataFrame([*rows, _compute("confirmation", len(study.confirmed), len(fresh), whole, None)])


def _compute(part: str, trials: int, replicas: int, flops: pd.Series, seconds: pd.Series | None) -> Row:
    return {
        "part": part,
        "trials": str(trials),
        "replicas": str(replicas),
        "FLOP": number(float(flops.sum()), "flops"),
        "seconds of training": "—" if seconds is None else f"{seconds.sum():,.0f}",
    }


def published_run(study: Study) -> Published | None:
    """What was published of the study's system and training fraction."""
    system, fraction = study.config["experiment"]["system"], study.task["split"].get("train_fraction", 0)
    ending = f"f={fraction:.2f}"
    return next((p for p in PUBLISHED if str(p.system) == str(system) and p.setting.endswith(ending)), None)


def published_number(study: Study) -> tuple[str, str] | None:
    """The published steps for the study's system and training fraction, or its record; and their source."""
    if found := published_run(study):
        return found.text, found.source
    record = next((r for r in RECORDS if r.experiment == STUDY_RECORDS.get(study.name)), None)
    return None if record is None else (record.steps, record.source)


def overview(study: Study) -> Row:
    """The study's row on the page of all studies, with links from the folder of reports."""
    published, medians = published_number(study), dict.fromkeys(ARMS, "—") | medians_of(study)
    p = p_text(p_against_winner(study, "random_best")) if "random_best" in study.confirmed else "—"
    return {
        "study": f"[{study.name}](search/{study.name}.md)",
        "task": f"`{study.config['experiment']['task']}`",
        "objective": study.unit,
        "published steps": f"[{published[0]}]({published[1]})" if published else "—",
        "published, our run": medians["published"] + _setting(study),
        "winner": medians["winner"] + _of_all(study) + _short_origin(study),
        "ratio": ratio_text(summary(study.confirmed["winner"])["median_ratio"], digits=2),
        "times faster": _times_faster(study),
        "random best": medians["random_best"],
        "winner against random: p": p,
        "trials": str(int((study.trials["arm"] == "search").sum())),
    }


def _setting(study: Study) -> str:
    """What is said behind a configuration that nobody published for the study's task and fraction."""
    other = "published" in study.confirmed and published_number(study) is None
    return ", other setting" if other else ""


def _short_origin(study: Study) -> str:
    """Where the winner is from, in a word, if not from the sampler's knowledge of other trials."""
    if study.was_given("winner"):
        return ", given"
    return ", drawn at random" if is_of_the_start(study, "winner") else ""


def _of_all(study: Study) -> str:
    """How many of the winner's replicas generalized, unless all did."""
    observed = study.confirmed["winner"]["observed"]
    return "" if observed.all() else f", {int(observed.sum())} of {len(observed)}"


def medians_of(study: Study) -> dict[str, str]:
    """Each arm's median with its interval."""
    medians = {arm: with_interval(replicas, study.objective) for arm, replicas in study.confirmed.items()}
    if stopped_early(study):
        medians["published"] = _by_the_budget(study.confirmed["published"])
    return medians


def _by_the_budget(replicas: pd.DataFrame) -> str:
    """How many generalized within the budget, for a configuration of which most need more."""
    return f"{int(replicas['observed'].sum())} of {len(replicas)} by {int(replicas['budget'].max()):,}"


def stopped_early(study: Study) -> bool:
    """Whether the published configuration was stopped before its published step, without a median.

    It has the budget of the study. How it does when it is run out is on the page of published numbers.
    """
    found, replicas = published_run(study), study.confirmed.get("published")
    if found is None or replicas is None or confirmed_median(study, "published") is not None:
        return False
    return int(replicas["steps_run"].max()) < found.step


def _times_faster(study: Study) -> str:
    """Cost of the published configuration over the winner's; a bound where it did not generalize."""
    if "published" not in study.confirmed or stopped_early(study):
        return "—"
    (cost, observed), winner = times(study.confirmed["published"], study.objective), confirmed_median(study)
    if winner is None:
        return "—"
    middle = median(cost, observed)
    bound = float(np.median(cost)) if middle is None else middle
    return f"{'> ' if middle is None else ''}{bound / winner:,.1f}"


def confirmed_median(study: Study, arm: str = "winner") -> float | None:
    return median(*times(study.confirmed[arm], study.objective))


def results(study: Study) -> dict[str, Any]:
    """The study as numbers; seconds only where they are the objective."""
    arms = {}
    for arm, replicas in study.confirmed.items():
        cost, observed = times(replicas, study.objective)
        low, high = median_interval(cost, observed)
        arms[arm] = {
            "n": len(cost), "generalized": int(observed.sum()), "median": median(cost, observed),
            "low": low, "high": high, "median_steps": summary(replicas)["median_step"],
            "p_against_winner": p_against_winner(study, arm),
            "given": study.was_given(arm), "drawn_at_random": is_of_the_start(study, arm),
        }  # fmt: skip
    trials = study.trials["arm"].value_counts()
    return {"objective": study.objective, "trials": {str(k): int(v) for k, v in trials.items()}, "arms": arms}
