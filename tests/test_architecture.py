"""The structure the design promises: imports point one way, stages depend on what they import."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from grokking.catalogue import DEFAULTS, WITHIN

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
ORDER = [
    "config", "disk_errors", "catalogue", "ops", "executors", "data", "identifiability", "updates", "models",
    "experiment", "engine", "training", "storage", "sweeps", "diagnostics", "zoo", "analysis", "explorer",
    "search", "leaderboard",
]  # fmt: skip
LEAVES = {"tracking", "figures", "progress", "api", "cli"}
# leaves that stand beside the stages, and the leaves they use
USERS = {"api": {"figures", "progress"}, "cli": {"api"}}
# Displays of a running experiment: what they do cannot reach an output, so a change must not retrain.
# And where a job runs does not change what it computes.
SHOWN, WHERE = {"tracking", "progress"}, {"executors"}
TRAINING = ("train", "diagnose", "explore", "search", "confirm", "tune")
DISPLAY_ONLY = dict.fromkeys(TRAINING, SHOWN | WHERE) | {"sweep": WHERE, "publish": WHERE}

IMPORT = (ast.Import, ast.ImportFrom)
MODULES = sorted(SOURCE.glob("grokking/**/*.py"))
FILES = {"dvc.yaml": "params.yaml", "extended/dvc.yaml": "extended/params.yaml"}
GRAPHS = {
    graph: {
        stage: definition.get("do", definition) | {"foreach": definition.get("foreach")}
        for stage, definition in YAML(typ="safe").load((ROOT / graph).read_text())["stages"].items()
    }
    for graph in FILES
}
STAGES = [(graph, stage) for graph, stages in GRAPHS.items() for stage in stages]
ENTRY_STAGES = {  # of each entry of a section
    "tasks": {"split"},
    "experiments": {"train", "diagnose", "draw"},
    "studies": {"search", "confirm", "report_search"},
    "tuning": {"tune"},
    "sweeps": {"sweep", "report_sweep"},
    "reports.groups": {"compare"},
}


def imported(file: Path) -> set[str]:
    """Dotted names of everything a file imports, also inside functions."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, IMPORT)]
    return {name for node in nodes for name in imported_by(node)}


