"""The whole pipeline with DVC in a temporary clone on a tiny study, and what a changed line runs again."""

import contextlib
import difflib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from clones import README, ROOT, environment, heed_ctrl_c, run
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from pipelines.common.pages import with_tables

PAGES = ("published", "records", "controls", "operations", "tuning")
pytestmark = pytest.mark.timeout(
    1800
)  # seconds; thirty stages, each a process, on a machine that may be busy
RECIPES = (ROOT / "docs/recipes.md").read_text()
SHOWN, NUMBERS = "embedding_mlp", ("time_to_grok", "ratio")  # that the page shows of experiments
LIST_EXPERIMENTS = next(line for line in RECIPES.splitlines() if line.startswith("dvc exp show"))


def changed(clone: Path) -> set[str]:
    """Names of the stages DVC would run in the default graph."""
    return set(json.loads(run(clone, "dvc", "status", "--json", "dvc.yaml")))


def test_a_second_repro_runs_nothing(clone):
    assert changed(clone) == set()
    assert f"```text\n{run(clone, 'dvc', 'status', 'dvc.yaml')}```" in RECIPES


def test_reports_are_written_and_shown_by_dvc(clone):
    results = json.loads((clone / "reports/results.json").read_text())
    assert set(results["experiments"]) == {
        "numpy_mlp_momentum", "wide_mlp", "wide_mlp_grid", "transformer", "shared_mlp_f30"
    }  # fmt: skip
    assert len(results["experiments"]["wide_mlp_grid"]["grid"]) == 4
    shown = run(clone, "dvc", "metrics", "show").splitlines()
    assert shown[0].split() == ["Path", "generalized", "ratio", "replicas", "time_to_grok"]
    generalized = str(results["experiments"]["wide_mlp"]["generalized"])
    assert ["reports/summary/wide_mlp.json", generalized] in [row.split()[:2] for row in shown]
    assert max(len(row.rstrip()) for row in shown) <= 120
    assert (clone / "README.md").read_text() == README
    run(clone, "python", "-m", "pipelines.readme")
    shown = (clone / "README.md").read_text()
    assert (clone / "reports/table.md").read_text() in shown
    assert with_tables(shown, clone) == shown
    (clone / "README.md").write_text(README)
    page = (clone / "reports/index.html").read_text()
    for name in results["experiments"]:
        assert (clone / f"reports/experiments/{name}/curves.png").stat().st_size > 5000
    for figure in re.findall(r'<img src="([^"]+)"', page):
        assert (clone / "reports" / figure).exists(), figure
    curves = json.loads(re.search(r'id="curves">(.*?)</script>', page, re.DOTALL)[1])
    assert {name: len(replicas) for name, replicas in curves.items()} == {
        name: len(pd.read_parquet(clone / f"results/runs/systems/{name}/replicas.parquet")) for name in curves
    }


def test_a_study_is_searched_confirmed_and_reported(clone):
    numbers = json.loads((clone / "reports/search/quick/results.json").read_text())
    assert numbers["arms"]["winner"]["generalized"] == 1
    assert set(numbers["arms"]) == {"winner", "runner_up", "random_best", "published"}
    page = (clone / "reports/search/quick.md").read_text()
    for figure in re.findall(r"\((quick/\w+\.png)\)", page):
        assert (clone / "reports/search" / figure).stat().st_size > 5000
    assert "quick.json" in run(clone, "dvc", "metrics", "show")


def test_every_snapshot_is_diagnosed(clone):
    for folder in (clone / "artifacts/snapshots/systems").iterdir():
        table = pd.read_parquet(clone / "results/diagnostics/systems" / folder.name / "diagnostics.parquet")
        snapshots = list(folder.glob("*/*.safetensors"))
        assert len(table) == len(snapshots)
        network = clone / "results/diagnostics/systems" / folder.name / "network.safetensors"
        assert not network.exists() or network.read_bytes() in [file.read_bytes() for file in snapshots]
        assert table["r_sum"].notna().all()
    assert (clone / "results/diagnostics/systems/wide_mlp/network.safetensors").exists()
    assert "| `r_sum`" in (clone / "reports/diagnostics.md").read_text()
    for name in ("wide_mlp/diagnostics", "transformer/progress", "transformer/portrait"):
        assert f"experiments/{name}.png" in (clone / "reports/index.html").read_text()


WIDE = ("wide_mlp", "wide_mlp_grid", "transformer", "shared_mlp_f30")  # the one, and those that build on it
TINY = {"split@tiny", "split@tiny_division"}
TRAIN_WIDE = {f"train@{name}" for name in WIDE}
SWEPT = {"sweep@tiny_phases", "report_sweep@tiny_phases"}
QUICK = {"search@quick", "confirm@quick", "report_search@quick"}  # its experiment builds on wide_mlp too


