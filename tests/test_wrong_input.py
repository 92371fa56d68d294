"""Values, files and folders that are not what they should be: one line each; what is a user's stays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import laboratory
import numpy as np
import pandas as pd
import pytest
from conftest import make_task
from typer.testing import CliRunner

import grokking
from grokking import disk_errors
from grokking.api.recipe import with_seeds
from grokking.catalogue import read_catalogue
from grokking.cli.main import app
from grokking.config import ConfigError
from grokking.experiment import MOST_REPLICAS, expand
from grokking.search.results import left_over
from grokking.storage import runs, task_files
from pipelines.common.own import own_runs

OWN = {"seeds": 1, "steps": 12}


@pytest.fixture
def lab(study, monkeypatch):
    yield laboratory.enter(study, monkeypatch)
    laboratory.shutil.rmtree(study / "artifacts/own", ignore_errors=True)


def refused(*arguments: str) -> str:
    """The one line that a command told on standard error."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, (done.output, done.exception)
    (line,) = done.stderr.splitlines()
    return line


# values


@pytest.mark.parametrize("scalar", ["2024-99-99", "!!int abc", "!!float abc", "!!bool abc", "1" + 5000 * "0"])
def test_a_scalar_that_is_none_is_refused_with_its_line(scalar, tmp_path):
    (tmp_path / "params.yaml").write_text(f"tasks: {{}}\nexperiments:\n  budget: {scalar}\n")
    with pytest.raises(ConfigError, match=r"^params.yaml, line 3: .* is no value"):
        read_catalogue(tmp_path)


@pytest.mark.parametrize("value", ["5", "null", "[1]", "{a: 1}", "2024-99-99"])
def test_a_task_that_is_no_name_is_refused(lab, value):
    assert "task" in refused("run", "wide_mlp", f"task={value}")


@pytest.mark.parametrize("text", ["config: 5", "config: abc", "config:", "- 1", "config: 2024-99-99"])
def test_a_file_without_a_configuration_is_refused(lab, text, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    assert "x.yaml" in refused("run", str(tmp_path / "x.yaml"))


def test_a_file_that_is_no_text_is_refused(lab, tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"config: \xff")
    assert refused("run", str(tmp_path / "x.yaml")).startswith("error: cannot read ")


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"reports": {"groups": None}}, "`reports.groups` .* must be a list"),
        ({"reports": {"groups": "systems"}}, "`reports.groups` .* must be a list"),
        ({"reports": {"groups": ["systems", "systems"]}}, "must be a list of distinct names"),
        ({"reports": {"groups": ["own"]}}, "the group of your own runs"),
        ({"reports": {"groups": [], "colour": "red"}}, "`reports.colour` .* is unknown"),
        ({"defaults": {"experimnet": {}}}, "`defaults.experimnet` .* is unknown"),
    ],
)
def test_sections_hold_what_they_must(sections, told, tmp_path):
    (tmp_path / "params.yaml").write_text(json.dumps(sections))
    with pytest.raises(ConfigError, match=told):
        read_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({"optimizer.weight_decay": [1.0, 1]}, "distinct values of optimizer.weight_decay"),
        ({"optimizer.learning_rate": [0.1], "optimizer": [{}]}, "which replaces it; swap them"),
        (
            {"optimizer.weight_decay": [-1.0]},
            "grid` sets `optimizer.weight_decay`, which must be",
        ),
    ],
)
def test_a_grid_that_would_mislead_is_refused(lab, grid, told):
    entry = read_catalogue(lab).entry("experiments", "wide_mlp")
    with pytest.raises(ConfigError, match=told):
        expand(entry | {"replicas": entry["replicas"] | {"grid": grid}}, "e")


def test_a_key_that_is_a_list_is_refused(lab):
    entry = read_catalogue(lab).entry("experiments", "wide_mlp")
    with pytest.raises(ConfigError, match="has a key that is no word"):
        expand(entry | {("a", "b"): 3}, "e")


def test_too_many_seeds_are_refused_at_once():
    config = {"replicas": {"seeds": [0], "split_seeds": [0]}}
    assert with_seeds(config, 3)["replicas"] == {"seeds": [0, 1, 2], "split_seeds": [0, 1, 2]}
    for count in (10**9, MOST_REPLICAS + 1, 0, 1.5, "2"):
        with pytest.raises(ConfigError, match=f"from 1 to {MOST_REPLICAS}, but got {count!r}"):
            with_seeds(config, count)


def test_numbers_of_numpy_are_numbers(lab):
    run = grokking.train("wide_mlp", weight_decay=np.float64(0.5), name="numpy", **OWN)
    assert run.config["optimizer"]["weight_decay"] == 0.5


