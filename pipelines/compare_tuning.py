"""Stage `compare_tuning`: the page, figure and numbers of all tuned methods, as far as they were run."""

from grokking import figures
from grokking.analysis import pages
from grokking.analysis.comparison import TUNING
from grokking.analysis.methods import Method, by_speed, method_table
from grokking.analysis.results import summary
from grokking.catalogue import read_catalogue
from pipelines.common.claims import require_claims
from pipelines.common.paths import TUNED
from pipelines.common.reports import COMPARISONS, as_json, write
from pipelines.common.runs import replica_tables
from pipelines.common.stage import run


def main() -> None:
    catalogue = read_catalogue()
    entries = {name: catalogue.entry("tuning", name) for name in catalogue.names("tuning")}
    tuned = replica_tables({name: TUNED / name / "tuning" for name in entries})
    confirmed = replica_tables({name: TUNED / name / "confirmed" for name in entries})
    grids = {name: entries[name]["replicas"]["grid"] for name in confirmed}
    methods = [Method(name, grids[name], tuned[name], table) for name, table in confirmed.items()]
    found = as_json({method.name: summary(method.confirmed) for method in methods})
    require_claims({COMPARISONS / "tuning.json": found})
    points = {method.name: (method.times, method.observed) for method in by_speed(methods)}
    title = "Steps to generalize, tuned methods on fresh seeds"
    figures.strips(points, title, COMPARISONS / "tuning.png")
    page = pages.comparison(*TUNING, method_table(methods), entries, "tuning.png")
    write({COMPARISONS / "tuning.md": page, COMPARISONS / "tuning.json": found})


if __name__ == "__main__":
    run(main)