@pytest.mark.parametrize(
    ("override", "line", "stages"),
    [
        ("experiments.wide_mlp.budget=61", "budget: 61", TRAIN_WIDE | QUICK | {"report"}),
        (
            "experiments.wide_mlp.optimizer.learning_rate=0.02",
            "learning_rate: 0.02  # of every layer",
            TRAIN_WIDE | QUICK | {"report"},
        ),
        ("experiments.transformer.model.layers=1", "layers: 1", {"train@transformer", "report"}),
        ("experiments.wide_mlp_grid.role=control", "role: control", {"train@wide_mlp_grid", "report"}),
        ("+experiments.wide_mlp_grid.budget=61", "budget: 61", {"train@wide_mlp_grid", "report"}),
        (
            "experiments.numpy_mlp_momentum.batch.size=31",
            "batch: {sampling: with_replacement, size: 31}",
            {"train@numpy_mlp_momentum", "report"},
        ),
        ("tasks.small.operation.modulus=29", "operation: {modulus: 29}", {"split@small", "report"}),
        ("tasks.tiny.split.train_fraction=0.7", "train_fraction: 0.7", TINY | {"report"}),
        ("studies.quick.trials=5", "trials: 5", QUICK),
        ("studies.quick.experiment.budget=151", "budget: 151", QUICK),
        ("defaults.study.sampler.seed=1", "seed: 1", QUICK | {"report"}),
        (
            "defaults.experiment.label_noise=0.1",
            "label_noise: 0.1",
            TRAIN_WIDE | QUICK | SWEPT | {"train@numpy_mlp_momentum", "report"},
        ),
    ],
)
def test_an_override_changes_one_line_and_what_builds_on_it(clone, override, line, stages):
    """Written by the function behind `dvc exp run -S`; the stages are those with a changed parameter."""
    file = clone / "params.yaml"
    original = file.read_text()
    try:
        apply_overrides(file, [override])
        removed, added = differing(original, file.read_text())
        assert len(removed) == (0 if override.startswith("+") else 1)
        assert len(added) == 1
        assert line in added[0]
        assert changed(clone) == {"check"} | stages
    finally:
        file.write_text(original)


