"""A refactoring in a temporary copy of the repository: compared bit by bit, accepted without training."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from grokking.config import ConfigError
from grokking.updates.optimizers import OPTIMIZERS
from refactoring.replicas import every_kind
from refactoring.same import differences
from refactoring.stages import write_params

ROOT = Path(__file__).parents[1]
TRAINED = ["diagnose@wide_mlp", "extended/dvc.yaml:train@quadratic_mlp"]
LAYERS = "src/grokking/models/layers.py"


def run(folder: Path, *command: str, code: int = 0) -> str:
    """Run a command in the folder with the environment a user has; returns what it printed."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "DVC_ROOT", "GROKKING"))
    }
    environment |= {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    run(folder, "git", *who, "commit", "--quiet", "-m", message)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The repository with tests/tiny.yaml as its params, a few stages reproduced, all of it committed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file() and not name.endswith(".lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    write_params(folder)
    edit(folder, "refactoring/stages.py", '    "search quick",\n    "confirm quick",\n', "")  # a minute less
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "repro", *TRAINED)
    commit(folder, "results")
    return folder


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def would_run(folder: Path) -> set[str]:
    """Of the stages that were trained, those that DVC would run again."""
    return set(json.loads(run(folder, "dvc", "status", "--json", *TRAINED, "--with-deps")))


def test_a_changed_factor_is_red_and_named_and_not_accepted(copy):
    edit(copy, LAYERS, "std=fan_in**-0.5", "std=1.001 * fan_in**-0.5")
    try:
        printed = run(copy, "python", "-m", "refactoring.accept", code=1)
        families = ("one_hot_mlp", "embedding_mlp", "normed_mlp", "transformer")
        named = {line.partition(" (")[0] for line in printed.splitlines() if line.startswith("different")}
        assert named == {f"different: {family} model.initialisation=lecun_normal" for family in families}
        assert "red: 4 of" in printed
        assert "with changes that are not committed" in printed
        assert "nothing is accepted" in printed
        assert "train@wide_mlp" in would_run(copy)
    finally:
        run(copy, "git", "checkout", "--quiet", LAYERS)


def test_a_renamed_local_is_green_and_its_results_are_accepted(copy):
    """Whether outputs are cached, lost from the cache or not here at all; but not with another parameter."""
    loop = "    for parameter in model.parameters():\n        parameter.mul_(scale)"
    edit(
        copy, LAYERS, loop, "    # a comment\n" + loop.replace("parameter ", "p ").replace("parameter.", "p.")
    )
    edit(copy, "extended/params.yaml", "budget: 60\n    replicas: {", "budget: 61\n    replicas: {")
    shutil.rmtree(copy / ".dvc/cache/files")
    shutil.rmtree(copy / "results/splits/tiny")
    printed = run(copy, "python", "-m", "refactoring.accept")
    assert "green: all" in printed
    assert "accepted: train@wide_mlp, diagnose@wide_mlp\n" in printed
    noted = json.loads((copy / "src/grokking/training/accepted_code.json").read_text())
    trained = pd.read_parquet(copy / "results/runs/systems/wide_mlp/replicas.parquet")
    assert set(trained["code"]) <= set(noted["equal"])
    assert noted["code"] not in set(trained["code"])
    assert "not accepted, extended/params.yaml has changed: extended/dvc.yaml:train@quadratic_mlp" in printed
    printed = run(copy, "dvc", "repro", "diagnose@wide_mlp")
    assert re.findall(r"Running stage '([^']+)'", printed) == ["check", "split@tiny"]
    assert would_run(copy) == {"extended/dvc.yaml:train@quadratic_mlp"}


def test_differences_name_what_is_missing_and_which_part_differs():
    then = {"a": {"history": "1", "parameters": "2"}, "b": {"history": "3"}, "c": {"history": "4"}}
    now = {"a": {"history": "0", "parameters": "2"}, "c": {"history": "4"}, "d": {"history": "5"}}
    assert differences(now, then) == ["different: a (history)", "missing: b"]


def test_what_has_no_example_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "rmsprop", OPTIMIZERS["sgd"])
    with pytest.raises(ConfigError, match=r"`rmsprop` has no example; add one to OPTIMIZERS"):
        every_kind()
