"""Accepts the committed results for code that computes the same, so that DVC trains nothing again.

`make accept` first compares, as `make same` does. For stages of which nothing but code has changed since that
commit, it then writes the new hashes of code into dvc.lock. Outputs stay, and need not be here. It also notes
that the code of that commit equals this one, so that long studies keep the replicas that it has trained.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from grokking.training.fingerprint import ACCEPTED, code_hash
from pipelines.common.stage import run
from refactoring.same import ROOT, checked_out, is_same_as, resolved

CODE = ("src/", "pipelines/")
# The scripts that `refactoring.stages` runs. The others only read results, and run again in a minute.
COMPARED = ("split", "train", "diagnose", "tune", "search", "confirm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", help="whose results to accept, by default those of the last dvc.lock")
    commit = resolved(parser.parse_args().commit)
    if not is_same_as(commit):
        print("nothing is accepted: this code gives other results, which `dvc repro` trains")
        raise SystemExit(1)
    with checked_out(commit) as tree:
        note_equal(code_that_equals(tree))
        by_reason = accept(tree)
    accepted = by_reason.pop("", [])
    for reason, names in by_reason.items():
        print(f"not accepted, {reason}: {', '.join(names)}")
    print(f"accepted: {', '.join(accepted) or 'no stage'}")


def code_that_equals(tree: Path) -> set[str]:
    """Hashes of all code that computes the same as that of the tree, its own included."""
    program = "from grokking.training.fingerprint import same_code; print(*same_code())"
    command, environment = [sys.executable, "-c", program], {"PYTHONPATH": str(tree / "src")}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def note_equal(others: set[str]) -> None:
    """Write down which code computes the same as this one."""
    noted = {"code": code_hash(), "equal": sorted(others - {code_hash()})}
    ACCEPTED.write_text(json.dumps(noted, indent=2) + "\n")


def accept(tree: Path) -> dict[str, list[str]]:
    """Stages with changed code by why they must run again; those under "" are accepted."""
    with Repo(str(tree)) as before:
        current = {name_of(stage) for stage in before.index.stages if not changed_code(stage)}
    by_reason = defaultdict(list)
    with Repo(str(ROOT)) as repo, repo.lock:
        for stage in repo.index.stages:
            if changed_code(stage):
                by_reason[why_not(stage, tree, current)].append(stage)
        write(by_reason[""])
    return {reason: [name_of(stage) for stage in stages] for reason, stages in by_reason.items()}


def name_of(stage: PipelineStage) -> str:
    """As `dvc repro` takes it in the root of the repository."""
    file = Path(stage.dvcfile.path).relative_to(stage.repo.root_dir)
    return str(stage.name) if str(file) == "dvc.yaml" else f"{file}:{stage.name}"


def changed_code(stage: PipelineStage) -> list[Any]:
    """The dependencies that are code and are not what dvc.lock says."""
    return [dep for dep in stage.deps if is_code(dep) and dep.workspace_status()]


def is_code(item: Any) -> bool:
    return str(item.def_path).startswith(CODE)


def why_not(stage: PipelineStage, tree: Path, current: set[str]) -> str:
    """Why a stage must run again though the code computes the same."""
    entry = locked(ROOT, stage)
    if stage.cmd.split()[2].removeprefix("pipelines.") not in COMPARED:
        return "only reads results"
    if entry is None:
        return "has never run"
    if entry != locked(tree, stage):
        return "has run since that commit"
    if name_of(stage) not in current:
        return "was of older code in that commit"
    if stage.changed_stage():
        return "has another command"
    return next((f"{name} has changed" for name in changed_data(stage)), "")


def locked(tree: Path, stage: PipelineStage) -> Any:
    """What a dvc.lock of this tree says of a stage; None where it says nothing."""
    return lock_file(tree / Path(stage.dvcfile.path).relative_to(ROOT).with_suffix(".lock")).get(stage.name)


@cache
def lock_file(file: Path) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(file.read_text())["stages"] if file.exists() else {}
    return stages


def changed_data(stage: PipelineStage) -> list[str]:
    """Parameters, inputs and outputs that are not what dvc.lock says; what is not here may be pulled."""
    data = [item for item in [*stage.deps, *stage.outs] if not is_code(item)]
    return [item.def_path for item in data if [*item.workspace_status().values()] not in ([], ["deleted"])]


def write(stages: Iterable[PipelineStage]) -> None:
    """The present code's hashes into the lock files, and outputs that are here into DVC's cache."""
    by_file = defaultdict(list)
    for stage in stages:
        for dependency in changed_code(stage):
            dependency.save()
        stage.commit(allow_missing=True, relink=False)
        by_file[stage.dvcfile].append(stage)
    for file, changed in by_file.items():
        file.dump_stages(changed, update_pipeline=False)


if __name__ == "__main__":
    run(main)
