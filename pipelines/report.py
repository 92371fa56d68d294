"""Stage `report`: results.json, figures, the HTML page and the README's table, from trained experiments."""

import json

import pandas as pd
from safetensors.numpy import load_file

from grokking import figures
from grokking.analysis import early_warning, pages, results
from grokking.analysis.circuits import circuits
from grokking.analysis.published import PUBLISHED, Published
from grokking.config import ConfigError, read_params
from pipelines.diagnosed import DIAGNOSTICS, PORTRAIT, TABLE
from pipelines.stage import FIGURES, PARAMS, README, REPORTS, RUNS, run

Tables = dict[str, pd.DataFrame]


def main() -> None:
    params = read_params(PARAMS)
    folders = {name: RUNS["experiments"] / name for name in params["experiments"]}
    for name, folder in folders.items():
        if not (folder / "run.json").exists():
            raise ConfigError(f"{folder} holds no run; run `dvc repro train@{name}` first")
    tables = {name: pd.read_parquet(folder / "replicas.parquet") for name, folder in folders.items()}
    histories = {name: pd.read_parquet(folder / "history.parquet") for name, folder in folders.items()}
    machine = json.loads((next(iter(folders.values())) / "run.json").read_text())["machine"]

    drawn = draw(tables, histories, params["tasks"])
    diagnosed = {name: pd.read_parquet(DIAGNOSTICS / name / TABLE) for name in tables}
    warning = early_warning.warning_table(early_warning.labelled(diagnosed, tables))
    learned = draw_diagnostics(tables, diagnosed, warning)
    formed = circuits(diagnosed, tables)
    summary = results.results(tables, machine) | {"circuits": _records(formed)}
    comparison = results.comparison(summary)
    table = pages.markdown(comparison)
    (REPORTS / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    (REPORTS / "table.md").write_text(table)
    (REPORTS / "index.html").write_text(pages.html(summary, comparison, learned, drawn))
    (REPORTS / "diagnostics.md").write_text(pages.diagnostics(warning, formed))
    README.write_text(pages.with_table(README.read_text(), table))


def _records(table: pd.DataFrame) -> list[dict]:
    """Rows as JSON has them, without NaN."""
    return json.loads(table.to_json(orient="records"))


def draw(tables: Tables, histories: Tables, tasks: dict[str, dict]) -> list[str]:
    """Write every figure; returns the names of those that belong on the page, in order."""
    for name, table in tables.items():
        figures.curves(histories[name], table, name, FIGURES / f"{name}.png")
    panels = [(p.title, histories[p.experiment], tables[p.experiment]) for p in main_experiments(tables)]
    figures.system_panels(panels, FIGURES / "systems.png")
    extra = [
        *_draw_grids(tables),
        *_draw_train_fraction(tables, tasks),
    ]
    return [*extra, *(f"{name}.png" for name in tables)]


def main_experiments(tables: Tables) -> list[Published]:
    """Of each system the published number answered with most replicas."""
    by_replicas = sorted(
        (p for p in PUBLISHED if p.experiment in tables), key=lambda p: len(tables[p.experiment])
    )
    shown = {p.system: p for p in by_replicas}
    return [shown[system] for system in sorted(shown)]


def draw_diagnostics(tables: Tables, diagnosed: Tables, warning: pd.DataFrame) -> list[str]:
    """Figures of each main experiment, of every transformer, and of what sees it coming; their names."""
    names = []
    if warning["auroc"].notna().any():
        names.append("early_warning.png")
        groups = {"system 2": early_warning.PUBLISHED_FIVE, "hindsight": early_warning.IN_HINDSIGHT}
        figures.warnings(warning, groups, FIGURES / names[-1])
    transformers = [name for name in tables if tables[name]["model.family"].iloc[0] == "transformer"]
    for name in dict.fromkeys([*(p.experiment for p in main_experiments(tables)), *transformers]):
        if name in transformers:
            names.append(f"{name}_progress.png")
            figures.progress(diagnosed[name], tables[name], name, FIGURES / names[-1])
        names.append(f"{name}_diagnostics.png")
        figures.diagnostics(diagnosed[name], tables[name], name, FIGURES / names[-1])
        portrait = load_file(DIAGNOSTICS / name / PORTRAIT)
        if portrait:
            names.append(f"{name}_portrait.png")
            figures.portrait(portrait, name, FIGURES / names[-1])
    return names


def _draw_grids(tables: Tables) -> list[str]:
    """A map for every experiment whose grid has two axes."""
    names = []
    for name, table in tables.items():
        grid = results.grid_map(table)
        if grid is not None:
            names.append(f"{name}_map.png")
            figures.grid(grid, int(table["budget"].max()), name, FIGURES / names[-1])
    return names


def _draw_train_fraction(tables: Tables, tasks: dict[str, dict]) -> list[str]:
    """Time-to-grok over the training fraction for the system that was published so."""
    published = [p for p in PUBLISHED if p.system == 4 and p.experiment in tables]
    if len(published) < 2:
        return []
    ours, theirs = results.over_train_fraction(published, tables, tasks)
    figures.train_fraction(ours, theirs, FIGURES / "train_fraction.png")
    return ["train_fraction.png"]


if __name__ == "__main__":
    run(main)
