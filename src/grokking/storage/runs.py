"""A trained experiment as it lies on disk: read, and refused where a file is damaged."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.config import ConfigError
from grokking.storage.whole_file import whole_file

TABLES = ("replicas.parquet", "history.parquet")
FACTS = "run.json"  # written last: a folder that has it is whole


@dataclass(frozen=True)
class Run:
    """A trained experiment as it lies on disk: a row per replica, a row per evaluation, and run.json."""

    replicas: pd.DataFrame
    history: pd.DataFrame
    facts: dict[str, Any]


def exists(folder: Path) -> bool:
    """Whether any replica of an experiment has been trained."""
    return (folder / FACTS).exists()


def read(folder: Path) -> Run:
    """The tables of a trained experiment; ConfigError where there are none or one is damaged."""
    if not exists(folder):
        raise ConfigError(f"{folder} holds no run; run `dvc repro train@{folder.name}` first")
    facts = read_facts(folder / FACTS)
    for name, expected in facts["sha256"].items():
        require_whole(folder / name, expected)
    replicas, history = (pd.read_parquet(folder / name) for name in TABLES)
    return Run(replicas, history, facts)


def read_facts(file: Path) -> dict[str, Any]:
    """A run.json; ConfigError where it is damaged. Older ones hold no checksums."""
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _damaged(file) from None
    if not isinstance(facts, dict) or not {"fingerprint", "sha256"} & facts.keys():
        raise _damaged(file)
    return {"sha256": {}} | facts


def put_in_place(fresh: Path, folder: Path) -> None:
    """Replace a folder by a whole new one: who is killed on the way leaves either, for `recover` to find."""
    earlier = folder.with_name(f".{folder.name}.earlier.unfinished")
    shutil.rmtree(earlier, ignore_errors=True)
    if folder.exists():
        folder.rename(earlier)
    fresh.rename(folder)
    shutil.rmtree(earlier, ignore_errors=True)


def recover(fresh: Path, folder: Path, last: str = FACTS) -> None:
    """Finish what a killed `put_in_place` had begun; `last` is the file that is written last."""
    if not folder.exists() and (fresh / last).exists():
        fresh.rename(folder)


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write a run.json, which says that a folder is whole."""
    with whole_file(folder / FACTS) as file:
        file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def as_text_where_mixed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with text in columns whose values are of several types, which no file of columns holds."""
    for name in table:
        if len({type(value) for value in table[name].dropna()}) > 1 and table[name].dtype == object:
            table[name] = table[name].map(str, na_action="ignore")
    return table


def require_whole(file: Path, expected: str) -> None:
    """Raise ConfigError where a file of a trained experiment is missing or not as it was written."""
    if not file.exists() or checksum(file) != expected:
        raise _damaged(file)


def read_table(file: Path) -> pd.DataFrame:
    """A table of a stage; ConfigError where it is damaged."""
    require_as_written(file)
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise _damaged(file) from error


def require_as_written(file: Path) -> None:
    """Raise ConfigError where the run.json beside a file has another sum of it; older ones have none."""
    facts = file.with_name(FACTS)
    known = read_facts(facts)["sha256"] if facts.exists() else {}
    if expected := known.get(file.name):
        require_whole(file, expected)


def checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What a run.json holds of the files beside it."""
    return {name: checksum(folder / name) for name in names}


def _damaged(file: Path) -> ConfigError:
    return ConfigError(
        f"{file} is missing or damaged; restore it (tables: `git checkout`, snapshots: `dvc checkout`), "
        "or remove its folder and train again"
    )


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
