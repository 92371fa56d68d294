"""Snapshots of trained networks: a folder per replica, a file per step, and their checksums."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import save_file

from grokking.config import ConfigError
from grokking.storage.runs import checksum, put_in_place, require_whole
from grokking.training.records import Evaluation

NAME = re.compile(r"step_(\d+)\.safetensors")
CHECKSUMS = "sha256.json"  # written last: a folder that has it is whole


def save(folder: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write the parameters of one replica at every step that kept them."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for evaluation in evaluations:
        if evaluation.parameters is not None:
            save_file(evaluation.parameters, unfinished / f"step_{evaluation.step}.safetensors")
    checksums = {file.name: checksum(file) for file in sorted(unfinished.iterdir())}
    (unfinished / CHECKSUMS).write_text(json.dumps(checksums, indent=2) + "\n", encoding="utf-8")
    put_in_place(unfinished, folder)


def are_whole(folder: Path) -> bool:
    """Whether all snapshots of a replica were written."""
    return (folder / CHECKSUMS).exists()


def files(folder: Path) -> dict[int, Path]:
    """The files of one replica by step; ConfigError where one is missing or damaged."""
    if not are_whole(folder):
        raise ConfigError(f"{folder} holds no snapshots; run `dvc repro --force train@{folder.parent.name}`")
    found = {}
    for name, expected in json.loads((folder / CHECKSUMS).read_text(encoding="utf-8")).items():
        require_whole(folder / name, expected)
        step = NAME.fullmatch(name)
        assert step is not None, name
        found[int(step[1])] = folder / name
    return found
