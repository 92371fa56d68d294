"""The structure the design promises: imports point one way, stages depend on what they import."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
ORDER = [
    "config", "ops", "data", "updates", "models", "experiment", "engine", "training", "diagnostics",
    "analysis", "search",
]  # fmt: skip
LEAVES = {"tracking", "figures", "progress"}
# Displays of a running experiment: what they do cannot reach an output, so a change must not retrain.
DISPLAY_ONLY = {stage: {"tracking", "progress"} for stage in ("train", "diagnose", "search", "confirm")}

MODULES = sorted(SOURCE.glob("grokking/**/*.py"))
STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def imported(file: Path) -> set[str]:
    """Dotted names of everything a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part(dotted: str) -> str | None:
    """The part of the package a name belongs to: grokking.data.tasks.Task -> data."""
    pieces = dotted.split(".")
    return pieces[1] if pieces[0] == "grokking" and len(pieces) > 1 else None


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_one_way(file):
    own = part(".".join(file.relative_to(SOURCE).with_suffix("").parts))
    for name in imported(file):
        other = part(name)
        if other is None or own in {None, other}:
            continue
        assert other not in LEAVES, f"{file} imports the leaf {name}"
        if own in ORDER:
            assert ORDER.index(other) < ORDER.index(own), f"{file} imports {name}"


@pytest.mark.parametrize(
    ("library", "home"), [("mlflow", "tracking"), ("matplotlib", "figures"), ("optuna", "search")]
)
def test_library_stays_in_its_place(library, home):
    for file in [*MODULES, *ROOT.glob("pipelines/*.py")]:
        if any(name.split(".")[0] == library for name in imported(file)):
            assert part(".".join(file.relative_to(SOURCE).with_suffix("").parts)) == home, file


def test_mlflow_is_imported_lazily():
    for file in MODULES:
        for node in ast.parse(file.read_text()).body:
            assert "mlflow" not in ast.unparse(node).split(".")[0] or not isinstance(
                node, ast.Import | ast.ImportFrom
            )


def files_of(module: str) -> list[Path]:
    """The file of a dotted module and of the packages above it; a trailing attribute is ignored."""
    pieces = module.split(".")
    base = SOURCE if pieces[0] == "grokking" else ROOT
    found = [base.joinpath(*pieces[:n], "__init__.py") for n in range(1, len(pieces) + 1)]
    found += [base.joinpath(*pieces[:n]).with_suffix(".py") for n in range(1, len(pieces) + 1)]
    return [file for file in found if file.exists()]


def reached(file: Path, skip: set[str]) -> set[Path]:
    """Every file of the project that importing `file` reads, but for the parts in `skip`."""
    seen, queue = set(), [file]
    while queue:
        current = queue.pop()
        if current in seen:
            continue
        seen.add(current)
        for name in imported(current):
            if name.split(".")[0] in {"grokking", "pipelines"} and part(name) not in skip:
                queue += files_of(name)
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_everything_it_imports(stage):
    """DVC does not see Python imports, so `deps` must cover them."""
    definition = STAGES[stage].get("do", STAGES[stage])
    deps = [ROOT / dep for dep in definition["deps"] if "$" not in dep]
    for file in reached(ROOT / "pipelines" / f"{stage}.py", DISPLAY_ONLY.get(stage, set())):
        assert any(file == dep or dep in file.parents for dep in deps), (
            f"{stage} needs {file.relative_to(ROOT)}"
        )


def test_training_does_not_depend_on_how_it_is_shown():
    deps = STAGES["train"]["do"]["deps"]
    assert not [dep for dep in deps if any(leaf in dep for leaf in (*LEAVES, "analysis"))]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_has_the_name_of_its_script_and_whole_sections_as_params(stage):
    definition = STAGES[stage].get("do", STAGES[stage])
    assert definition["cmd"].split()[:3] == ["python", "-m", f"pipelines.{stage}"]
    params = [re.sub(r"\$\{.*?\}", "entry", name) for name in definition.get("params", [])]
    assert all(len(name.split(".")) <= 2 for name in params)


def test_mlruns_is_no_output_but_for_the_manifest():
    outs = [str(out) for s in STAGES.values() for out in s.get("do", s).get("outs", [])]
    assert [out for out in outs if "mlruns" in out] == ["{'mlruns/manifest.json': {'cache': False}}"]


def test_every_study_of_the_default_graph_is_published():
    """`publish` names them one by one, since the folder that holds them is the long studies' too."""
    for study in YAML(typ="safe").load((ROOT / "params.yaml").read_text())["studies"]:
        needed = {f"artifacts/search/{study}", f"artifacts/confirm/{study}", f"reports/search/{study}"}
        assert needed <= set(STAGES["publish"]["deps"])


def test_the_default_graph_needs_nothing_of_the_long_studies():
    """A folder that both write to, as a dependency, would make DVC run the other's stages first."""
    extended = YAML(typ="safe").load((ROOT / "extended" / "dvc.yaml").read_text())["stages"]
    written = {out.partition("/$")[0] for s in extended.values() for out in map(str, s.get("do", s)["outs"])}
    needed = {dep for s in STAGES.values() for dep in s.get("do", s)["deps"] if "$" not in dep}
    assert "artifacts/splits" in written
    assert not needed & written
