"""The pages name what is there, and the reading path is as short as it says."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
OTHERS = {"log.md", "extending.md"}  # what once was; files to be made, in a test of its own
PAGES = [page for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")] if page.name not in OTHERS]
FOLDERS = [ROOT, ROOT / "src" / "grokking"]
MOST_LINES = 1200
PATH = re.compile(r"(?:[\w.-]+/)*(?:[\w.-]+\.(?:py|js|ts|md|yaml)|[\w.-]+/)")  # a file, or a folder/
DEFINITIONS = ast.FunctionDef | ast.ClassDef


def quoted(text: str) -> list[str]:
    """Everything in single backticks outside of blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def located(name: str) -> Path:
    """The file or folder that a page names, from the root or src/grokking on, or a file by its name alone."""
    found = [folder / name for folder in FOLDERS if (folder / name).exists()]
    found += FOLDERS[1].rglob(name) if "/" not in name else []
    assert found, f"{name} does not exist"
    return found[0]


def sources() -> list[ast.Module]:
    files = [file for folder in ("src", "pipelines") for file in (ROOT / folder).rglob("*.py")]
    return [ast.parse(file.read_text()) for file in files]


def definitions(tree: ast.Module) -> dict[str, ast.AST]:
    """Functions, classes, their methods and fields, constants: `name` and `Class.name`."""
    found: dict[str, ast.AST] = {}
    for owner in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        prefix = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
        for node in owner.body:
            if isinstance(node, DEFINITIONS):
                found[prefix + node.name] = node
            elif isinstance(node, ast.Assign):
                found |= {prefix + t.id: node for t in node.targets if isinstance(t, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[prefix + node.target.id] = node
    return found


def strings(tree: ast.Module) -> set[str]:
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def stages_and_entries() -> set[str]:
    names = ("dvc.yaml", "params.yaml", "extended/dvc.yaml")
    files = [YAML(typ="safe").load((ROOT / name).read_text()) for name in names]
    return {name for file in files for section in file.values() for name in section}


def lines_to_read(row: str) -> int:
    """Lines of the file that a row of the table names, or of the definitions that it picks from the file."""
    file, *picked = quoted(row.split("|")[1])
    text = located(file).read_text()
    if not picked:
        return len(text.splitlines())
    nodes = [definitions(ast.parse(text))[name.removesuffix("()")] for name in picked]
    return sum(node.end_lineno - node.lineno + 1 for node in nodes)


def reading_path() -> list[str]:
    table = re.search(r"<!-- reading path -->\n(.*?)<!-- end", ARCHITECTURE.read_text(), re.DOTALL)[1]
    return table.splitlines()[2:]


def test_the_reading_path_is_short():
    lines = {row.split("|")[1].strip(): lines_to_read(row) for row in reading_path()}
    assert len(lines) > 10
    assert sum(lines.values()) <= MOST_LINES, lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    for name in quoted(page.read_text()):
        if PATH.fullmatch(name) and not name.startswith((".", "artifacts/", "results/")):
            located(name)


def test_names_on_the_architecture_page_exist():
    """Of what stands in backticks alone: a function or method with its (), a class, a constant, a key."""
    trees = sources()
    known = {name for tree in trees for name in definitions(tree)}
    other = {text for tree in trees for text in strings(tree)} | stages_and_entries()
    other |= {path.name for path in (ROOT / "src" / "grokking").iterdir()}
    for name in quoted(ARCHITECTURE.read_text()):
        if " " in name:
            assert not name.startswith("make ") or f"\n{name[5:]}:" in (ROOT / "Makefile").read_text(), name
        elif name.startswith("ops."):
            continue  # a line of code
        elif not PATH.fullmatch(name):
            is_definition = name.endswith("()") or name[0].isupper()
            called = name.removesuffix("()")
            assert called in known or (not is_definition and name in other), f"{name} does not exist"


def test_the_tree_on_the_architecture_page_exists():
    tree = re.search(r"```\n(README\.md.*?)```", ARCHITECTURE.read_text(), re.DOTALL)[1]
    folder = ROOT
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = ROOT / name if name.endswith("/") else ROOT
        found = (folder if line.startswith(" ") else ROOT) / name
        assert found.exists(), f"{name} does not exist"


def test_the_version_is_the_same_everywhere():
    version = re.search(r'^version = "(.+?)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+) \((\S+)\)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == citation["version"] == version
    assert newest[2] == str(citation["date-released"])


def test_tests_that_the_page_on_reliability_names_exist():
    named = re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", (ROOT / "docs" / "reliability.md").read_text())
    assert named
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text() or not test, f"{file} has no {test}"


def test_what_python_was_tried_is_said_alike():
    (versions,) = re.findall(r"\(tried: ([\d., and]+), on Linux\)", (ROOT / "README.md").read_text())
    makefile = (ROOT / "Makefile").read_text()
    assert f"Tried with Python {versions} on Linux." in makefile
    assert all(f'"Python {version} on Linux"' in makefile for version in versions.split(" and "))
