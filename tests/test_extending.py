"""docs/extending.md followed to the letter in a temporary copy of the repository.

A recipe is a section `## A thing: n files`. An edit is a line that says where, and the block below it:

    In `file`, after `part of a line`:      the block goes below that line
    In `file`, before `part of a line`:     above it
    In `file`, instead of `text`:           in the place of that text
    In `file`, at the end:
    New file `file`:

`Tests: `name`` names the tests of the new thing, as for `pytest -k`. What is left out is told by name.
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
    "An operation": 2, "A model family": 3, "An optimizer": 2, "A gradient filter": 2, "A weight clamp": 2,
    "A loss": 2, "A diagnostic": 2, "A study": 1, "A group of long runs": 2, "A claim": 1,
    "A key of the configuration": 3,
}  # fmt: skip
EDIT = re.compile(
    r"^(?:New file|In) `(?P<file>[^`]+)`"
    r"(?:, (?P<where>at the end|after|before|instead of)(?: `+ ?(?P<anchor>.+?) ?`+)?)?:\n"
    r"\n```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
REPORT = ["-rpfE", "-p", "no:cacheprovider"]
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
new = {
    "gradient_filter": examples.FILTERS["clip"], "weight_clamp": examples.CLAMPS["box"],
    "loss": "focal", "readout_scale": 0.5, "budget": 5,
}
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
    tests: list[str]  # words for `pytest -k`


def read_recipes(page: str) -> list[Recipe]:
    """The recipes of a page; an edit that is not understood is an error."""
    recipes = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        name, files = re.match(r"(.+): (\d+) files?\n", section).groups()
        edits = [Edit(**found.groupdict()) for found in EDIT.finditer(section)]
        assert len(edits) == section.count("\n```\n"), f"{name}: a block without a line that says where"
        (line,) = re.findall(r"^Tests: (.+)$", section, re.MULTILINE)
        tests = re.findall(r"`(\w+)`", line)
        recipes.append(Recipe(name, int(files), edits, tests))
    return recipes


RECIPES = read_recipes(PAGE.read_text())


# Files that are easily forgotten, and what is said then
FORGOTTEN = ("tests/examples.py", "tests/reference.py", "docs/", "src/grokking/analysis/comparison.py")
TOLD = {
    "tests/test_engine.py::test_every_kind_has_an_example": [
        "add an example of bilinear to MODELS",
        "add an example of rmsprop to OPTIMIZERS",
        "add an example of clip to FILTERS",
        "add an example of box to CLAMPS",
    ],
    "tests/test_data.py::test_modular_table_equals_definition": ["KeyError: 'sum_of_cubes'"],
    "tests/test_engine.py::test_stack_equals_sequential_training[cpu-one_hot_mlp-sgd-focal-1]": [
        "add a slow twin of the loss focal"
    ],
    "tests/test_config.py::test_every_choice_is_documented": [
        f"say in docs/choices.md what {name} is"
        for name in ("sum_of_cubes", "bilinear", "rmsprop", "clip", "box", "focal")
    ],
    "tests/test_config.py::test_every_key_of_an_experiment_is_documented": [
        "say in docs/choices.md what readout_scale is"
    ],
    "tests/test_diagnose.py::test_the_page_lists_every_diagnostic": [
        "add prediction_entropy to docs/diagnostics.md"
    ],
    "tests/test_studies.py::test_every_group_of_long_runs_has_its_columns_and_every_record_its_run": [
        "cubes"
    ],
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the repository in which every recipe was followed."""
    return copy_with(
        [edit for recipe in RECIPES for edit in recipe.edits], tmp_path_factory.mktemp("extended")
    )


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory) -> Path:
    """The same without what is easily forgotten."""
    edits = [edit for recipe in RECIPES for edit in recipe.edits if not edit.file.startswith(FORGOTTEN)]
    return copy_with(edits, tmp_path_factory.mktemp("forgetful"))


def copy_with(edits: list[Edit], folder: Path) -> Path:
    """A copy of the repository with these edits."""
    kept = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], **kept).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for edit in edits:
        edit.apply(folder)
    return folder


@pytest.fixture(scope="module")
def tested(extended) -> str:
    """What pytest printed of the tests that the recipes name, all run at once."""
    chosen = " or ".join(dict.fromkeys(word for recipe in RECIPES for word in recipe.tests))
    return run(extended, "-m", "pytest", "-k", f"({chosen}) and not extending", *REPORT).stdout


@pytest.fixture(scope="module")
def told(forgetful) -> str:
    """What pytest printed where something was forgotten."""
    return run(forgetful, "-m", "pytest", *TOLD, *REPORT).stdout


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
    for word in recipe.tests:
        results = [line for line in tested.splitlines() if "::" in line and word in line]
        failed = [line for line in results if line.startswith(("FAILED", "ERROR"))]
        assert not failed, "\n".join(failed)
        assert any(line.startswith("PASSED") for line in results), (
            f"no test of {word} passed\n{tested[-2000:]}"
        )


def test_a_network_is_trained_with_all_of_it(extended):
    done = run(extended, "-c", TRAINS_IT_ALL)
    assert done.returncode == 0, done.stderr


def test_the_code_has_the_style_of_the_house(extended):
    assert run(extended, "-m", "ruff", "format", "src", "tests").returncode == 0
    assert run(extended, "-m", "ruff", "check", "src", "tests").stdout == "All checks passed!\n"


@pytest.mark.parametrize("message", [message for messages in TOLD.values() for message in messages])
def test_what_is_forgotten_is_told_by_name(message, told):
    assert any(message in line for line in told.splitlines() if line.startswith("E ")), told


def test_a_key_without_a_value_is_told_by_name(forgetful):
    shutil.copy(ROOT / "params.yaml", forgetful / "params.yaml")
    done = run(forgetful, "-m", "pipelines.train", "wide_mlp")
    assert done.stderr == "error: `experiments.wide_mlp.readout_scale` is missing or incomplete; add it\n"


def test_a_group_without_columns_is_told_by_name(forgetful):
    done = run(forgetful, "-m", "pipelines.compare", "cubes")
    assert done.stderr.startswith("error: group `cubes` has no columns; ")