def differing(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went and those that came."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [x for x in lines if x.startswith("- ")], [x for x in lines if x.startswith("+ ")]


def test_an_experiment_with_another_value_runs_its_own_stages_only(clone):
    """The real thing, from the command line to the results."""
    try:
        printed = run(
            clone, "dvc", "exp", "run", "-S", "experiments.numpy_mlp_momentum.optimizer.learning_rate=0.2"
        )
        ran = set(re.findall(r"Running stage '([^']+)'", printed))
        own = {f"{stage}@numpy_mlp_momentum" for stage in ("train", "diagnose", "draw")}
        assert ran == own | {"check", "report", "explore", "publish"}
        trained = pd.read_parquet(clone / "results/runs/systems/numpy_mlp_momentum/replicas.parquet")
        assert (trained["optimizer.learning_rate"] == 0.2).all()
        changes = run(clone, "git", "diff", "--unified=0", "params.yaml").splitlines()[4:]
        assert [line[0] for line in changes] == ["@", "-", "+"]
        assert "experiments.numpy_mlp_momentum.optimizer.learning_rate" in run(clone, "dvc", "params", "diff")
    finally:
        run(clone, "git", "checkout", "--quiet", ".")
        run(clone, "dvc", "repro")
    assert changed(clone) == set()


def test_two_queued_experiments_are_in_the_one_store(clone):
    """Each runs in a temporary copy of the repository, and its runs are in the store of the real one."""
    for budget in (21, 23):
        override = f"experiments.transformer.budget={budget}"
        run(clone, "dvc", "exp", "run", "--queue", "--name", f"budget_{budget}", "-S", override)
    run(clone, "dvc", "exp", "run", "--run-all")
    # nothing generalizes within 23 steps, and DVC leaves out a number that no experiment has
    lines = [line.split() for line in shown_experiments(clone, "transformer", "generalized", "replicas")]
    assert ["Experiment", *columns("transformer", "generalized", "replicas")] in lines
    page = [line.split() for line in RECIPES.splitlines()]
    assert ["Experiment", *columns(SHOWN, *NUMBERS)] in page
    named = {line[2] for line in lines if len(line) > 3}
    assert {"[budget_21]", "[budget_23]"} <= named
    with closing(sqlite3.connect(clone / "mlruns" / "mlflow.db")) as store:
        found = store.execute("select value from params where key = 'budget'").fetchall()
    assert {("21",), ("23",)} <= set(found)
    assert run(clone, "git", "status", "--porcelain", "--untracked-files=no") == ""


def shown_experiments(clone: Path, name: str, *numbers: str) -> list[str]:
    """Lines of the page's table of experiments, for another experiment and other numbers."""
    command = shlex.split(LIST_EXPERIMENTS.replace(SHOWN, name).replace("|".join(NUMBERS), "|".join(numbers)))
    lines = run(clone, "env", "COLUMNS=120", *command).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 120
    return lines


def columns(name: str, *numbers: str) -> list[str]:
    return [f"reports/summary/{name}.json:{number}" for number in numbers]


@pytest.mark.parametrize("name", ["a;touch x", "../../note"])
def test_a_name_that_is_no_plain_word_ends_before_anything_is_touched(clone, name):
    """DVC itself would let the shell run the one, and remove the folder that the other names."""
    file, note = clone / "params.yaml", clone / "note" / "kept"
    original = file.read_text()
    try:
        note.parent.mkdir(exist_ok=True)
        note.write_text("kept")
        entry = f'  "{name}":\n    extends: defaults.task\n\nexperiments:\n'
        file.write_text(original.replace("\nexperiments:\n", entry, 1))
        done = subprocess.run(["dvc", "repro"], cwd=clone, capture_output=True, text=True)
        assert done.returncode != 0
        assert f"error: `tasks` in params.yaml: '{name}' is no name of an entry; write" in done.stderr
        assert note.read_text() == "kept"
        assert not (clone / "x").exists()
    finally:
        file.write_text(original)
        shutil.rmtree(note.parent)
        run(clone, "dvc", "repro", "check")  # whose output DVC removed before it failed


@pytest.mark.parametrize("params", ["params.yaml", "extended/params.yaml"])
def test_an_override_of_any_entry_changes_one_line(params, tmp_path):
    """A number of every entry of the real files: as many lines change, and of what is read the numbers."""
    file = Path(shutil.copy(ROOT / params, tmp_path / "params.yaml"))
    before, content = file.read_text(), YAML(typ="safe").load(file.read_text())
    sections = ("experiments", "studies", "tuning")
    paths = {f"{s}.{name}": entry for s in sections for name, entry in content.get(s, {}).items()}
    own = {path: first_number(entry) for path, entry in paths.items()}
    overrides = [f"{path}.{key}=7777" if key else f"+{path}.budget=7777" for path, key in own.items()]
    apply_overrides(file, overrides)

    removed, added = differing(before, file.read_text())
    assert (len(removed), len(added)) == (len(list(filter(None, own.values()))), len(own))
    expected = flat(content) | {f"{path}.{key or 'budget'}": 7777 for path, key in own.items()}
    assert flat(YAML(typ="safe").load(file.read_text())) == expected


def first_number(entry):
    """The dotted key of an entry's first number; empty where it has none of its own."""
    return next((key for key, value in flat(entry).items() if type(value) in (int, float)), "")


def flat(mapping, prefix=""):
    """What stands in nested mappings, by dotted key."""
    found = {}
    for key, value in mapping.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_a_colour_retrains_nothing(clone):
    figures = clone / "src/grokking/figures/style.py"
    original = figures.read_text()
    try:
        figures.write_text(original.replace("#4c72b0", "#4c72b1"))
        drawn = {f"draw@{name}" for name in (*WIDE, "numpy_mlp_momentum")}
        assert changed(clone) == {
            "report", "report_search@quick", "report_sweep@tiny_phases", "explore", "publish", *drawn
        }  # fmt: skip
    finally:
        figures.write_text(original)


def test_lost_mlruns_are_filled_again_without_training(clone):
    shutil.rmtree(clone / "mlruns")
    assert changed(clone) == {"publish"}
    histories = {file: file.stat().st_mtime_ns for file in clone.glob("results/runs/*/*/history.parquet")}
    printed = run(clone, "dvc", "repro")
    assert ", wide_mlp_grid: published" in printed
    assert "pipelines.train" not in printed
    assert {file: file.stat().st_mtime_ns for file in histories} == histories


def test_long_studies_run_by_name_and_are_published(clone):
    """Records, controls, operations and a tuned optimizer, with tasks of their own."""
    run(clone, "dvc", "repro", "extended/dvc.yaml")
    pages_of = {name: (clone / f"reports/extended/{name}.md").read_text() for name in PAGES}
    assert "`numpy_mlp_baseline`" in pages_of["published"]
    page = (clone / "reports/published.md").read_text()
    assert re.search(r"0: one-hot MLP by hand.*of 2.*not run to 40,000", page)
    assert (clone / "reports/published.png").stat().st_size > 5000
    assert "`quadratic_mlp`" in pages_of["records"]
    assert "0." in pages_of["controls"].partition("`corrupted_labels`")[2].partition("\n")[0]
    assert "a b in S_3" in pages_of["operations"]
    assert "2 × 1" in pages_of["tuning"]
    assert (clone / "reports/extended/tuning.png").stat().st_size > 5000
    assert set(json.loads((clone / "reports/extended/operations.json").read_text())) == {
        "addition_adamw", "product_adamw"
    }  # fmt: skip
    assert "weight_clamp.row_norm.max_norm" in (clone / "reports/search/branches.md").read_text()
    assert "(search/quick.md)" in (clone / "reports/searches.md").read_text()
    assert changed(clone) == set()  # of the default graph
    printed = run(clone, "python", "-m", "pipelines.publish")
    for name in (
        "quadratic_mlp", "corrupted_labels", "product_adamw", "adamw_tuning", "adamw", "branches_winner",
        "study branches",
    ):  # fmt: skip
        assert f"{name}: published" in printed


def answers(address: str) -> bool:
    """Whether a server that has just been started answers within a minute."""
    for _ in range(120):
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address) as answer:
            return answer.status == 200
        time.sleep(0.5)
    return False


