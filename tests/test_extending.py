"""docs/extending.md followed to the letter in a temporary copy of the repository.

A recipe is a section `## A thing: n files`. An edit is a line that says where, and the block below it:

    In `file`, after `part of a line`:      the block goes below that line
    In `file`, before `part of a line`:     above it
    In `file`, instead of `text`:           in the place of that text
    In `file`, at the end:
    New file `file`:

`Tests: `name`` names the tests of the new thing, as for `pytest -k`.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
PROMISED = {
    "An operation": 2, "A model family": 3, "An optimizer": 2, "A gradient filter": 2, "A loss": 2,
    "A diagnostic": 2, "A study": 1, "A group of long runs": 2, "A key of the configuration": 3,
}  # fmt: skip
EDIT = re.compile(
    r"^(?:New file|In) `(?P<file>[^`]+)`"
    r"(?:, (?P<where>at the end|after|before|instead of)(?: `+ ?(?P<anchor>.+?) ?`+)?)?:\n"
    r"\n```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TRAINS_IT_ALL = """
import examples
from grokking.config import load
from grokking.data import tasks
from grokking.diagnostics import suite
from grokking.experiment import expand
from grokking.training.loop import train

task = tasks.build(load(tasks.TaskConfig, {
    "operation": {"name": "sum_of_cubes", "modulus": 7}, "labels": {"name": "exact"},
    "split": {"name": "random", "train_fraction": 0.6}, "split_seeds": [0],
}, "task"), "task")
new = {"gradient_filter": examples.FILTERS["clip"], "loss": "focal", "logit_noise": 0.1, "budget": 5}
replicas = expand(examples.experiment("bilinear", "rmsprop", **new), "experiment")
first, *_, last = train(replicas, task, "cpu")
assert first.metrics["train_loss"] != last.metrics["train_loss"]
assert "prediction_entropy" in suite.SUITE
"""


@dataclass(frozen=True)
class Edit:
    file: str
    where: str | None  # None: a new file
    anchor: str | None
    block: str

    def apply(self, folder: Path) -> None:
        file = folder / self.file
        if self.where is None:
            assert not file.exists(), f"{self.file} is there already"
            file.write_text(self.block)
            return
        file.write_text(self.edited(file.read_text()))

    def edited(self, text: str) -> str:
        if self.where == "at the end":
            return text + self.block
        assert text.count(self.anchor) == 1, (
            f"{self.file} holds {self.anchor!r} {text.count(self.anchor)} times"
        )
        if self.where == "instead of":
            return text.replace(self.anchor, self.block.strip())
        lines = text.splitlines(keepends=True)
        (number,) = [number for number, line in enumerate(lines) if self.anchor in line]
        number += self.where == "after"
        return "".join([*lines[:number], self.block, *lines[number:]])


@dataclass(frozen=True)
class Recipe:
    name: str
    files: int  # that the page promises
    edits: list[Edit]
    tests: str  # for `pytest -k`


def read_recipes(page: str) -> list[Recipe]:
    """The recipes of a page; an edit that is not understood is an error."""
    recipes = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        name, files = re.match(r"(.+): (\d+) files?\n", section).groups()
        edits = [Edit(**found.groupdict()) for found in EDIT.finditer(section)]
        assert len(edits) == section.count("\n```\n"), f"{name}: a block without a line that says where"
        (tests,) = re.findall(r"^Tests: `(.+)`$", section, re.MULTILINE)
        recipes.append(Recipe(name, int(files), edits, tests))
    return recipes


RECIPES = read_recipes(PAGE.read_text())


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the repository in which every recipe was followed."""
    folder = tmp_path_factory.mktemp("extended")
    kept = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], **kept).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for recipe in RECIPES:
        for edit in recipe.edits:
            edit.apply(folder)
    return folder


@pytest.fixture(scope="module")
def tested(extended) -> str:
    """What pytest printed of the tests that the recipes name, all run at once."""
    chosen = " or ".join(dict.fromkeys(recipe.tests for recipe in RECIPES))
    selection = ["-k", f"({chosen}) and not extending", "-rpfE", "-p", "no:cacheprovider"]
    return run(extended, "-m", "pytest", *selection).stdout


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | {"PYTHONPATH": f"{folder}/src:{folder}/tests:{folder}"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_promise_has_its_recipe():
    assert {recipe.name: recipe.files for recipe in RECIPES} == PROMISED


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_touches_as_many_files_as_it_promises(recipe):
    files = {edit.file for edit in recipe.edits if not edit.file.startswith("docs/")}
    assert len(files) == recipe.files, files


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_contract_tests_pass_on_the_new_thing(recipe, tested):
    results = [line for line in tested.splitlines() if "::" in line and recipe.tests in line]
    passed = [line for line in results if line.startswith("PASSED")]
    failed = [line for line in results if line.startswith(("FAILED", "ERROR"))]
    assert passed, f"no test of {recipe.tests} passed"
    assert not failed, "\n".join(failed)


def test_a_network_is_trained_with_all_of_it(extended):
    done = run(extended, "-c", TRAINS_IT_ALL)
    assert done.returncode == 0, done.stderr
