"""How the medians of time-to-grok moved from commit to commit, read from git: docs/records.md.

Run as `python -m benchmarks.record_history > docs/records.md`.
"""

import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pandas as pd

from grokking.analysis.studies import number

RESULTS, SEARCHES = "reports/results.json", "reports/searches.json"
TEXT = """# Record history

The median time-to-grok, in steps, of each system's main experiment and of each search's winner, at every
commit where one changed; `quick` has no column, as reports/searches.json has the long studies only.
Experiments are medians of the replicas in brackets, winners of ten fresh seeds. A
dash: not measured. A number may also rise, when an experiment got more seeds, a harder rule or a recipe that
groks more clearly; [the changelog](../CHANGELOG.md) says when. `speedrun_seconds` is searched for seconds
and shown in steps, too. Before version 0.4.0 a crossing counted when
the budget ended its trial. Made by `python -m benchmarks.record_history`.
"""

COMPUTE = """
## Compute of the committed searches

What leads to a winner is more than its own search: ranges and given points come from those before. A row for
each table of trials that was committed, random search of the same compute included. Other searches are not in
git; [docs/search.md](search.md#searches-and-trials-that-are-not-among-the-results) names them.
"""


def main() -> None:
    print(TEXT)
    print(changes(pd.DataFrame(experiments())).to_markdown(index=False))
    print("\n## Winners of the searches\n")
    print(changes(pd.DataFrame(winners())).to_markdown(index=False))
    print(COMPUTE)
    print(pd.DataFrame(compute()).to_markdown(index=False))


def experiments() -> Iterator[dict[str, str]]:
    """The main experiments of each version of the results."""
    for commit, found in versions(RESULTS):
        known = found.get("experiments", {})
        names = [name for name, e in known.items() if e.get("role") == "reproduction" and "_f" not in name]
        names += [name for name in known if name == "shared_mlp_f30"]
        yield commit | {name: f"{known[name]['median_step']:,.0f} ({known[name]['n']})" for name in names}


def winners() -> Iterator[dict[str, str]]:
    for commit, found in versions(SEARCHES):
        studies = found.get("studies", found)
        arms = {name: s["arms"]["winner"] for name, s in studies.items() if "arms" in s}
        steps = {name: arm.get("median_steps", arm["median"]) for name, arm in arms.items()}
        yield commit | {name: f"{step:,.0f}" for name, step in steps.items() if step is not None}


def versions(file: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Day and commit of every version of a JSON file, and its content."""
    for line in git("log", "--reverse", "--format=%h %as", "--", file).splitlines():
        commit, day = line.split()
        yield {"day": day, "commit": commit}, json.loads(git("show", f"{commit}:{file}"))


def compute() -> Iterator[dict[str, str]]:
    """Trials and FLOP of each committed version of each study's trials."""
    for file in sorted(git("ls-files", "results/search/*/trials.parquet").split()):
        for line in git("log", "--reverse", "--format=%h %as", "--", file).splitlines():
            commit, day = line.split()
            trials = pd.read_parquet(io.BytesIO(git_bytes("show", f"{commit}:{file}")))
            yield {
                "study": file.split("/")[2],
                "day": day,
                "commit": commit,
                "trials": str(len(trials)),
                "FLOP": number(float(trials["flops"].sum()), "flops"),
            }


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in which any number is another than in the row before."""
    numbers = table.drop(columns=["day", "commit"]).fillna("—")
    return table.fillna("—")[numbers.ne(numbers.shift()).any(axis="columns")]


def git(*arguments: str) -> str:
    return git_bytes(*arguments).decode()


def git_bytes(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout


if __name__ == "__main__":
    main()