def imported_by(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Dotted names of what one statement imports."""
    inside = f"{node.module}." if isinstance(node, ast.ImportFrom) and node.module else ""
    return {f"{inside}{alias.name}" for alias in node.names}


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
        assert other not in LEAVES - USERS.get(own, set()) - {own}, f"{file} imports the leaf {name}"
        if own in ORDER:
            assert ORDER.index(other) < ORDER.index(own), f"{file} imports {name}"


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("mlflow", "tracking"),
        ("matplotlib", "figures"),
        ("optuna", "search"),
        ("grpc", "search"),
        ("statsmodels", "analysis"),
    ],
)
def test_library_stays_in_its_place(library, home):
    for file in [*MODULES, *ROOT.glob("pipelines/**/*.py")]:
        if any(name.split(".")[0] == library for name in imported(file)):
            assert part(".".join(file.relative_to(SOURCE).with_suffix("").parts)) == home, file


@pytest.mark.parametrize("library", ["mlflow", "statsmodels", "scipy.stats"])  # each takes a second or more
def test_library_is_imported_lazily(library):
    for file in MODULES:
        at_once = [node for node in ast.parse(file.read_text()).body if isinstance(node, IMPORT)]
        names = {f"{name}." for node in at_once for name in imported_by(node)}
        assert not [name for name in names if name.startswith(f"{library}.")], file


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


def written_and_read(stages: dict, kind: str) -> set[str]:
    """Everything that the stages of a graph list under `deps`, `outs` or `metrics`."""
    listed = [entry for stage in stages.values() for entry in stage.get(kind, [])]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in listed}


@pytest.mark.parametrize(("graph", "stage"), STAGES)
def test_stage_depends_on_everything_it_imports(graph, stage):
    """DVC does not see Python imports, so `deps` must cover them."""
    deps = [ROOT / dep for dep in GRAPHS[graph][stage]["deps"] if "$" not in dep]
    for file in reached(ROOT / "pipelines" / f"{stage}.py", DISPLAY_ONLY.get(stage, set())):
        assert any(file == dep or dep in file.parents for dep in deps), (
            f"{stage} needs {file.relative_to(ROOT)}"
        )


@pytest.mark.parametrize(("graph", "stage"), STAGES)
def test_stage_depends_on_no_code_that_is_gone(graph, stage):
    for dep in GRAPHS[graph][stage]["deps"]:
        assert "$" in dep or dep.startswith(("artifacts", "reports", "results")) or (ROOT / dep).exists(), dep


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("stage", ["train", "search", "confirm", "tune"])
def test_training_does_not_depend_on_how_it_is_shown(graph, stage):
    deps = GRAPHS[graph].get(stage, {"deps": []})["deps"]
    shown = (*LEAVES, *(f"analysis/{page}" for page in ("pages", "comparison", "methods", "results")))
    assert not [dep for dep in deps if any(f"src/grokking/{part}" in dep for part in shown)]
    assert not [dep for dep in deps if dep in ("src/grokking/analysis", "pipelines/common/reports.py")]


@pytest.mark.parametrize(("graph", "stage"), STAGES)
def test_stage_has_the_name_of_its_script(graph, stage):
    definition = GRAPHS[graph][stage]
    command = ["python", "-m", f"pipelines.{stage}"]
    if definition["foreach"]:  # quoted, since the shell sees it
        command.append("'${item}'" if definition["foreach"] == "${reports.groups}" else "'${key}'")
    assert [word for word in definition["cmd"].split() if not word.startswith("--")] == command
    assert (ROOT / "pipelines" / f"{stage}.py").exists()


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_section_of_a_params_file_has_its_stages(graph):
    params = YAML(typ="safe").load((ROOT / FILES[graph]).read_text())
    sections = {**params, "reports.groups": params["reports"]["groups"]}
    for section, stages in ENTRY_STAGES.items():
        for stage in stages & set(GRAPHS[graph]):
            assert GRAPHS[graph][stage]["foreach"] == f"${{{section}}}"
        if section in sections and section != "reports.groups":
            assert stages & set(GRAPHS[graph])


@pytest.mark.parametrize(("graph", "stage"), [*STAGES])
def test_stage_of_an_entry_has_the_entry_what_it_extends_and_the_defaults_as_parameters(graph, stage):
    definition = GRAPHS[graph][stage]
    section = (definition["foreach"] or "").strip("${}")
    if section in ("", "reports.groups") or stage in (
        "diagnose",
        "draw",
    ):  # the artifacts of a run hold what it is
        return
    own = {f"{section}.${{key}}", "${item.extends}"}
    within = WITHIN.get(section, {})  # entries within the entry
    own |= {f"${{item.{key}.extends}}" for key in within}
    used = {DEFAULTS[each] for each in (section, *within.values())}
    defaults = {f"defaults.{name}" for name in used}
    if graph == "dvc.yaml":
        assert set(definition["params"]) == own | defaults
    else:
        (long,) = [entry for entry in definition["params"] if isinstance(entry, dict)]
        assert set(long["extended/params.yaml"]) == own
        assert {entry for entry in definition["params"] if isinstance(entry, str)} == defaults


def test_every_stage_waits_for_the_check_of_all_entries():
    """DVC writes the outputs of a stage, and must not those of an entry called `../../src`."""
    stages = {f"{graph}:{name}": stage for graph in GRAPHS for name, stage in GRAPHS[graph].items()}
    waiting = {"dvc.yaml:check"}
    while True:
        written = set.union(*(folders(stages[name], "outs") for name in waiting))
        found = {name for name, stage in stages.items() if overlap(folders(stage, "deps"), written)}
        if found <= waiting:
            break
        waiting |= found
    assert waiting == set(stages)


def folders(stage, kind):
    """Where outputs and dependencies lie, without what follows from the name of an entry."""
    paths = [path if isinstance(path, str) else next(iter(path)) for path in stage.get(kind, [])]
    return {path.split("/${")[0] for path in paths}


def overlap(read, written):
    return any(f"{a}/".startswith(f"{b}/") or f"{b}/".startswith(f"{a}/") for a in read for b in written)


def test_mlruns_is_no_output_but_for_the_manifest():
    outs = set.union(*(written_and_read(stages, "outs") for stages in GRAPHS.values()))
    assert [out for out in outs if "mlruns" in out] == ["mlruns/manifest.json"]


def test_the_readme_is_no_output():
    for stages in GRAPHS.values():
        outs = written_and_read(stages, "outs") | written_and_read(stages, "metrics")
        assert not [out for out in outs if "README" in out]
    for file in ROOT.glob("pipelines/**/*.py"):
        assert ("README" in file.read_text()) == (file.name == "readme.py"), file


def test_every_study_of_the_default_graph_is_published():
    """`publish` names them one by one, since the folder that holds them is the long studies' too."""
    for study in YAML(typ="safe").load((ROOT / "params.yaml").read_text())["studies"]:
        needed = {f"results/search/{study}", f"results/confirm/{study}", f"reports/search/{study}"}
        assert needed <= set(GRAPHS["dvc.yaml"]["publish"]["deps"])


def test_the_default_graph_needs_nothing_of_the_long_studies():
    """A folder that both write to, as a dependency, would make DVC run the other's stages first."""
    groups = YAML(typ="safe").load((ROOT / "extended" / "params.yaml").read_text())["reports"]["groups"]
    long = GRAPHS["extended/dvc.yaml"]
    outs = written_and_read(long, "outs") | written_and_read(long, "metrics")
    written = {out.replace("${item.group}", group) for out in outs for group in groups}
    needed = {dep for dep in written_and_read(GRAPHS["dvc.yaml"], "deps") if "$" not in dep}
    assert "results/runs/records/${key}" in written
    assert not [(dep, out) for dep in needed for out in written if f"{out}/".startswith(f"{dep}/")]


def test_scripts_are_short():
    for file in ROOT.glob("pipelines/*.py"):
        assert len(file.read_text().splitlines()) <= 50, file


LIBRARIES = ("storage.open", "Image.open")  # of Optuna, and of Pillow


def opened_as_text(node: ast.AST) -> bool:
    """Whether a call reads or writes text in the encoding of the locale."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    binary = any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in node.args)
    opens = name == "open" and not binary and ast.unparse(node.func) not in LIBRARIES
    text = opens or name in {"read_text", "write_text"} or given.get("text") == "True"
    return text and "encoding" not in given


# these read plain ASCII; every edit of them would have every network trained again
ASCII = {"src/grokking/ops/matmul.py", "src/grokking/training/fingerprint.py"}


def test_no_text_is_in_the_encoding_of_the_locale():
    """It is ASCII where LC_ALL=C, and pages have letters beyond it."""
    for file in [*MODULES, *ROOT.glob("pipelines/**/*.py"), *ROOT.glob("tools/*.py")]:
        calls = [
            node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if opened_as_text(node)
        ]
        path = str(file.relative_to(ROOT))
        assert path in ASCII or not calls, f"{path}: {[f'line {c.lineno}: {ast.unparse(c)}' for c in calls]}"