def test_browse_fills_an_empty_store_while_its_ui_is_open_and_ends_with_ctrl_c(clone, tmp_path):
    """The UI answers in the end, every run is finished, and no process stays."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    other = tmp_path / "other"
    shutil.copytree(
        clone, other, ignore=shutil.ignore_patterns("mlruns", ".checkpoints", "cache"), symlinks=True
    )
    browsing = subprocess.Popen(
        ["python", "-m", "pipelines.browse"], cwd=other, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(other) | {"PORT": port},
        preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    try:
        lines = iter(browsing.stdout.readline, "")
        before = "".join(iter(lines.__next__, "Everything is there:\n"))
        assert ", wide_mlp: published" in before
        list(iter(lines.__next__, "Open the first; stop with Ctrl-C.\n"))
        with closing(sqlite3.connect(other / "mlruns/mlflow.db")) as store:
            assert store.execute("SELECT DISTINCT status FROM runs").fetchall() == [("FINISHED",)]
        assert answers(f"http://127.0.0.1:{port}")
        os.killpg(browsing.pid, signal.SIGINT)
        after = browsing.communicate(timeout=60)[0]  # returns when no process is left that could print
        assert browsing.returncode == 130
        assert "Traceback" not in after
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browsing.pid, signal.SIGKILL)
        browsing.communicate()


def test_a_long_study_goes_on_in_another_clone_with_what_is_missing(clone, tmp_path):
    """The other clone has the tables of two replicas, no snapshots, and wants a third."""
    other = tmp_path / "other"
    kept = shutil.ignore_patterns("artifacts", "mlruns", ".checkpoints", "studies", "cache")
    shutil.copytree(clone, other, ignore=kept, symlinks=True)
    run(clone, "dvc", "repro", "extended/dvc.yaml:train@quadratic_mlp")
    tables = Path("results/runs/records/quadratic_mlp")
    shutil.rmtree(other / tables, ignore_errors=True)
    shutil.copytree(clone / tables, other / tables)
    params = other / "extended/params.yaml"
    entry = "replicas: {seeds: [0, 1], split_seeds: [0, 1], grid: {}}"
    params.write_text(params.read_text().replace(entry, entry.replace("[0, 1]", "[0, 1, 2]"), 1))
    printed = run(other, "dvc", "repro", "extended/dvc.yaml:train@quadratic_mlp")
    assert "of 3 replicas" in printed
    assert "(2 were trained before)" in printed
    before, after = (pd.read_parquet(folder / tables / "replicas.parquet") for folder in (clone, other))
    pd.testing.assert_frame_equal(before, after[:2], check_dtype=False)
    assert after["seed"].tolist() == [0, 1, 2]


def test_a_copy_without_git_works(clone, tmp_path):
    """As from a zip file; the set-up of `make` tells DVC so."""
    told = "test -e .git || $(VENV)/bin/dvc config --local core.no_scm true"
    assert told in (ROOT / "Makefile").read_text()
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns(".git", "tmp", ".dvc_site_cache"))
    run(copy, "dvc", "config", "--local", "core.no_scm", "true")
    run(copy, "dvc", "config", "--local", "core.site_cache_dir", str(copy / ".dvc_site_cache"))
    run(copy, "dvc", "repro")
    assert changed(copy) == set()
