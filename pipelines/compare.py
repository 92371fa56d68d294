"""Stage `compare`: the page and numbers of one group of long runs, as far as they were run."""

from typing import Any

import pandas as pd

from grokking.analysis import literature, pages
from grokking.analysis.comparison import GROUPS, comparison_table
from grokking.analysis.results import summary
from grokking.catalogue import read_catalogue
from grokking.config import ConfigError
from grokking.data import tasks
from pipelines.common.paths import RUNS, SPLITS
from pipelines.common.reports import COMPARISONS, as_json, write
from pipelines.common.runs import trained
from pipelines.common.stage import entry_parser, run


def main() -> None:
    name, catalogue = entry_parser(__doc__).parse_args().name, read_catalogue()
    if name not in GROUPS:
        raise ConfigError(
            f"group `{name}` has no columns; known: {', '.join(GROUPS)}; add it to comparison.py"
        )
    group = GROUPS[name]
    entries = {entry: catalogue.entry("experiments", entry) for entry in catalogue.names("experiments", name)}
    runs = trained({entry: RUNS / name / entry for entry in entries})
    replicas = {entry: run.replicas for entry, run in runs.items()}
    tables = {entry: table.assign(formula=formula_of(table)) for entry, table in replicas.items()}
    found: dict[str, Any] = {entry: summary(table) for entry, table in tables.items()}
    if name == "literature":
        judged = literature.judged(runs)
        page, found = (
            pages.of_literature(group.title, group.text, judged, entries),
            found | {"verdicts": judged},
        )
    else:
        page = pages.comparison(group.title, group.text, comparison_table(group, tables), entries)
    write({COMPARISONS / f"{name}.md": page, COMPARISONS / f"{name}.json": as_json(found)})


def formula_of(replicas: pd.DataFrame) -> str:
    """What the equations of the replicas' task are."""
    return str(tasks.read_meta(SPLITS / str(replicas["task"].iloc[0]))["formula"])


if __name__ == "__main__":
    run(main)
