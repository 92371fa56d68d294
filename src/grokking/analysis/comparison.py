"""Groups of long runs: what each shows, and the columns of its table. A new group is an entry of GROUPS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from grokking.analysis.published import RECORDS
from grokking.analysis.results import (
    GROKKING_RATIO,
    generalized_text,
    grid_points,
    median_and_range,
    summary,
)

Cell = Callable[[str, pd.DataFrame], str]  # of an experiment, by its name and its replicas


@dataclass(frozen=True)
class Group:
    """A group of experiments on one page, a row each."""

    title: str
    text: str
    columns: Mapping[str, Cell]
    across: Cell | None = None  # rows that differ in this and the last column alone become one, side by side


def _name(name: str, replicas: pd.DataFrame) -> str:
    return f"`{name}`"


def _task(name: str, replicas: pd.DataFrame) -> str:
    return f"`{replicas['task'].iloc[0]}`"


def _formula(name: str, replicas: pd.DataFrame) -> str:
    return str(replicas["formula"].iloc[0])


def _optimizer(name: str, replicas: pd.DataFrame) -> str:
    return str(replicas["optimizer.name"].iloc[0])


def _decay(name: str, replicas: pd.DataFrame) -> str:
    return f"decay {replicas['optimizer.weight_decay'].iloc[0]:g}"


def _schedule(name: str, replicas: pd.DataFrame) -> str:
    return str(replicas["schedule.name"].iloc[0])


def _budget(name: str, replicas: pd.DataFrame) -> str:
    return f"{replicas['budget'].iloc[0]:,}"


def _median(name: str, replicas: pd.DataFrame) -> str:
    return median_and_range(summary(replicas))


def _generalized(name: str, replicas: pd.DataFrame) -> str:
    return generalized_text(summary(replicas))


def _accuracy(column: str) -> Cell:
    return lambda name, replicas: f"{replicas[column].median():.3f}" if column in replicas else "—"


def _recipe(name: str, replicas: pd.DataFrame) -> str:
    return next((record.setting for record in RECORDS if record.experiment == name), "—")


def _record(name: str, replicas: pd.DataFrame) -> str:
    return next((f"[{r.steps}]({r.source})" for r in RECORDS if r.experiment == name), "—")


def _with_counts(name: str, replicas: pd.DataFrame) -> str:
    """Median and range, how many generalized, and their ratio; or how far the best came where none did."""
    cell = f"{_median(name, replicas)}, {_generalized(name, replicas)}"
    if not replicas["observed"].any():
        return f"{cell}, best accuracy {replicas['final_validation_accuracy'].max():.2f}"
    ratio = summary(replicas)["median_ratio"]
    return cell if ratio is None else f"{cell}, ratio {ratio:.1f}"


OF_RATIO = f"*Ratio* is generalization over memorization; it is grokking from {GROKKING_RATIO} on."

GROUPS = {
    "published": Group(
        "Published recipes",
        "The recipes of the five systems as their authors ran them. What became of the published numbers is "
        "on the page [published.md](../published.md).",
        {"preset": _name, "task": _task, "generalized": _generalized, "median (range)": _median},
    ),
    "decays": Group(
        "Fractions and weight decays",
        "The recipe of system 1 as its author ran it, over what its author proposes to try: training "
        "fractions and weight decays (coupled, as L2), with a constant rate and with a cosine over 150,000 "
        "steps. " + OF_RATIO,
        {"task": _task, "schedule": _schedule, "steps": _with_counts},
        across=_decay,
    ),
    "fractions": Group(
        "Training fractions",
        "System 4 with our own hyperparameters, over fractions that were published.",
        {"experiment": _name, "task": _task, "generalized": _generalized, "median (range)": _median},
    ),
    "records": Group(
        "Published records",
        "Recipes published as the fastest of their kind, with the same kind of network, data and optimizer.",
        {
            "recipe": _recipe,
            "published steps": _record,
            "our median (range)": _median,
            "generalized": _generalized,
            "experiment": _name,
        },
    ),
    "literature": Group(
        "Recipes of other repositories",
        "Times-to-grok that other repositories publish, and their recipes here, as near as they can be said.",
        {},  # its page has a table of published numbers
    ),
    "controls": Group(
        "Controls",
        "The quadratic network of `records`, with something taken from it that generalization may "
        "need, or wrong labels given to it. Accuracies are the last ones, medians over replicas.",
        {
            "control": _name,
            "generalized": _generalized,
            "median (range)": _median,
            "validation": _accuracy("final_validation_accuracy"),
            "training": _accuracy("final_train_accuracy"),
            "of it clean": _accuracy("final_train_accuracy/clean"),
            "of it corrupted": _accuracy("final_train_accuracy/corrupted"),
        },
    ),
    "operations": Group(
        "Operations",
        "One transformer on the tasks of Power et al. 2022 (arXiv 2201.02177), with AdamW and with Muon. "
        "Where it did not generalize, a larger training fraction, more steps or other hyperparameters may. "
        "[Five of these tasks were tried so](hard_operations.md). " + OF_RATIO,
        {"operation": _formula, "task": _task, "steps": _with_counts},
        across=_optimizer,
    ),
    "hard_operations": Group(
        "Operations that need more",
        "Five of the seven tasks of [operations.md](operations.md) that neither optimizer learned there; the "
        "two cubic ones were not tried. Here with Muon, larger batches, other hyperparameters and more "
        "updates, and with 80 % of the table where half was not enough. Four fifths of the rest of that "
        "table of a² + ab + b² follow from its symmetry; the last fifth is hard. " + OF_RATIO,
        {"operation": _formula, "task": _task, "budget": _budget, "steps": _with_counts},
    ),
}
TUNING = (
    "Optimizers and accelerators",
    "One network and task. The grid of each method was trained on seeds of its own; the point where most "
    "replicas generalized, and soonest, was then trained on fresh seeds and fresh splits, which are the "
    "figures. p is of the log-rank test against `adamw`; seconds are to generalization, on one core. "
    "Grids are small, and some chosen points lie at an edge: over several networks, with fifteen points a "
    "rule, [the benchmark](../../docs/leaderboard.md) may rank them otherwise.",
)


def comparison_table(group: Group, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per experiment that was run, or point of its grid; with `across`, its values are columns.

    Tables are those of replicas, with the formula of their task.
    """
    runs = [
        (f"{name}: {point}" if point else name, replicas)
        for name, table in tables.items()
        for point, replicas in grid_points(table).items()
    ]
    rows = pd.DataFrame(
        [{key: cell(*run) for key, cell in group.columns.items()} for run in runs],
        columns=list(group.columns),
    )
    if group.across is None:
        return rows
    *index, cells = group.columns
    across = [group.across(*run) for run in runs]
    wide = rows.assign(across=across).pivot(index=index, columns="across", values=cells)
    wide = wide[list(dict.fromkeys(across))].rename_axis(columns=None)
    return rows[index].drop_duplicates().merge(wide.reset_index(), how="left").fillna("—")
