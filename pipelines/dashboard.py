"""Open Optuna's dashboard on a search's journal; without a name, list the searches that have one."""

import argparse
import os

from grokking.config import ConfigError
from grokking.search.storage import journals
from pipelines.common.paths import STUDIES
from pipelines.common.stage import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", help="a search, such as quick")
    name, known = parser.parse_args().name, journals(STUDIES)
    if not known:
        raise ConfigError(f"{STUDIES}/ holds no search; run `dvc repro search@quick` first")
    if name is None:
        print("Searches on this machine; open one with `make dashboard STUDY=name`:")
        print("\n".join(f"  {study}: {trials} trials" for study, trials in known.items()))
        return
    if name not in known:
        raise ConfigError(f"`STUDY={name}` has no journal; known: {', '.join(known)}; run the search first")
    os.execvp("optuna-dashboard", ["optuna-dashboard", str(STUDIES / f"{name}.journal")])


if __name__ == "__main__":
    run(main)
