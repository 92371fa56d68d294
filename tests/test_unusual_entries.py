"""Stages that draw and report, on unusual entries: grids of all kinds, divergence, missing systems."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clones import ROOT, environment, tiny_params
from ruamel.yaml import YAML

from grokking.analysis import pages
from pipelines.common.stage import run

SEEDS = {"seeds": [0], "split_seeds": [0]}
PARAMS = YAML(typ="safe").load(tiny_params())
WIDE = PARAMS["experiments"]["wide_mlp"]
LOST = WIDE["optimizer"] | {"learning_rate": 1e30}
FILTERS = [{"name": "none"}, {"name": "grokfast_ema", "decay": 0.9, "amplitude": 2.0}]
OWN = WIDE | {"system": "none", "role": "variant"}
EXPERIMENTS = {
    "wide_mlp": WIDE | {"replicas": SEEDS | {"grid": {"label_noise": [0.0, 0.3]}}},
    "lost": OWN | {"role": "control", "optimizer": LOST, "replicas": SEEDS | {"grid": {}}},
    "filters": OWN | {"replicas": SEEDS | {"grid": {"gradient_filter": FILTERS}}},
    "named": OWN | {"replicas": SEEDS | {"grid": {"loss": ["cross_entropy", "mean_squared_error"],
                                                  "model.bias": [True, False]}}},
}  # fmt: skip


def stage(name: str, *arguments: str) -> None:
    """Run a stage in this process, in the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        run(importlib.import_module(f"pipelines.{name}").main)


def write_params(**sections: object) -> None:
    """params.yaml of the current folder: that of the tiny study with these sections, and no search."""
    content = PARAMS | {"experiments": EXPERIMENTS, "studies": {}} | sections
    Path("params.yaml").write_text(json.dumps(content), encoding="utf-8")


def text_of(file: str) -> str:
    return Path("reports", file).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unusual")
    (folder / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROKKING_STREAM_AFTER", "1000")
        patch.chdir(folder)
        write_params()
        stage("split", "tiny")
        for name in EXPERIMENTS:
            for part in ("train", "diagnose", "draw"):
                stage(part, name)
    return folder


@pytest.fixture
def laboratory(trained, monkeypatch):
    """The folder of the trained experiments as the current one, with its params."""
    monkeypatch.chdir(trained)
    write_params()
    return trained


def test_every_point_of_every_grid_is_reported(laboratory):
    stage("report")
    found = json.loads(text_of("results.json"))["experiments"]
    points = {name: list(experiment["grid"]) for name, experiment in found.items() if "grid" in experiment}
    assert points["wide_mlp"] == ["label_noise=0.0", "label_noise=0.3"]
    assert "gradient_filter.name=none" in points["filters"]
    assert {name: len(each) for name, each in points.items()} == {"wide_mlp": 2, "filters": 2, "named": 4}
    rows = [line for line in text_of("table.md").splitlines() if "`wide_mlp`" in line]
    assert [point in row for point, row in zip(points["wide_mlp"], rows, strict=True)] == [True, True]
    for point in (point for each in points.values() for point in each):
        assert f"<td>{point}</td>" in text_of("index.html")
    maps = [name for name in EXPERIMENTS if Path("reports/experiments", name, "map.png").exists()]
    assert maps == ["named"]


def test_a_diverged_replica_is_told_in_every_report(laboratory):
    stage("report")
    assert json.loads(text_of("results.json"))["experiments"]["lost"]["diverged"] == 1
    page = text_of("index.html")
    assert "0 of 1, 1 diverged" in page
    assert "`lost` 1 of 1" in text_of("diagnostics.md")
    curves = page.partition('id="curves">')[2].partition("</script>")[0]
    json.loads(curves, parse_constant=pytest.fail)  # NaN is no JSON
    assert "null" in curves


def test_ones_own_experiment_alone_is_reported(laboratory):
    stage("report")
    write_params(experiments={"filters": EXPERIMENTS["filters"]})
    stage("report")
    assert "No experiment here answers a published number." in text_of("table.md")
    page = text_of("index.html")
    assert "figures/systems.png" not in page
    assert not Path("reports/figures/systems.png").exists()
    assert "gradient_filter.name=none" in page


def test_no_experiment_is_a_report_too(laboratory):
    write_params(experiments={})
    stage("report")
    assert "There is no experiment." in text_of("index.html")
    assert "No experiment here has snapshots." in text_of("diagnostics.md")
    assert list(Path("reports/summary").iterdir()) == []


@pytest.mark.parametrize("studies", [{}, {"renamed": PARAMS["studies"]["quick"]}])
def test_studies_without_results_have_a_page(laboratory, studies):
    write_params(studies=studies)
    stage("report_studies")
    assert "No study here was searched and confirmed." in text_of("searches.md")
    assert json.loads(text_of("searches.json")) == {"studies": {}, "pruners": {}}


@pytest.mark.parametrize("command", [("draw", "lost"), ("report",)])
def test_missing_diagnostics_are_one_line(laboratory, command, capsys):
    kept = Path("results/diagnostics/systems/lost")
    kept.rename("lost")
    try:
        with pytest.raises(SystemExit, match="2"):
            stage(*command)
    finally:
        Path("lost").rename(kept)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: results/diagnostics/systems/lost/diagnostics.parquet is missing; ")
    assert line.endswith("run `dvc repro diagnose@lost` first")


def test_a_report_that_fails_leaves_the_earlier_one(laboratory, monkeypatch):
    stage("report")
    earlier = {file: file.read_bytes() for file in Path("reports").glob("*.*")}
    write_params(experiments={"lost": EXPERIMENTS["lost"]})
    monkeypatch.setattr(pages, "diagnostics", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stage("report")
    assert {file: file.read_bytes() for file in Path("reports").glob("*.*")} == earlier


def test_a_report_needs_no_locale(laboratory):
    """In the encoding of the C locale no page can be written."""
    plain = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "pipelines.report"]
    done = subprocess.run(command, env=environment(ROOT) | plain, capture_output=True)
    assert done.returncode == 0, done.stderr


GRIDS = {
    "sections": {"gradient_filter": FILTERS},
    "lists": {"model.hidden_widths": [[8], [16]]},
    "words": {"loss": ["cross_entropy", "mean_squared_error"], "model.bias": [True, False]},
}


def test_a_tuning_has_any_grid(laboratory):
    """The best point is trained again, and the page says which it was."""
    confirm = {"seeds": [1], "split_seeds": [1]}
    short = {key: value for key, value in OWN.items() if key != "group"} | {"budget": 20}
    tuned = {
        name: short | {"replicas": SEEDS | {"grid": grid}, "confirm": confirm} for name, grid in GRIDS.items()
    }
    write_params(tuning=tuned)
    for name in GRIDS:
        stage("tune", name)
    stage("compare_tuning")
    methods = text_of("extended/tuning.md").partition("## ")[0]
    rows = {row.split("`")[1]: row for row in methods.splitlines() if row.startswith("| `")}
    assert "name grokfast_ema, decay 0.9" in rows["sections"] or "name none" in rows["sections"]
    assert "hidden_widths 8" in rows["lists"] or "hidden_widths 16" in rows["lists"]
    assert "bias True" in rows["words"] or "bias False" in rows["words"]
