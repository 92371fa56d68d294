"""Stage `verdicts`: the published numbers beside the published recipes, run here as far as they were."""

import json

from grokking import figures
from grokking.analysis import pages, verdicts
from grokking.catalogue import read_catalogue
from grokking.storage import runs
from pipelines.common.paths import RUNS
from pipelines.common.reports import REPORTS
from pipelines.common.stage import run

GROUP = "published"


def main() -> None:
    catalogue = read_catalogue()
    entries = {name: catalogue.entry("experiments", name) for name in catalogue.names("experiments", GROUP)}
    folders = {name: RUNS / GROUP / name for name in entries}
    presets = {name: runs.read(folder) for name, folder in folders.items() if runs.exists(folder)}
    tasks = {name: catalogue.entry("tasks", entry["task"]) for name, entry in entries.items()}
    judged, law = verdicts.judged(presets), verdicts.power_law(presets, tasks)
    figures.published(presets, REPORTS / "published.png")
    (REPORTS / "published.md").write_text(pages.published(judged, law, entries), encoding="utf-8")
    found = {"verdicts": judged, "power_law": law}
    (REPORTS / "published.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    run(main)
