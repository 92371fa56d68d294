"""dvc.lock where several stages end at once.

DVC itself writes into the file. A stage that reads it meanwhile, such as `publish`, would see a part of it.
Here each new version takes the file's place whole.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.repo import Repo, lock_repo
from dvc.stage import Stage
from dvc.utils.serialize import load_yaml, modify_yaml


def write_entry(stage: Stage) -> None:
    """Write what a stage has read and written into its lock file; the caller holds DVC's lock."""
    with replaced(lock_file(stage), stage.repo) as copy:
        Lockfile(stage.repo, str(copy)).dump_stages([stage])


def lock_file(stage: Stage) -> Path:
    """The dvc.lock beside the dvc.yaml of a stage."""
    return Path(stage.path).with_suffix(".lock")


@contextmanager
def in_order(stages: Sequence[Stage]) -> Iterator[None]:
    """Put the entries that are new afterwards into the order of these stages, whichever ended first."""
    before = {file: entries(file) for file in map(lock_file, stages)}
    try:
        yield
    finally:
        for file, known in before.items():
            new = [stage.name for stage in stages if lock_file(stage) == file and stage.name not in known]
            _move_to_end(file, new, stages[0].repo)


def entries(file: Path) -> list[str]:
    """Names of the stages in a lock file, in its order."""
    return list(load_yaml(file).get("stages", {})) if file.exists() else []


def _move_to_end(file: Path, names: Sequence[str], repo: Repo) -> None:
    found = entries(file)
    wanted = [name for name in names if name in found]
    if found[len(found) - len(wanted) :] == wanted:
        return
    with lock_repo(repo), replaced(file, repo) as copy, modify_yaml(copy) as content:
        for name in wanted:
            content["stages"][name] = content["stages"].pop(name)


@contextmanager
def replaced(file: Path, repo: Repo) -> Iterator[Path]:
    """A copy of the file to be changed, which takes its place at the end."""
    copy = Path(repo.tmp_dir, file.name)
    copy.unlink(missing_ok=True)  # of a process that was killed
    if file.exists():
        shutil.copy(file, copy)
    yield copy
    os.replace(copy, file)
