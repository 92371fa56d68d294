"""Stage `advice`: which learning rate and weight decay were good, from searches and sweeps."""

from grokking.analysis import advice
from grokking.catalogue import read_catalogue
from grokking.storage.runs import read_table
from pipelines.common.paths import SEARCHES, SWEEPS
from pipelines.common.reports import REPORTS, write
from pipelines.common.stage import run


def main() -> None:
    catalogue = read_catalogue()
    searched = {
        name: (entry, read_table(SEARCHES / name / "trials.parquet"))
        for name in catalogue.names("studies")
        if (entry := catalogue.entry("studies", name))["objective"] == "steps"
        and (SEARCHES / name / "run.json").exists()
    }
    swept = {
        name: read_table(SWEEPS / name / "networks.parquet")
        for name in catalogue.names("sweeps")
        if (SWEEPS / name / "run.json").exists()
    }
    write({REPORTS / "advice.md": advice.page(searched, swept)})


if __name__ == "__main__":
    run(main)
