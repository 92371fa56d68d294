"""Stage `verdicts`: the published numbers beside the published recipes, run here as far as they were."""

from grokking import figures
from grokking.analysis import pages, verdicts
from grokking.catalogue import Catalogue, read_catalogue
from grokking.storage.runs import Run
from pipelines.common.claims import require_claims
from pipelines.common.paths import RUNS
from pipelines.common.reports import REPORTS, as_json, write
from pipelines.common.runs import trained
from pipelines.common.stage import run


def main() -> None:
    catalogue = read_catalogue()
    presets = group_runs(catalogue, "published")
    systems = group_runs(catalogue, "systems")
    experiments = systems | group_runs(catalogue, "fractions")
    judged, points = verdicts.judged(presets, experiments), verdicts.over_train_fraction(presets, experiments)
    law = verdicts.power_law(points)
    found = as_json({"verdicts": judged, "power_law": law})
    require_claims({REPORTS / "published.json": found})
    figures.published(presets, REPORTS / "published.png")
    figures.train_fraction(points, REPORTS / "train_fraction.png")
    texts = {"published.md": pages.published(judged, verdicts.without_number(presets), law)}
    texts["published_table.md"] = pages.plain(verdicts.short_table(judged, systems))
    write({REPORTS / name: text for name, text in texts.items()} | {REPORTS / "published.json": found})


def group_runs(catalogue: Catalogue, group: str) -> dict[str, Run]:
    """The runs of a group, as far as they were trained."""
    return trained({name: RUNS / group / name for name in catalogue.names("experiments", group)})


if __name__ == "__main__":
    run(main)
