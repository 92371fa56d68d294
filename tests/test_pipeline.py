"""The whole pipeline with DVC in a temporary clone on a tiny study."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from grokking.analysis import pages

STUDIES = ("records", "controls", "operations", "optimizers")
ROOT = Path(__file__).parents[1]
COPIED = [
    "src",
    "pipelines",
    "extended",
    "dvc.yaml",
    ".dvcignore",
    ".dvc/config",
    "mlruns/.gitkeep",
    ".gitignore",
]


def run(clone: Path, *command: str) -> str:
    """Run a command in the clone with the environment a user has; returns what it printed."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "DVC_ROOT", "GROKKING"))
    }
    environment |= {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the repository with tests/tiny.yaml as its params, reproduced once."""
    folder = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "tests" / "tiny.yaml", folder / "params.yaml")
    (folder / "README.md").write_text(f"# Tiny\n{pages.RESULTS[0]}\n{pages.RESULTS[1]}\n")
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "--all")
    run(
        folder,
        "git",
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "commit",
        "--quiet",
        "-m",
        "study",
    )
    return folder


def changed(clone: Path) -> set[str]:
    """Names of the stages DVC would run in the default graph."""
    return set(json.loads(run(clone, "dvc", "status", "--json", "dvc.yaml")))


def test_a_second_repro_runs_nothing(clone):
    assert changed(clone) == set()


def test_reports_are_written_and_shown_by_dvc(clone):
    results = json.loads((clone / "reports/results.json").read_text())
    assert set(results["experiments"]) == {
        "numpy_mlp_momentum", "wide_mlp", "wide_mlp_grid", "transformer", "shared_mlp_f30"
    }  # fmt: skip
    assert len(results["experiments"]["wide_mlp_grid"]["grid"]) == 4
    assert "wide_mlp" in run(clone, "dvc", "metrics", "show")
    assert (
        pages.between_markers((clone / "README.md").read_text()) == (clone / "reports/table.md").read_text()
    )
    page = (clone / "reports/index.html").read_text()
    for name in results["experiments"]:
        assert (clone / f"reports/figures/{name}.png").stat().st_size > 5000
        assert f"figures/{name}.png" in page


def test_a_study_is_searched_confirmed_and_reported(clone):
    numbers = json.loads((clone / "reports/search/quick.json").read_text())
    assert numbers["arms"]["winner"]["generalized"] == 1
    assert set(numbers["arms"]) == {"winner", "runner_up", "random_best", "published"}
    page = (clone / "reports/search/quick.md").read_text()
    for figure in re.findall(r"\((quick/\w+\.png)\)", page):
        assert (clone / "reports/search" / figure).stat().st_size > 5000
    assert "quick.json" in run(clone, "dvc", "metrics", "show")


def test_every_snapshot_is_diagnosed(clone):
    for folder in (clone / "artifacts/runs").iterdir():
        table = pd.read_parquet(clone / "artifacts/diagnostics" / folder.name / "diagnostics.parquet")
        assert len(table) == len(list((folder / "snapshots").iterdir()))
        assert table["r_sum"].notna().all()
    assert "| `r_sum`" in (clone / "reports/diagnostics.md").read_text()
    for name in ("wide_mlp_diagnostics", "transformer_progress", "transformer_portrait"):
        assert f"figures/{name}.png" in (clone / "reports/index.html").read_text()


def test_an_experiments_key_reruns_its_own_stages_only(clone):
    original = (clone / "params.yaml").read_text()
    before, _, after = original.partition("learning_rate: 0.1")
    try:
        (clone / "params.yaml").write_text(f"{before}learning_rate: 0.2{after}")
        assert "experiments.numpy_mlp_momentum.optimizer.learning_rate" in run(clone, "dvc", "params", "diff")
        ran = re.findall(r"Running stage '([^']+)'", run(clone, "dvc", "repro"))
        own = ["train@numpy_mlp_momentum", "diagnose@numpy_mlp_momentum"]
        assert sorted(ran) == sorted([*own, "report", "publish"])
    finally:
        (clone / "params.yaml").write_text(original)
        run(clone, "dvc", "repro")
    assert changed(clone) == set()


def test_a_colour_retrains_nothing(clone):
    figures = clone / "src/grokking/figures/style.py"
    original = figures.read_text()
    try:
        figures.write_text(original.replace("#4c72b0", "#4c72b1"))
        assert changed(clone) == {"report", "report_search@quick", "publish"}
    finally:
        figures.write_text(original)


def test_lost_mlruns_are_filled_again_without_training(clone):
    shutil.rmtree(clone / "mlruns")
    assert changed(clone) == {"publish"}
    histories = {file: file.stat().st_mtime_ns for file in clone.glob("artifacts/runs/*/history.parquet")}
    printed = run(clone, "dvc", "repro")
    assert "wide_mlp_grid: published" in printed
    assert "pipelines.train" not in printed
    assert {file: file.stat().st_mtime_ns for file in histories} == histories


def test_long_studies_run_by_name_and_are_published(clone):
    """Records, controls, operations and a tuned optimizer, with tasks of their own."""
    run(clone, "dvc", "repro", "extended/dvc.yaml")
    pages_of = {name: (clone / f"reports/extended/{name}.md").read_text() for name in STUDIES}
    assert "`quadratic_mlp`" in pages_of["records"]
    assert "0." in pages_of["controls"].partition("`corrupted_labels`")[2].partition("\n")[0]
    assert "a b in S_3" in pages_of["operations"]
    assert "2 × 1" in pages_of["optimizers"]
    assert (clone / "reports/extended/optimizers.png").stat().st_size > 5000
    assert "weight_clamp.row_norm.max_norm" in (clone / "reports/search/branches.md").read_text()
    assert "(quick.md)" in (clone / "reports/search/README.md").read_text()
    printed = run(clone, "python", "-m", "pipelines.publish")
    for name in (
        "quadratic_mlp", "corrupted_labels", "product_adamw", "adamw_tuning", "adamw", "branches_winner",
        "study branches",
    ):  # fmt: skip
        assert f"{name}: published" in printed
