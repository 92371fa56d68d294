"""What a run is, in sentences that MLflow shows on its page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from grokking.analysis import verdicts
from grokking.analysis.crossings import first_at
from grokking.analysis.nested import flat
from grokking.analysis.published import PUBLISHED, RECORDS
from grokking.analysis.studies import ARMS
from grokking.catalogue import Catalogue
from grokking.storage.runs import Run
from grokking.tracking.descriptions import About
from pipelines.common.reports import COMPARISONS, REPORTS, SEARCH_REPORTS

PAGES = {"systems": REPORTS / "table.md", "published": REPORTS / "published.md"}
SENTENCES = {
    "systems": "{network} on {data}. Our own hyperparameters.",
    "published": "{network} on {data}. As its author ran it.",
    "decays": "{network} on {data}. Its author's recipe at another fraction, weight decay or schedule.",
    "fractions": "{network} on {data}. Our own hyperparameters at another share of training equations.",
    "literature": "{network} on {data}. A recipe of another repository, as near as it can be said.",
    "controls": "{network} on {data}. A control, which shows what generalization depends on.",
    "tuning": "{network} on {data}. One method of the comparison of optimizers and accelerators: {part}.",
    "studies": "{network} on {data}. An arm of the study's confirmation on fresh seeds and splits: {part}.",
}


def about(
    catalogue: Catalogue,
    entry: str,
    group: str,
    name: str,
    replicas: pd.DataFrame,
    formula: str,
    verdict: str,
) -> About:
    """What the run `name` of an entry is, what sets it apart and where it is compared."""
    first = {str(key): value for key, value in replicas.iloc[0].items()}
    share = catalogue.entry("tasks", str(first["task"]))["split"].get("train_fraction")
    what = SENTENCES.get(group, "{network} on {data}.").format(
        network=network(first),
        data=data(formula, share),
        part=part(group, entry, name),
    )
    apart = (
        ""
        if group == "studies"
        else difference(catalogue, "tuning" if group == "tuning" else "experiments", entry)
    )
    return About(" ".join([what, *record(name)]), apart, str(page(group, entry)), verdict)


def data(formula: str, share: float | None) -> str:
    """The task, and how much of it is for training where that is a plain share."""
    return formula if share is None else f"{formula} with {share:.0%} of the equations for training"


def network(row: Mapping[str, Any]) -> str:
    """The published system that a network belongs to, or its family."""
    family = str(row["model.family"]).replace("_", " ").replace("mlp", "MLP")
    names = {str(p.system): f"System {p.system}, {p.setting.partition(',')[0]}," for p in PUBLISHED}
    return names.get(str(row["system"]), family[0].upper() + family[1:])


def part(group: str, entry: str, name: str) -> str:
    """Which part of a method's tuning, or of a study's confirmation, a run is."""
    if group == "studies":
        return ARMS[name.removeprefix(f"{entry}_")].format(random="the")
    return "the grid that it was tuned on" if name != entry else "its best point on fresh seeds"


def record(name: str) -> list[str]:
    """What was published of a record."""
    return [
        f"A record of {r.steps} steps was published ({r.source})." for r in RECORDS if r.experiment == name
    ]


def difference(catalogue: Catalogue, section: str, name: str) -> str:
    """The keys in which an entry differs from the one that it extends."""
    written = next(file[section][name] for file in catalogue.files.values() if name in file.get(section, {}))
    base = written["extends"].partition(".")[2]
    if written["extends"].startswith("defaults."):
        return ""
    own, theirs = (flat(catalogue.entry(section, each)) for each in (name, base))
    ignored = ("role", "replicas.")
    changed = [
        f"{key} {own[key]} (there {theirs.get(key, 'none')})"
        for key in own
        if own[key] != theirs.get(key) and not key.startswith(ignored)
    ]
    return f"Like `{base}`, but {', '.join(changed)}." if changed else f"The same as `{base}`."


def page(group: str, entry: str) -> Any:
    if group == "studies":
        return SEARCH_REPORTS / f"{entry}.md"
    return PAGES.get(group, COMPARISONS / f"{group}.md")


@dataclass(frozen=True)
class Beside:
    """The published number that a run repeats or answers, and ours by its criterion."""

    text: str = ""  # the number as it was published, with its accuracy and as a bound where it is one
    numbers: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""  # of a run that repeats it


def published(name: str, run: Run) -> Beside:
    """What was published of the network of this run; empty where nothing was."""
    for number in PUBLISHED:
        if name not in (number.preset, number.experiment):
            continue
        repeats = name == number.preset
        one = verdicts.repeated(number, {name: run}) if repeats else verdicts.of_one_recipe(run)
        found = first_at(one, number.threshold)
        numbers = {
            "published/step": number.step,
            "published/ours": found.median,
            "published/times_faster": None if found.median is None else round(number.step / found.median, 2),
        }
        return Beside(number.with_threshold, numbers, verdicts.verdict(number, found) if repeats else "")
    return Beside()
