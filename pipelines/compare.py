"""Stage `compare`: the page and numbers of one group of long runs, as far as they were run."""

from dataclasses import replace

from grokking.analysis.comparison import GROUPS
from grokking.analysis.group_pages import group_page
from grokking.catalogue import read_catalogue
from grokking.config import ConfigError
from grokking.storage import task_files
from grokking.storage.runs import Run
from pipelines.common.claims import require_claims
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
    entries = {entry: catalogue.entry("experiments", entry) for entry in catalogue.names("experiments", name)}
    runs = trained({entry: RUNS / name / entry for entry in entries})
    page, numbers = group_page(name, {entry: with_formula(run) for entry, run in runs.items()}, entries)
    found = {COMPARISONS / f"{name}.json": as_json(numbers)}
    require_claims(found)
    write({COMPARISONS / f"{name}.md": page} | found)


def with_formula(trained: Run) -> Run:
    """The run, with what the equations of its task are beside its replicas."""
    task = str(trained.replicas["task"].iloc[0])
    return replace(
        trained, replicas=trained.replicas.assign(formula=task_files.read_meta(SPLITS / task)["formula"])
    )


if __name__ == "__main__":
    run(main)
