"""A hyperparameter study as a markdown page, and the page that lists all of them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokking.analysis import studies
from grokking.analysis.nested import flat
from grokking.analysis.pages import plain, render
from grokking.analysis.pareto import front_table
from grokking.analysis.search_axes import space_table
from grokking.analysis.studies import Study
from grokking.engine.events import ACCURACY_THRESHOLD

SEARCHES = "../../docs/records.md#compute-of-the-committed-searches"
NOT_KEPT = "../../docs/search.md#searches-and-trials-that-are-not-among-the-results"
PRUNER_NAMES = {
    "rules": "the studies' own rules",
    "median/accuracy": "MedianPruner on validation accuracy",
    "hyperband/accuracy": "HyperbandPruner on validation accuracy",
    "hyperband/loss": "HyperbandPruner on validation loss",
}


def page(
    study: Study,
    machine: Mapping[str, Any],
    rules: pd.DataFrame,
    monitor_share: float,
    confirm: Mapping[str, Any],
) -> str:
    """The page of one study; its figures lie in a folder of its name beside it.

    `rules` counts the wrong stops of the pruners, as `pruner_audit.comparison` does; `monitor_share` of all
    equations judged the trials; `confirm` has the seeds and split seeds of the study's round.
    """
    return render(
        "search.md.jinja",
        study=study,
        headline=headline(study),
        experiment=study.config["experiment"],
        trials=study.trials["arm"].value_counts().to_dict(),
        passed_over=int(study.trials.query("arm == 'search'")["sustained"].eq(False).sum()),
        threshold=f"{ACCURACY_THRESHOLD:.0%}",
        monitor=f"{monitor_share:.0%}",
        searched_anew=searched_anew(study),
        machine=machine["gpu"] or machine["processor"],
        arms=plain(studies.arm_table(study)),
        regression=plain(studies.regression_table(study)),
        space=plain(space_table(study.axes, study.chosen)),
        front=plain(front_table(study.whole_trials, study.axes, given=len(study.config["initial_points"]))),
        counts=plain(studies.count_table(study)),
        compute=plain(studies.compute_table(study)),
        not_counted=not_counted(study),
        rules=plain(pruner_table(rules)),
        parameters=flat({**study.config, "confirm": confirm}),
    )


def not_counted(study: Study) -> str:
    """What led to the winner and is in no row of the table of compute."""
    points = len(study.config["initial_points"])
    parts = ["the check of the best trials on their own and on further seeds"]
    if points:
        given = "points that the study was given" if points > 1 else "point that the study was given"
        parts.append(f"what it had cost to find the {points} {given}")
    parts.append(f"[earlier searches]({SEARCHES}) of this study and [what was not kept]({NOT_KEPT})")
    return ", and ".join(parts)


def searched_anew(study: Study) -> bool:
    return bool(study.config.get("round", 1) > 1)


def headline(study: Study) -> str:
    """The result in a sentence, with its conditions."""
    medians, published = studies.medians_of(study), studies.published_number(study)
    n, generalized = len(study.confirmed["winner"]), int(study.confirmed["winner"]["observed"].sum())
    origin = studies.origin(study, "winner")
    given = f", {origin}," if origin else ""
    which = "" if generalized == n else f", of which {generalized} generalize"
    parts = [f"The search's winner{given} takes {medians['winner']} {study.unit} on {n} fresh seeds{which}"]
    if studies.stopped_early(study):
        parts.append(f"of the published configuration {medians['published']} steps, where its budget ends")
    elif "published" in medians:
        which = "the published one" if published else "one that was published for another task or fraction"
        parts.append(f"{which} {medians['published']} on the same")
    if "random_best" in medians:
        parts.append(f"the best of a random search of the same compute {medians['random_best']}")
    source = f" Published steps: [{published[0]}]({published[1]})." if published else ""
    return ", ".join(parts) + "." + source


def overview(rows: pd.DataFrame, rules: pd.DataFrame, by_rule: pd.DataFrame) -> str:
    """The page of all studies that were run; `rules` and `by_rule` pool their replicas."""
    by_rule_text = plain(rule_table(by_rule)) if len(by_rule) else "No rule applied to any of them.\n"
    pruners = plain(pruner_table(rules))
    return render("searches.md.jinja", table=plain(rows.fillna("—")), rules=pruners, by_rule=by_rule_text)


def short_table(rows: pd.DataFrame) -> str:
    """The studies in a few columns, for the README."""
    shown = ["study", "objective", "published steps", "winner", "random best", "trials"]
    return plain(rows.reindex(columns=shown).fillna("—"))  # pages of earlier code lack some


def pruner_table(rules: pd.DataFrame) -> pd.DataFrame:
    """The rows of `pruner_audit.comparison` as text."""
    return _counts(rules).assign(pruner=rules["pruner"].map(PRUNER_NAMES)).set_index("pruner").reset_index()


def rule_table(by_rule: pd.DataFrame) -> pd.DataFrame:
    """The rows of `pruner_audit.by_rule` as text."""
    shown = ["stopped", "could be wrong", "wrong", "wrong among these (95 %)", "FLOP saved"]
    return _counts(by_rule)[shown].assign(rule=by_rule["rule"]).set_index("rule").reset_index()


def _counts(rules: pd.DataFrame) -> pd.DataFrame:
    wrong, good = rules["wrong"].astype(str), rules["good"].astype(str)
    intervals = [_share(*row) for row in zip(rules["rate"], rules["low"], rules["high"], strict=True)]
    columns = {
        "replicas": rules["replicas"].astype(str),
        "stopped": rules["stopped"].astype(str),
        "could be wrong": rules["doubtful"].astype(str),
        "wrong": wrong,
        "wrong among these (95 %)": intervals,
        "of the good ones stopped": wrong + " of " + good,
        "FLOP saved": rules["saved"].map("{:.0%}".format),
    }
    return pd.DataFrame(columns, dtype=str)


def _share(rate: float, low: float, high: float) -> str:
    return "—" if rate != rate else f"{rate:.1%} ({low:.1%}–{high:.1%})"
