"""Values, files and folders that are not what they should be: one line each; what is a user's stays."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import laboratory
import numpy as np
import pandas as pd
import pytest
from conftest import make_task
from ruamel.yaml import YAML
from typer.testing import CliRunner

import grokking
from grokking import disk_errors
from grokking.api import training
from grokking.api.recipe import with_seeds
from grokking.catalogue import read_catalogue
from grokking.cli.main import app
from grokking.config import ConfigError
from grokking.experiment import MOST_REPLICAS, expand
from grokking.search.results import left_over
from grokking.storage import runs, task_files
from grokking.tracking import store
from grokking.tracking.publish import split_digest
from grokking.tracking.sweeps import Swept
from pipelines import check, dashboard, readme, report_studies, repro, search, server, ui
from pipelines.common import stage
from pipelines.common.claims import require_claims
from pipelines.common.on_disk import RunOnDisk
from pipelines.common.own import own_runs
from pipelines.common.reports import swept

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


@pytest.fixture
def told(capsys, monkeypatch) -> Callable[..., str]:
    """The one line that a stage told on standard error."""

    def run(main: Callable[[], None], *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        with pytest.raises(SystemExit) as ended:
            stage.run(main)
        assert ended.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        return line

    return run


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
    with pytest.raises(ConfigError, match="has a key that is not a word"):
        expand(entry | {("a", "b"): 3}, "e")


def test_too_many_seeds_are_refused_at_once():
    config = {"replicas": {"seeds": [0], "split_seeds": [0]}}
    assert with_seeds(config, 3)["replicas"] == {"seeds": [0, 1, 2], "split_seeds": [0, 1, 2]}
    for count in (10**9, MOST_REPLICAS + 1, 0, 1.5, "2", True):
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


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"seeds": "2"}, "`seeds` must be a whole number from 1 to 10000, but got '2'"),
        ({"seeds": True}, "`seeds` must be a whole number from 1 to 10000, but got True"),
        ({"watch": 5}, "`watch` must be a function, which is given each evaluation, but got 5"),
        ({"steps": "a"}, "`wide_mlp.budget` should be a valid integer, but got 'a'"),
        ({"device": 3}, "`device` must be cpu or cuda, but got 3"),
        ({"name": ("a", "b")}, "`('a', 'b')` is no name of a run; write letters"),
        ({"task": 5}, "`task` must be a name of `tasks`, but got 5"),
        (
            {"experiment": ["wide_mlp"]},
            "`experiment` must be a name or a configuration, such as `run.config`",
        ),
        (
            {"optimizer": {("a", "b"): 1}},
            "`optimizer` must be a number, a word, a list or a mapping of words",
        ),
    ],
)
def test_an_argument_of_another_type_is_named(lab, wrong, expected):
    with pytest.raises(ConfigError, match=re.escape(expected)):
        grokking.train(**{"experiment": "wide_mlp"} | OWN | wrong)
    assert not (lab / "artifacts/own").exists()


def test_a_change_whose_key_is_no_word_is_named(lab):
    with pytest.raises(ConfigError, match=re.escape("`('a', 'b')` is no key here; ")):
        training.plan("wide_mlp", {("a", "b"): 3})


def test_seeds_and_steps_of_other_types_are_named(lab):
    run = grokking.load("wide_mlp")
    assert run.predict(1, 2, step=60.0, seed=np.int64(1)) == run.predict(1, 2, step=60, seed=1)
    of_steps = [{"step": [1]}, {"step": "last"}, {"step": 0.5}, {"step": math.nan}]
    for wrong in (*of_steps, {"seed": True}, {"seed": [1]}, {"seed": np.array([0, 1])}):
        (name,) = wrong
        with pytest.raises(ConfigError, match=f"`{name}` must be a whole number, but got "):
            run.predict(1, 2, **wrong)
    with pytest.raises(ConfigError, match="operands are whole numbers of at most 64 bits, but got"):
        run.predict([[1], [2, 3]], 1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-1", "3"), "(-1, 3) is no equation of a + b mod 11; a in 0..10 and b in 0..10"),
        (("3", "-12", "--seed", "1"), "(3, -12) is no equation of a + b mod 11; a in 0..10 and b in 0..10"),
        (("11", "3"), "(11, 3) is no equation of a + b mod 11; a in 0..10 and b in 0..10"),
        (("3", "4", "--run", "nothing"), "`nothing` is no experiment and no own run; "),
        (("3", "4", "--run", "untrained"), "`untrained` was not trained yet; train it as it is (`dvc repro "),
        (("3", "4", "--seed", "-1"), "`wide_mlp` has no seed -1; its seeds are 0, 1"),
        (("3", "4", "--step", "-3"), "`wide_mlp` keeps no network of step -3; kept: 0, 1, 2, "),
        (
            ("3", "x"),
            "Invalid value for 'b': Input should be a valid integer, unable to parse string as an integer, "
            "but got 'x'",
        ),
        (("3", "4", "--sed", "1"), "No such option: --sed"),
    ],
)
def test_a_question_that_no_network_answers(lab, arguments, expected):
    assert refused("predict", *arguments).startswith(f"error: {expected}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", ""), "`` is no experiment and no own run; `grokking list` shows all"),
        (("run", "wide_mlp", ""), "`` is no change; write key=value"),
        (("run", "wide_mlp", "--name", ""), "`` is no name of a run; "),
        (("show", ""), "`` is no experiment and no own run; "),
        (("compare", "wide_mlp", ""), "`` is no experiment and no own run; "),
        (("list", "--group", ""), "`--group` must be one of systems, own, but got ''"),
    ],
)
def test_an_empty_name_is_refused(lab, arguments, expected):
    assert refused(*arguments).startswith(f"error: {expected}")


@pytest.mark.parametrize("targets", [("",), ("dvc.yaml", ""), (" ",), (":",)])
def test_an_empty_stage_is_refused(told, targets):
    """DVC itself would run every stage of every file, for days."""
    line = told(repro.main, *targets)
    assert line == "error: a target is empty; write a stage, such as train@wide_mlp, or leave it out"


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ("{kind: linear, low: -0.1, high: 0.1}", "which must be above 0, but got -0.1"),
        ("{kind: choice, values: [fast]}", "which should be a valid number, but got 'fast'"),
    ],
)
def test_a_wrong_value_of_a_space_is_found_in_the_study(lab, told, monkeypatch, dimension, expected):
    """And not in the experiment that the study builds on."""
    text = (lab / "params.yaml").read_text()
    monkeypatch.chdir(lab)
    changed = text.replace(
        "optimizer.learning_rate: {kind: log, low: 1e-2, high: 3e-2}", f"{KEY}: {dimension}"
    )
    assert changed != text
    try:
        (lab / "params.yaml").write_text(changed)
        line = told(search.main, "quick")
    finally:
        (lab / "params.yaml").write_text(text)
    assert line == f"error: `studies.quick.space.{KEY}` sets `{KEY}`, {expected}"
    assert not (lab / "studies").exists()


KEY = "optimizer.learning_rate"


# ports


def test_a_port_that_is_taken_is_told_before_the_ui_starts(told, monkeypatch, taken_port):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(store, "connect", lambda: pytest.fail("opens the store"))
    line = told(ui.main)
    assert line.startswith(
        f"error: `PORT` is {taken_port}, but nothing can listen on it at 127.0.0.1: Address already in "
    )
    assert line.endswith(f"; choose another, such as PORT={taken_port + 1}")


def test_a_port_that_is_taken_is_told_before_the_dashboard_starts(told, monkeypatch, taken_port, tmp_path):
    (tmp_path / "quick.journal").touch()
    monkeypatch.setattr(dashboard, "STUDIES", tmp_path)
    assert f"`PORT` is {taken_port}, but nothing can listen on it" in told(dashboard.main, "quick")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused(told, monkeypatch, port):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PORT", port)
    assert told(ui.main) == f"error: `PORT` must be a whole number from 1 to 65535, but got {port!r}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-host.invalid"])
def test_a_port_that_a_server_for_a_team_cannot_have_is_told(told, monkeypatch, taken_port, host):
    monkeypatch.setattr(server.serving, "require_settings", lambda: None)
    monkeypatch.setattr(server.serving, "require_databases", lambda: pytest.fail("opens the databases"))
    monkeypatch.setenv("MLFLOW_PORT", str(taken_port))
    monkeypatch.setenv("MLFLOW_HOST", host)
    line = told(server.main)
    assert line.startswith(f"error: `MLFLOW_PORT` is {taken_port}, but nothing can listen on it at {host}: ")
    assert line.endswith(f"; choose another, such as MLFLOW_PORT={taken_port + 1}")


@pytest.fixture
def taken_port(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        yield port


@pytest.mark.parametrize("name", ["DEVICE", "EXECUTOR", "PROCESSES", "CHECKPOINT_SECONDS"])
def test_a_wrong_variable_leaves_nothing(lab, name, monkeypatch):
    monkeypatch.setenv(f"GROKKING_{name}", "tpu")
    with pytest.raises(ConfigError, match=f"GROKKING_{name} must be .*, but got 'tpu'"):
        grokking.train("wide_mlp", name="left", **OWN)
    assert not (lab / "artifacts/own").exists()


def test_a_device_that_speed_does_not_know_is_refused(lab):
    assert refused("speed", "--device", "tpu").endswith("`--device` must be cpu or cuda, but got tpu")


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


@pytest.mark.parametrize("replicas", [None, {"seeds": None}, {"seeds": [0], "split_seeds": [], "grid": {}}])
def test_an_own_run_without_its_seeds_is_refused_by_name(lab, replicas):
    run = grokking.train("wide_mlp", steps=20, name="hurt")
    file = run.folder.parent / "config.yaml"
    asked = YAML(typ="safe").load(file)
    asked["config"]["replicas"] = replicas
    YAML(typ="safe").dump(asked, file)
    with pytest.raises(
        ConfigError, match=r"config\.yaml is damaged; remove the run's folder, and train it again"
    ):
        grokking.train("wide_mlp", steps=20, name="hurt")


def test_a_damaged_table_of_an_own_run_names_no_git(lab):
    run = grokking.train("wide_mlp", steps=20, name="cut")
    (run.folder / "history.parquet").write_bytes(b"")
    with pytest.raises(ConfigError) as refused:
        run.history()
    assert "git" not in str(refused.value)
    assert str(refused.value).endswith(f"missing or damaged; remove {run.folder.parent}, and train it again")
    shown = CliRunner().invoke(app, ["show", "cut"])
    assert (shown.exit_code, shown.stdout) == (2, "")


def test_a_terminal_that_knows_no_dash_shows_a_question_mark(lab):
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "grokking.cli.main", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=lab)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?" in done.stdout


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


STUDY = "reports/search/quick"
REPORTS = {
    f"{STUDY}/overview.json": ["", "{", "[1]", "null", "\xff"],
    f"{STUDY}/judgements.csv": ["", "good\n1\n", "cut", "\xff"],
}


@pytest.mark.parametrize(("file", "text"), [(file, text) for file in REPORTS for text in REPORTS[file]])
def test_a_damaged_report_is_refused_by_name(told, file, text, tmp_path, monkeypatch):
    shutil.copytree(laboratory.ROOT / STUDY, tmp_path / STUDY)
    (tmp_path / "params.yaml").write_text(laboratory.tiny_params())
    damaged = (tmp_path / file).read_bytes()[:-9] if text == "cut" else text.encode("latin-1")
    (tmp_path / file).write_bytes(damaged)
    before = laboratory.files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert told(report_studies.main) == f"error: {restored(file)}"
    assert laboratory.files(tmp_path) == before


def restored(file: str) -> str:
    """What is said of a damaged report."""
    way = f"restore it (`git checkout -- {file}`), or run the stage that writes it again"
    return f"{file} is missing or damaged; {way}"


@pytest.mark.parametrize("text", ["", '{"a": ', "[1]"])
def test_damaged_numbers_are_refused_by_name(text, tmp_path, monkeypatch):
    """Those of a sweep, for the page of all experiments; those of a claim, for each stage that checks it."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(laboratory.tiny_params())
    Path("reports/sweeps").mkdir(parents=True)
    for file in ("reports/sweeps/tiny_phases.json", "reports/laws.json"):
        Path(file).write_text(text)
    with pytest.raises(ConfigError, match=re.escape(restored("reports/sweeps/tiny_phases.json"))):
        swept(read_catalogue())
    claim = {"where": "README.md", "says": "one", "holds": "laws['a'] == 1"}
    Path("reports/claims.yaml").write_text(
        json.dumps({"numbers": {"laws": "reports/laws.json"}, "claims": {"one": claim}})
    )
    with pytest.raises(ConfigError, match=re.escape(restored("reports/laws.json"))):
        require_claims({Path("reports/results.json"): "{}"})


