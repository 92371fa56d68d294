"""Every notebook runs from top to bottom in a fresh process, and prints what is kept in it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clones import ROOT, environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CODE = ("src", "pipelines", "params.yaml", "extended", "dvc.yaml", "mlruns/.gitkeep", "notebooks")
RESULTS = {  # which committed results a notebook reads; MLflow gets no others, which saves a minute
    "did_it_grok": ("runs/systems", "runs/records/muon_transformer"),
    "weight_decays": ("runs/decays/embedding_mlp_published_f40", "splits/addition_97_f40"),
    "open_a_circuit": ("runs/systems", "diagnostics/systems"),
    "search_my_own_task": ("search/quick",),
}
SHORTER = {"search_my_own_task": "MINUTES = 2=>MINUTES = 0.4"}
LARGEST = 200  # kB
pytestmark = pytest.mark.timeout(900)


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def kept(cell: dict[str, Any]) -> str:
    """What the notebook says that a cell prints."""
    streams = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    return "".join("".join(stream["text"]) for stream in streams)


def copy(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_and_prints_what_is_kept(notebook, tmp_path):
    copy(tmp_path, (*CODE, *(f"results/{name}" for name in RESULTS[notebook.stem])))
    script = [sys.executable, ROOT / "tests" / "notebook_script.py", notebook.name]
    changes = [SHORTER[notebook.stem]] if notebook.stem in SHORTER else []
    done = subprocess.run(
        [*script, *changes],
        cwd=tmp_path / "notebooks",
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cells = code_cells(notebook)
    for cell, printed in zip(cells, json.loads(done.stdout), strict=True):
        if "varies" in cell["metadata"].get("tags", []):
            assert bool(printed) == bool(kept(cell))
        else:
            assert printed == kept(cell)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_small_and_has_its_outputs(notebook):
    assert notebook.stat().st_size < LARGEST * 1024
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}  # no warnings, no progress
    assert str(ROOT) not in notebook.read_text(encoding="utf-8")
    assert "\\u001b" not in notebook.read_text(encoding="utf-8")  # colours of a terminal
