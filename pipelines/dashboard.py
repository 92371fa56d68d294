"""Open Optuna's dashboard on a search's journal; without a name, list the searches that have one."""

import os

from grokking.config import ConfigError
from grokking.search.journal import trials_begun
from pipelines.common.paths import STUDIES
from pipelines.common.serving import free_port
from pipelines.common.stage import Parser, run


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("name", nargs="?", help="a search, such as quick")
    name = parser.parse_args().name
    journals = {file.stem: file for file in sorted(STUDIES.glob("*.journal"))}
    if not journals:
        raise ConfigError(f"{STUDIES}/ holds no search; run `dvc repro search@quick` first")
    if name is None:
        print("Searches on this machine; open one with `make dashboard STUDY=name`:")
        print("\n".join(f"  {study}: {trials_begun(file)} trials" for study, file in journals.items()))
        return
    if name not in journals:
        raise ConfigError(
            f"`STUDY={name}` has no journal; known: {', '.join(journals)}; run the search first"
        )
    command = ["optuna-dashboard", str(journals[name]), "--host", "127.0.0.1", "--port"]
    os.execvp(command[0], [*command, free_port(8080)])


if __name__ == "__main__":
    run(main)
