"""What `grokking search` finds in ten minutes on tasks that no study has seen.

    python -m benchmarks.ten_minutes [--minutes 10] [NAME...]

For each of CASES the command is run as a user runs it, from nothing. Fresh seeds for which it had no time are
trained afterwards. Beside what it confirms stands the family's own network as its study has it before any
search, on the same seeds and splits, within the budget of the search. Nothing else should use the
machine. Own runs, studies and recipes stay in the checkout, and a case whose figures are in
`.checkpoints/ten_minutes/` is not measured again.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import page
from benchmarks.machine import load, processor
from grokking.analysis.crossings import times_faster
from grokking.analysis.results import generalized_text, median_and_range, ratio_text, summary
from grokking.api import training
from grokking.api.keys import parse_all
from grokking.api.loading import read_config
from grokking.api.run import Run
from grokking.api.search_plan import FAMILY, plan_search
from grokking.api.searching import TaskSearch
from grokking.executors.resources import processes

CASES: dict[str, tuple[str, str, list[str]]] = {  # the task, its family, and what is changed
    "another modulus": ("addition_113_f40", FAMILY, []),
    "subtraction": ("subtraction_97_f50", "transformer", []),
    "a² + b²": ("sum_of_squares_97_f50", FAMILY, []),
    "products in S5": ("permutation_product_5_f50", "transformer", []),
    "one label of ten is wrong": ("addition_97_f50", FAMILY, ["label_noise=0.1"]),
    "a wider network": ("addition_97_f50", FAMILY, ["model.hidden_widths=[1024]"]),
}
FOLDER = Path(".checkpoints/ten_minutes")
RESULTS = Path("benchmarks/results/ten_minutes.csv")
SEEDS, SEEDS_OF_DEFAULT = "steps of the seeds", "steps of the seeds, not searched"  # columns of RESULTS
NOTE = """
Steps are the median over the fresh seeds with its range, *ratio* how many times later than memorization. *Not
searched* is the network of the family's study as it is before any search, on the same seeds and splits. *Of
the time* is what the command took, confirmation included, on as many cores.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="NAME", help=f"default: all of {', '.join(CASES)}")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/search.md")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [row(name, given.minutes) for name in given.cases or CASES]
    table = pd.DataFrame(rows)
    shown = table.drop(columns=[SEEDS, SEEDS_OF_DEFAULT])
    report = page.Section(f"Searches of {given.minutes:g} minutes", shown, NOTE).markdown()
    print(report)
    if given.write:
        keep(table.assign(processor=str(processor())))
        page.write(report, "ten_minutes", str(processor()), page.SEARCH)


def keep(table: pd.DataFrame) -> None:
    """Write the rows of this processor, beside those of others."""
    known = pd.read_csv(RESULTS) if RESULTS.exists() else table.head(0)
    others = known[~known["processor"].isin(table["processor"])]
    pd.concat([others, table], ignore_index=True).to_csv(RESULTS, index=False)


def row(name: str, minutes: float) -> dict[str, Any]:
    """A case's row, measured where this very search is not kept yet."""
    task, family, changes = CASES[name]
    file = FOLDER / f"{'-'.join([task, family, *changes])}.json"
    if not file.exists():
        file.write_text(json.dumps(measured(name, minutes), ensure_ascii=False))
    return dict(json.loads(file.read_text()))


def measured(name: str, minutes: float) -> dict[str, Any]:
    task, family, changes = CASES[name]
    command = ["search", task, *changes, "--family", family]
    began = time.monotonic()
    print(f"{name}: {load()}", flush=True)
    subprocess.run(
        [sys.executable, "-m", "grokking.cli.main", *command, "--minutes", f"{minutes:g}"], check=True
    )
    share = (time.monotonic() - began) / (60 * minutes)
    asked = plan_search(task, parse_all(changes), family)
    found, default = confirmed(asked), trained_default(asked).replicas()
    searched, not_searched = None if found is None else summary(found), summary(default)
    return {
        "case": name,
        "command": " ".join(["grokking", *command]),
        "cores": str(processes(None)),
        "of the time": f"{share:.0%}",
        "steps, confirmed": "nothing found" if searched is None else described(searched),
        "ratio": "—" if searched is None else ratio_text(searched["median_ratio"]),
        "steps, not searched": described(not_searched),
        "times faster": "—" if searched is None else compared(searched, not_searched),
        SEEDS: [] if found is None else steps_of(found),
        SEEDS_OF_DEFAULT: steps_of(default),
    }


def confirmed(asked: TaskSearch) -> pd.DataFrame | None:
    """The replicas of the run by which the search has confirmed its best trial, with all fresh seeds."""
    folders = asked.checkout.own.glob(f"{asked.plan.name}-[0-9]*")
    newest = max(folders, key=lambda folder: folder.stat().st_mtime, default=None)
    if newest is None:
        return None
    config = read_config(newest)["config"] | {"replicas": asked.recipe({})["replicas"]}
    own = training.plan(config, {}, name=newest.name)
    own.train(lambda evaluation: None)
    return own.run.replicas()


def trained_default(asked: TaskSearch) -> Run:
    """The study's network on the fresh seeds, with nothing of the space set."""
    own = training.plan(asked.recipe({}), {}, name=f"{asked.plan.name}-not-searched")
    own.train(lambda evaluation: None)
    return own.run


def steps_of(replicas: pd.DataFrame) -> list[int | None]:
    """Each seed's step of generalization, None where it did not."""
    return [None if pd.isna(step) else int(step) for step in replicas["generalization_step"]]


def described(found: dict[str, Any]) -> str:
    """The median step with its range, and how many seeds generalized."""
    return f"{median_and_range(found)}, {generalized_text(found)}"


def compared(found: dict[str, Any], default: dict[str, Any]) -> str:
    """How many times faster; a lower limit where the default did not generalize in its budget."""
    if default["median_step"] is None:
        return times_faster(">", default["budget"], found["median_step"])
    return times_faster("", default["median_step"], found["median_step"])


if __name__ == "__main__":
    main()
