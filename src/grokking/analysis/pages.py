"""The results as text: tables, markdown pages and the HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from grokking.analysis import early_warning, literature, sweeps, verdicts
from grokking.analysis.nested import flat
from grokking.analysis.phases import PHASES


def markdown(comparison: pd.DataFrame) -> str:
    """The comparison as a markdown table, published numbers linked to their source."""
    if comparison.empty:
        return "No experiment here answers a published number.\n"
    linked = "[" + comparison["published"] + "](" + comparison["source"] + ")"
    code = "`" + comparison["experiment"] + "`"
    table = comparison.assign(**{"published": linked, "experiment": code}).drop(columns="source")
    return plain(table)


def plain(table: pd.DataFrame) -> str:
    """A table of texts as markdown."""
    return table.to_markdown(index=False, stralign="left", disable_numparse=True) + "\n"


def comparison(
    title: str,
    text: str,
    table: pd.DataFrame,
    entries: Mapping[str, Mapping[str, Any]],
    figure: str = "",
    template: str = "comparison.md.jinja",
    **more: Any,
) -> str:
    """A group of long runs as a markdown page: its table, and the parameters of all its entries.

    A template of its own may show more.
    """
    wide = pd.DataFrame({name: flat(mapping) for name, mapping in entries.items()}).T
    same = [key for key in wide if wide[key].map(str).nunique() == 1 and wide[key].notna().all()]
    own = wide.drop(columns=same).map(lambda value: "" if value is None or value != value else value)
    return render(
        template,
        title=title,
        text=text,
        table=plain(table),
        figure=figure,
        shared={key: wide[key].iloc[0] for key in same},
        own_keys=list(own),
        entries={name: list(row) for name, row in own.iterrows()},
        **more,
    )


def of_literature(
    title: str, text: str, judged: list[dict[str, Any]], entries: Mapping[str, Mapping[str, Any]]
) -> str:
    """The numbers of other repositories and what became of them, as a markdown page."""
    return comparison(
        title,
        text,
        literature.verdict_table(judged),
        entries,
        template="literature.md.jinja",
        counts=literature.counts(judged),
        close=literature.CLOSE,
        unlike=plain(literature.unlike_table()),
    )


def published(judged: list[dict[str, Any]], others: pd.DataFrame, law: Mapping[str, Any] | None) -> str:
    """The published numbers and what became of them, as a markdown page; `others` have no number."""
    table = plain(verdicts.verdict_table(judged))
    details = plain(verdicts.detail_table(judged))
    rest = plain(others) if len(others) else ""
    return render(
        "published.md.jinja", table=table, details=details, others=rest, law=law, close=verdicts.CLOSE
    )


def sweep(name: str, networks: pd.DataFrame, entry: Mapping[str, Any]) -> str:
    """What became of the networks of a sweep, as a markdown page; `entry` has its parameters."""
    cells = sweeps.cell_table(networks)
    axes = sweeps.axes_of(networks)
    written = flat({"experiment": entry["experiment"], "task": entry["task"]})
    points = entry["design"].get("axes", {})  # of a grid; an axis of one value sets that of all
    written |= {axis: values[0] for axis, values in points.items() if len(values) == 1}
    varies = {key if key.startswith("task.") else f"experiment.{key}" for key in axes}
    return render(
        "sweep.md.jinja",
        name=name,
        sweep=sweeps.described(networks),
        cells=len(cells),
        meanings=PHASES,
        table=plain(sweeps.as_text(cells)),
        shared={key: value for key, value in written.items() if key not in varies},
    )


def render(template: str, **values: Any) -> str:
    """One of the templates in this folder with these values."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",)),
        keep_trailing_newline=True,
    )
    environment.filters["steps"] = lambda value: "—" if value is None else f"{value:,.10g}"
    environment.filters["ends"] = _ends
    return environment.get_template(template).render(values)


def _ends(interval: tuple[float | None, float | None]) -> str:
    """An interval in brackets, of which an end may be open."""
    low, high = ("open" if end is None else f"{end:.2f}" for end in interval)
    return f" ({low} to {high})"


def diagnostics(warning: pd.DataFrame, circuits: pd.DataFrame, diverged: Mapping[str, str]) -> str:
    """What sees generalization coming, and when circuits form, as a markdown page.

    `diverged` says of experiments how many of their replicas did.
    """
    return render(
        "diagnostics.md.jinja",
        table=plain(_warnings(warning)) if len(warning) else "",
        drawn=bool(warning["auroc"].notna().any()),
        horizon=early_warning.HORIZON,
        false_positives=f"{early_warning.FALSE_POSITIVES:.0%}",
        counts=warning.loc["step"] if len(warning) else None,
        diverged=", ".join(f"`{name}` {count}" for name, count in diverged.items()),
        circuits=plain(_circuits(circuits)) if len(circuits) else "",
    )


def _warnings(warning: pd.DataFrame) -> pd.DataFrame:
    """Of each diagnostic the numbers with their intervals, as text."""
    headings = {"auroc": "AUROC", "auroc_all": "from step 0", "auroc_pooled": "pooled", "lead": "lead"}
    table = pd.DataFrame({"diagnostic": [_marked(str(name)) for name in warning.index]})
    for kind, heading in headings.items():
        columns = (warning[f"{kind}{end}"].tolist() for end in ("", "_low", "_high"))
        table[heading] = [_with_interval(*row) for row in zip(*columns, strict=True)]
    table["warned"] = ["—" if share != share else f"{share:.0%}" for share in warning["warned"]]
    table["snapshots"] = warning["snapshots"].astype(int).tolist()
    return table


def _circuits(rows: pd.DataFrame) -> pd.DataFrame:
    """Steps as whole numbers, losses to three digits."""
    steps = ["memorized", "generalized", "restricted_loss_falls", "validation_loss_falls"]
    losses = ["excluded_loss_lowest", "excluded_loss_final", "train_loss_final"]
    texts = {name: rows[name].map(lambda step: "—" if step != step else f"{step:,.0f}") for name in steps}
    texts |= {name: rows[name].map("{:.3g}".format) for name in losses}
    texts["generalized"] = texts["generalized"].where(~rows["diverged"], "diverged")
    shown = rows.assign(experiment=rows["experiment"].map("`{}`".format), seed=rows["seed"].map(str), **texts)
    return shown.drop(columns="diverged").rename(columns=lambda name: name.replace("_", " "))


def _marked(name: str) -> str:
    falls = early_warning.DIRECTIONS[name] < 0
    five, hindsight = name in early_warning.PUBLISHED_FIVE, name in early_warning.IN_HINDSIGHT
    return f"`{name}`" + " ↓" * falls + " ²" * five + " *" * hindsight


def _with_interval(value: float, low: float, high: float) -> str:
    return "—" if value != value else f"{value:.2f} ({low:.2f}–{high:.2f})"
