"""What every stage script shares: where files are, and how an error in the configuration is told."""

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from grokking.config import ConfigError

PARAMS = Path("params.yaml")
TASK_SECTIONS = ("tasks", "extended_tasks")
SPLITS = Path("artifacts/splits")
RUNS = {
    "experiments": Path("artifacts/runs"),
    "published": Path("artifacts/published"),
    "records": Path("artifacts/records"),
    "controls": Path("artifacts/controls"),
    "operations": Path("artifacts/operations"),
}
STUDY_SECTIONS = ("studies", "extended_studies")
STUDIES = Path("studies")  # Optuna's own storage of each study; not an output, so that a search can go on
SEARCHES = Path("artifacts/search")
CONFIRMED = Path("artifacts/confirm")  # of each study, a folder per arm
TUNED = Path("artifacts/optimizers")  # of each entry of `optimizers`, in the folders tuning and confirmed
CHECKPOINTS = Path(".checkpoints")  # of runs under way; not an output, which DVC would delete at each start
REPORTS = Path("reports")
README = Path("README.md")
FIGURES = REPORTS / "figures"


def named(description: str | None, sections: Collection[str] = ()) -> argparse.ArgumentParser:
    """A parser for scripts that work on one named entry of params.yaml, by default of the first section."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", help="an entry of params.yaml")
    if sections:
        default = next(iter(sections))
        parser.add_argument("--section", choices=sections, default=default, help="section of params.yaml")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a stage; a mistake in the configuration becomes one line and exit code 2."""
    try:
        main()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