@pytest.mark.parametrize("text", ["", "no table\n", "| a |\n| \xff |\n"])
def test_a_damaged_table_leaves_the_readme(told, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "<!-- table of reports/table.md -->\n| whole |\n<!-- end of table -->\n"
    Path("README.md").write_text(page)
    Path("reports").mkdir()
    Path("reports/table.md").write_text(text, encoding="latin-1")
    assert told(readme.main) == f"error: {restored('reports/table.md')}"
    assert Path("README.md").read_text() == page


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_damaged_run_json_is_not_published(text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    for damaged in (Swept("s", tmp_path, tmp_path / "s.md"), RunOnDisk("r", "r", "g", tmp_path, tmp_path)):
        with pytest.raises(ConfigError, match=r"run\.json is missing or damaged"):
            _ = damaged.fingerprint


@pytest.mark.parametrize("text", ["", "[1]", "{a", "stages:\n  a: [", "<<<<<<< ours\n", "\xff"])
def test_a_damaged_lock_file_is_refused_by_name(told, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], check=True)
    Path("dvc.yaml").write_text("stages: {one: {cmd: 'true', outs: [a]}}")
    Path("dvc.lock").write_text(text, encoding="latin-1")
    line = told(repro.main)
    assert line.startswith("error: dvc.lock is damaged; restore it (`git checkout -- dvc.lock`)")
    with pytest.raises(ConfigError, match=r"dvc\.lock is damaged; restore it \(`git checkout -- dvc\.lock`"):
        split_digest("one", [Path("dvc.lock")])


# folders


def test_an_experiment_with_the_name_of_an_own_run_is_refused(lab, told, monkeypatch):
    """By every command, and by `make repro`; the run stays as it is."""
    grokking.train("wide_mlp", name="mine", **OWN)
    kept, text = laboratory.files(lab / "artifacts/own"), (lab / "params.yaml").read_text()
    (lab / "params.yaml").write_text(text.replace("\n  half_decay:\n", "\n  mine:\n"))
    try:
        for command in (("run", "mine"), ("run", "wide_mlp", "--name", "mine"), ("show", "mine"), ("list",)):
            line = refused(*command)
            assert line.startswith("error: `experiments.mine` has the name of your own run ")
            assert line.endswith("artifacts/own/mine; rename one of them")
        monkeypatch.chdir(lab)
        assert "error: `experiments.mine` has the name of your own run artifacts" in told(check.main)
    finally:
        (lab / "params.yaml").write_text(text)
    assert laboratory.files(lab / "artifacts/own") == kept


def test_the_name_of_an_experiment_is_no_name_of_an_own_run(lab):
    line = refused("run", "wide_mlp", "steps=12", "--name", "half_decay")
    assert line == "error: `half_decay` is an experiment; give your run another name"
    assert not (lab / "artifacts/own").exists()


def stop(evaluation) -> None:
    raise KeyboardInterrupt


def test_an_own_run_that_is_stopped_before_its_first_checkpoint_leaves_no_folder(lab):
    with pytest.raises(KeyboardInterrupt):
        grokking.train("wide_mlp", watch=stop, steps=2_000_000, learning_rate=1e-9)
    assert list((lab / "artifacts/own").iterdir()) == []


def test_an_own_run_that_was_stopped_tells_how_it_goes_on(lab, monkeypatch):
    """And what it has stays: here that of its first seed."""
    grokking.train("wide_mlp", **OWN)
    (folder,) = (lab / "artifacts/own").iterdir()
    with pytest.raises(KeyboardInterrupt):
        grokking.train("wide_mlp", watch=stop, **OWN | {"seeds": 2})
    assert len(grokking.load(folder.name).replicas()) == 1
    shutil.rmtree(folder / "tables")
    shown = CliRunner().invoke(app, ["show", folder.name]).stdout
    (command,) = re.findall("go on with `grokking (.*)`", shown)
    assert command == f"run wide_mlp budget=12 --seeds 2 --name {folder.name}"
    assert CliRunner().invoke(app, command.split()).exit_code == 0
    assert len(grokking.load(folder.name).replicas()) == 2


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