@pytest.mark.parametrize("wrong", [{"experiment": None}, {"name": 5}, {"name": ""}, {"device": "tpu"}])
def test_wrong_arguments_leave_nothing(lab, wrong):
    with pytest.raises(ConfigError):
        grokking.train(**{"experiment": "wide_mlp"} | OWN | wrong)
    assert not (lab / "artifacts/own").exists()


@pytest.mark.parametrize("name", ["DEVICE", "EXECUTOR", "PROCESSES", "CHECKPOINT_SECONDS"])
def test_a_wrong_variable_leaves_nothing(lab, name, monkeypatch):
    monkeypatch.setenv(f"GROKKING_{name}", "tpu")
    with pytest.raises(ConfigError, match=f"GROKKING_{name} must be .*, but got 'tpu'"):
        grokking.train("wide_mlp", name="left", **OWN)
    assert not (lab / "artifacts/own").exists()


def test_a_device_that_bench_does_not_know_is_refused(lab):
    assert refused("bench", "--device", "tpu").endswith("`--device` must be cpu or cuda, but got tpu")


# files


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]"])
def test_a_damaged_run_json_is_refused_by_name(text, trained_checkout, tmp_path):
    folder = laboratory.shutil.copytree(trained_checkout / "results/runs/systems/wide_mlp", tmp_path / "run")
    (folder / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json is missing or damaged"):
        runs.read(folder)


@pytest.mark.parametrize("name", ["meta.json", "equations.parquet", "splits.parquet"])
def test_a_damaged_split_is_refused_by_name(name, tmp_path):
    task_files.save(make_task(), tmp_path / "t")
    whole = (tmp_path / "t" / name).read_bytes()
    for part in (b"", whole[: len(whole) // 2]):
        (tmp_path / "t" / name).write_bytes(part)
        with pytest.raises(ConfigError, match=f"{name} is missing or damaged; run `dvc repro"):
            task_files.read(tmp_path / "t")


@pytest.mark.parametrize("text", ["", "[1]", "{a: 1}", "config: ["])
def test_one_damaged_own_run_costs_no_other(lab, text, capsys):
    for name in ("good", "bad"):
        grokking.train("wide_mlp", name=name, **OWN)
    (lab / "artifacts/own/bad/config.yaml").write_text(text)
    assert [trained.name for trained in own_runs()] == ["good"]
    assert capsys.readouterr().err.startswith("warning: bad is not published: ")
    assert "config.yaml" in refused("show", "bad")
    (lab / "artifacts/own/good/tables/replicas.parquet").write_bytes(b"")
    assert "damaged" in CliRunner().invoke(app, ["list", "--group", "own"]).stdout


def test_columns_of_several_types_are_text():
    table = pd.DataFrame({"system": [2, "none"], "bias": [True, "blocks"], "step": [1, None], "n": [1, 2]})
    found = runs.as_text_where_mixed(table)
    assert found["system"].tolist() == ["2", "none"]
    assert found["bias"].tolist() == ["True", "blocks"]
    assert found["n"].tolist() == [1, 2]
    assert found["step"].isna().tolist() == [False, True]


# folders


def test_what_a_user_keeps_beside_results_stays(lab):
    """Also a file as of a desktop, which is no folder of a replica."""
    snapshots = lab / "artifacts/snapshots/systems/wide_mlp"
    (snapshots / ".DS_Store").touch()
    (snapshots / "mine").mkdir()
    (snapshots / "0123456789abcdef").mkdir()  # of a replica that the experiment has no longer
    laboratory.python(lab, "-m", "pipelines.train", "wide_mlp")
    assert (snapshots / "mine").exists()
    assert (snapshots / ".DS_Store").exists()
    assert not (snapshots / "0123456789abcdef").exists()


def test_only_arms_of_a_study_are_left_over(tmp_path):
    for name in ("winner", "random_best", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / ".DS_Store").touch()
    assert left_over(tmp_path, ["winner"]) == [tmp_path / "random_best"]


def test_a_file_in_the_place_of_a_folder_is_one_line(lab):
    (lab / "artifacts/own").write_text("")
    assert refused("run", "wide_mlp", "steps=12").startswith("error: ")
    (lab / "artifacts/own").unlink()


def test_a_full_disk_is_one_line(lab):
    command = [sys.executable, "-c", "from grokking.cli.main import main; main()", "list"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=lab, env=laboratory.environment(lab), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr.splitlines()[0].startswith("error: No space left on device")
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_errors_that_are_not_of_the_disk_are_not_hidden():
    assert disk_errors.one_line(OSError("what")) is None
    assert disk_errors.one_line(OSError(28, os.strerror(28), "a")).startswith("No space left on device: a;")
