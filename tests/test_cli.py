"""The command `grokking` on a tiny study: every subcommand as a user calls it, mistakes, kills, displays."""

import doctest
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path

import laboratory
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from ruamel.yaml import YAML
from typer.testing import CliRunner

import grokking
from benchmarks.cases import CASES
from grokking.api import keys, training
from grokking.api.search_plan import plan_search
from grokking.cli import chart, completion, live, speed
from grokking.cli.main import app, main
from grokking.training.records import Evaluation

COMMANDS = ("run", "list", "show", "compare", "predict", "search", "speed", "bench")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def lab(study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    yield laboratory.enter(study, monkeypatch)
    for name in ("artifacts/own", "artifacts/searches", "studies"):
        shutil.rmtree(study / name, ignore_errors=True)


def call(*arguments: str) -> str:
    """What a command printed that succeeded."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(*arguments: str) -> str:
    """The one line that a command told on standard error."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, (done.output, done.exception)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


# the command itself


def test_the_command_is_installed():
    (entry,) = entry_points(group="console_scripts", name="grokking")
    assert entry.load() is main
    installed = Path(sys.executable).with_name("grokking")
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, cwd="/")
    assert (done.stdout, done.returncode) == (f"{version('grokking-laboratory')}\n", 0)


def test_a_copy_of_the_checkout_runs_its_own_code(study):
    """Whatever is installed: DVC's experiments run in a copy."""
    for module in ("pipelines", "grokking.cli.main"):
        found = laboratory.python(study, "-c", f"import {module}, grokking; print(grokking.__file__)")
        assert Path(found.strip()) == study / "src/grokking/__init__.py"
    program = "import pipelines, grokking; print(grokking.__file__)"
    found = laboratory.python(study, "-c", program, PYTHONPATH="")
    assert Path(found.strip()) == study / "src/grokking/__init__.py"


def test_help_is_there_at_once():
    heavy = "{'torch', 'pandas', 'numpy', 'mlflow', 'optuna', 'matplotlib', 'scipy'}"
    program = f"import sys, grokking.cli.main; print(sorted({heavy} & set(sys.modules)))"
    assert laboratory.python(laboratory.ROOT, "-c", program) == "[]\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_two_examples(command):
    text = call(command, "--help")
    assert len(re.findall(rf"^ +grokking {command}\b", text.partition("Examples:")[2], re.MULTILINE)) == 2
    assert command in call("--help")


def test_no_subcommand_shows_the_help():
    done = CliRunner().invoke(app, [])
    assert "Commands" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("run", "wide_mlp_"), {"wide_mlp_grid"}),
        (("run", "wide_mlp", "weight_"), {"weight_decay=", "weight_clamp=", "weight_clamp.name="}),
        (("run", "wide_mlp", "modu"), {"modulus="}),
        (("show", "half"), {"half_decay"}),
        (("search", "tiny_"), {"tiny_division"}),
    ],
)
def test_the_shell_completes_names_and_keys(study, words, offered):
    line = {"COMP_WORDS": " ".join(("grokking", *words)), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        [sys.executable, "-m", "grokking.cli.main"],
        env=laboratory.environment(study) | line | {"_GROKKING_COMPLETE": "complete_bash"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert set(done.stdout.split()) == offered, done.stderr


def test_completion_offers_nothing_where_there_are_no_params(lab, monkeypatch, tmp_path):
    monkeypatch.setattr("grokking.api.checkout.ROOT", tmp_path)
    assert completion.runs("") == completion.tasks("") == []
    assert "holds no params.yaml; install the laboratory with `pip install -e`" in refused("list")


# run


def test_run_trains_and_tells_what_happened(lab):
    said = call("run", "wide_mlp", "weight_decay=0.5", "steps=40", "--seeds", "2", "--name", "mine")
    assert "mine: 2 to train, at most 40 steps each" in said
    assert re.search(r"^seed 1: (never )?memorized", said, re.MULTILINE)
    assert "0 of 2 grokked" in said
    assert "t train   v validation" in said
    figure = re.search(r"curves: (.*)", said)[1]
    assert Path(figure).stat().st_size > 5000
    folder = lab / "artifacts/own/mine"
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "curves.png", "tables", "snapshots"}
    assert pd.read_parquet(folder / "tables/replicas.parquet")["optimizer.weight_decay"].tolist() == [0.5] * 2


def test_the_same_command_again_shows_the_run(lab):
    command = ("run", "wide_mlp", "steps=20")
    first, kept = call(*command), laboratory.files(lab)
    again = call(*command)
    assert "wide_mlp-budget=20: trained already" in again
    assert again.partition("\n")[2] == first.partition("\n")[2]
    assert laboratory.files(lab) == kept


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "wide_mpl"), "did you mean wide_mlp"),
        (("run", "wide_mlp", "weight_decy=1"), "did you mean weight_decay"),
        (("run", "wide_mlp", "name=x"), "`name` may be .*optimizer.name .*; write one of these"),
        (("run", "wide_mlp", "weight_decay"), "`weight_decay` is no change; write key=value"),
        (("run", "wide_mlp", "steps=20", "steps=30"), "`steps` is given twice"),
        (("run", "wide_mlp", "steps=2e3"), "`wide_mlp.budget` should be a valid integer, but got 2000.0"),
        (("run", "wide_mlp", "hidden_widths=[3"), "is no value"),
        (("run", "wide_mlp", "--seeds", "0"), "`seeds` must be a whole number from 1 to 10000, but got 0"),
        (("run", "wide_mlp", "--seeds", "many"), "valid integer"),
        (("run", "wide_mlp", "--name", "../mine"), "`../mine` is no name of a run"),
        (("run", "wide_mlp", "--device", "tpu"), "`--device` must be cpu or cuda, but got 'tpu'"),
        (("run", "wide_mlp", "--sedes", "3"), "No such option"),
        (("run", "nothing.yaml"), "there is no file nothing.yaml; `grokking search TASK` writes"),
        (("run", "nothing.yml"), "there is no file nothing.yml"),
        (("run", "~/nothing.yaml"), r"there is no file /[^~]*/nothing\.yaml"),
        (("run", "wide_mlp", "weight_decay", "=", "0.5"), "`weight_decay` is no change; write key=value"),
        (("run", "transformer", "heads=3"), "heads"),
        (("run",), "Missing argument"),
        (("runn",), "No such command"),
        (("list", "--group", "mine"), "`--group` must be one of systems, own"),
        (("show", "nothing"), "no experiment and no own run"),
        (("compare", "wide_mlp"), "name two or more different runs"),
        (("predict", "40"), "Missing argument"),
        (("predict", "11", "3"), "is no equation of"),
        (("predict", "1", "3", "--step", "3"), "keeps no network of step 3; kept: 0, 1, 2, 4"),
        (("search", "nothing"), "`tasks.nothing` is not in params.yaml"),
        (("search", "small", "learning_rates=1"), "`learning_rates` is no key here"),
        (("search", "small", "modulus=0"), "modulus` must be a whole number from 2 to 1000, but got 0"),
        (("search", "small", "family=mlp"), "`family` is an option of a search; write `--family mlp`"),
        (("search", "small", "--minutes", "0"), "`--minutes` must be above 0"),
        (("search", "small", "--family", "mlp"), "trains the family 'mlp'.*with one: one_hot_mlp;"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(lab, arguments, told):
    before = laboratory.files(lab)
    line = refused(*arguments)
    assert line.startswith("error: ")
    assert re.search(told, line), line
    assert laboratory.files(lab) == before
    assert list(Path().iterdir()) == []


def test_a_killed_run_goes_on_from_its_checkpoint(lab):
    command = ("run", "wide_mlp", "steps=2500", "weight_decay=0.0", "--name", "killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "grokking.cli.main", *command],
        env=laboratory.environment(lab) | {"GROKKING_CHECKPOINT_SECONDS": "0.2"},
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    checkpoint = wait_for_checkpoint(lab, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (lab / "artifacts/own/killed/tables").exists()

    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-1])
    assert f"the checkpoint {checkpoint} is damaged" in refused_late(*command)
    checkpoint.write_bytes(whole)
    call(*command)
    assert not checkpoint.exists()
    at_once = grokking.train("wide_mlp", steps=2500, weight_decay=0.0, name="at_once")
    pd.testing.assert_frame_equal(grokking.load("killed").history(), at_once.history())


def wait_for_checkpoint(lab: Path, process: subprocess.Popen) -> Path:
    """The checkpoint of a run under way, after some steps."""
    for _ in range(600):
        assert process.poll() is None, "the run ended before it was killed"
        for file in lab.glob(".checkpoints/*/*.checkpoint"):
            if json.loads(file.read_bytes().partition(b"\n")[0])["rest"]["step"] > 100:
                return file
        time.sleep(0.05)
    raise AssertionError("no checkpoint was written")


def refused_late(*arguments: str) -> str:
    """The last line of a command that began, and could not go on."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, (done.output, done.exception)
    return done.stderr.splitlines()[-1]


# asking and looking


def test_predict_says_what_the_network_says(lab):
    found = grokking.load("wide_mlp").predict(4, 8, seed=1)
    said = call("predict", "4", "8", "--seed", "1")
    assert "wide_mlp, seed 1, step " in said
    assert "a + b mod 11 for a = 4, b = 8" in said
    assert re.search(rf"answer +{found.answer}$", said, re.MULTILINE)
    assert f"{found.probability:.4f}" in said
    assert f"the pair was{'' if found.trained_on else ' not'} among the equations for training" in said


def test_predict_at_a_step(lab):
    run = grokking.load("wide_mlp")
    early = run.predict(4, 8, step=0)
    assert early.probability != run.predict(4, 8).probability
    assert f"probability {early.probability:.4f}" in call("predict", "4", "8", "--step", "0")


def test_list_has_every_experiment_and_own_runs(lab):
    call("run", "wide_mlp", "steps=20", "--name", "mine")
    said = call("list")
    for name in ("wide_mlp", "transformer", "untrained", "mine"):
        assert re.search(rf"^ {name} ", said, re.MULTILINE)
    assert re.search(r"^ untrained .*not trained", said, re.MULTILINE)
    assert re.search(r"^ wide_mlp .*2 +14,600 \(95%\) +0 of 2 +> 60", said, re.MULTILINE)
    assert re.search(r"^ wide_mlp_grid .*0 of 1, best of 4", said, re.MULTILINE)
    assert "wide_mlp" not in call("list", "--group", "own")


def test_show_says_where_values_come_from(lab):
    call("run", "wide_mlp", "steps=20", "modulus=13", "--name", "mine")
    said = call("show", "mine")
    for key, value, origin in (
        ("budget", "20", "the command"),
        ("task.operation.modulus", "13", "the command"),
        ("task.split.train_fraction", "0.6", "tasks.tiny.split.train_fraction"),
        ("optimizer.beta2", "0.98", "experiments.wide_mlp.optimizer.beta2"),
        ("loss_precision", "float64", "defaults.experiment.loss_precision"),
    ):
        assert re.search(rf"^ {re.escape(key)} +{value} +{re.escape(origin)} *$", said, re.MULTILINE), said
    assert "memorization step" in said
    assert "t train   v validation" in said
    assert str(lab / "artifacts/own/mine/curves.png")[-20:] in said
    inherited = call("show", "wide_mlp_grid")
    assert re.search(r"^ budget +60 +experiments.wide_mlp.budget", inherited, re.MULTILINE)
    assert "not trained yet" in call("show", "untrained")


def test_compare_shows_what_differs(lab):
    said = call("compare", "wide_mlp", "half_decay")
    assert re.search(r"^ optimizer.weight_decay +1.0 +0.5", said, re.MULTILINE)
    assert "optimizer.beta1" not in said
    memorized = [
        grokking.load(n).replicas()["memorization_step"].median() for n in ("wide_mlp", "half_decay")
    ]
    shown = [f"{step:,.0f}" if step == step else "—" for step in memorized]
    assert re.search(rf"memorized, median step +{shown[0]} +{shown[1]} *$", said, re.MULTILINE), said
    assert "A wide_mlp   B half_decay" in said


def test_compare_and_show_tell_the_points_of_a_grid(lab):
    said = call("compare", "wide_mlp", "wide_mlp_grid")
    assert re.search(r"wide_mlp_grid is a grid; its best point is shown: \w+=", said)
    assert re.search(r"replicas that generalized .* 0 of 1 *$", said, re.MULTILINE)
    assert len(re.findall(r"^\w+=.*, seed 0: ", call("show", "wide_mlp_grid"), re.MULTILINE)) == 4


# search and speed


def test_search_finds_confirms_and_goes_on(lab):
    command = ("search", "small", "--minutes", "0.1")
    first = call(*command)
    number = re.search(r"the best is number (\d+): \d+ steps, the median of its seeds", first)[1]
    assert re.search(r"^memorized at \d+, generalized at \d+", first, re.MULTILINE), first
    assert f"grokking run {lab / 'artifacts/searches/small.yaml'}" in first
    assert f"optuna-dashboard {lab / 'studies/own-small.journal'}" in first
    confirmed = grokking.load(f"own-small-{number}")
    assert confirmed.replicas()["seed"].tolist() == [1]  # fresh, as the entry has it
    recipe = YAML(typ="safe").load((lab / "artifacts/searches/small.yaml").read_text())["config"]
    assert recipe == confirmed.config

    def trials(said: str) -> int:
        return int(re.search(r"^(\d+) trials; the best", said, re.MULTILINE)[1])

    assert trials(call(*command)) > trials(first)


def test_a_search_by_other_params_leaves_the_earlier_run(lab):
    """Its best trial may have the same number."""
    config = grokking.train("wide_mlp", steps=20, name="own-small-0").config
    other = config | {"budget": 30}
    search = plan_search("small", {})
    assert [search.run_name(0, own) for own in (config, other)] == ["own-small-0", "own-small-0-2"]
    grokking.train(other, name="own-small-0-2")
    third = config | {"budget": 40}
    assert [search.run_name(0, own) for own in (other, third)] == ["own-small-0-2", "own-small-0-3"]


def test_search_with_another_family(lab):
    params = (lab / "params.yaml").read_text()
    (lab / "params.yaml").write_text(params.replace("\nsweeps:", f"{EMBEDDING_STUDY}\nsweeps:"))
    try:
        said = call("search", "small", "--family", "embedding_mlp", "--minutes", "0.1")
    finally:
        (lab / "params.yaml").write_text(params)
    assert "small: searching optimizer.learning_rate for" in said
    number = re.search(r"the best is number (\d+)", said)[1]
    found = grokking.load(f"own-small-embedding_mlp-{number}").config
    assert found["model"]["family"] == "embedding_mlp"
    assert found["task"]["name"] == "small"


EMBEDDING_STUDY = """
  embedded:
    extends: defaults.study
    experiment:
      extends: defaults.experiment
      task: small
      system: none
      role: variant
      model:
        family: embedding_mlp
        tables: separate
        combine: sum
        embedding_width: 32
        embedding_std: 0.3
        hidden_widths:
        - 64
        activation: square
        bias: true
        initialisation: fan_in_uniform
        init_scale: 1.0
        output_scale: 1.0
      optimizer: {name: adamw, learning_rate: 1e-2, weight_decay: 1.0, beta1: 0.9, beta2: 0.98, epsilon: 1e-8}
      schedule: {name: constant, warmup_steps: 0}
      batch: {sampling: full}
      loss: mean_squared_error
      budget: 500
    space:
      optimizer.learning_rate: {kind: log, low: 1e-2, high: 3e-2}
    trials: 4
    search: {seeds: [0], split_seeds: [0]}
    sustain_seeds: {seeds: [2], split_seeds: [0]}
    confirm: {seeds: [1], split_seeds: [1]}
    sampler: {startup_trials: 2}
    pruner: {racing_factor: 2.0, exempt_first: 2, exempt_every: 5}
    random_baseline: false
"""


def test_search_on_a_changed_task(lab):
    said = call("search", "small", "train_fraction=0.7", "--minutes", "0.05")
    assert "small, split.train_fraction=0.7: searching" in said
    config = YAML(typ="safe").load((lab / "artifacts/searches/small-train_fraction=0.7.yaml").read_text())[
        "config"
    ]
    assert config["task"]["split"]["train_fraction"] == 0.7
    assert config["task"]["name"] != "small"
    assert f"optuna-dashboard {lab / 'studies/own-small-train_fraction=0.7.journal'}" in said


def test_speed_compares_with_the_plain_loop():
    said = call("speed", "numpy_mlp_momentum", "--rounds", "1")
    row = re.search(r"numpy_mlp_momentum .*? ([\d.]+) \(.*? ([\d.]+) \(.*?\) +([\d.]+)", said)
    ours, plain, ratio = map(float, row.groups())
    assert ratio == pytest.approx(plain / ours, rel=0.05)
    assert "known: adamw_transformer, wide_mlp" in refused("speed", "nothing")
    assert set(speed.CASES) <= set(CASES)


# displays


def curves():
    return [
        chart.Curve("train", "t", "blue", [1, 10, 100, 1000], [0.0, 0.5, 1.0, 1.0]),
        chart.Curve("validation", "v", "red", [1, 10, 100, 1000], [0.0, 0.0, 0.0, 1.0]),
    ]


def screen(**options):
    return Console(file=io.StringIO(), width=70, **options)


def test_a_chart_without_colours_has_letters_at_the_right_places():
    lines = chart.chart(curves(), screen(), height=11).plain.splitlines()
    assert lines[0].startswith("100 % │")
    assert lines[10].startswith("  0 % │v")
    plot = [line[7:] for line in lines[:11]]
    width = 70 - 7
    assert plot[0][-1] == "v"
    assert plot[5][round((width - 1) / 3)] == "t"  # half-way up at step 10, a third of the axis to 1,000
    assert plot[0][round((width - 1) * 2 / 3)] == "t"
    for label, share in (("10", 1 / 3), ("100", 2 / 3)):
        assert lines[11].index(f" {label} ") + 1 == 7 + round((width - 1) * share)


def test_a_chart_in_colours_has_dots_and_no_colours_where_they_are_not_wanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = screen(force_terminal=True, color_system="standard")
    coloured.print(chart.chart(curves(), coloured))
    assert "\x1b[34m" in coloured.file.getvalue()
    assert any(0x2800 < ord(sign) < 0x2900 for sign in coloured.file.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = screen(force_terminal=True, color_system="standard")
    plain.print(chart.chart(curves(), plain))
    assert "\x1b[34m" not in plain.file.getvalue()
    assert "tttt" in plain.file.getvalue()


def test_a_chart_bears_numbers_that_are_none():
    broken = [chart.Curve("train", "t", "blue", [1, 2, 3], [0.0, np.nan, np.inf])]
    assert chart.chart(broken, screen()).plain.count("t") >= 1
    assert "100 %" in chart.chart([], screen()).plain


def test_a_sparkline_has_the_latest_value_last():
    assert chart.sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert len(chart.sparkline(list(np.linspace(0, 1, 1000)), width=24)) == 24
    assert chart.sparkline([0.0] * 999 + [1.0], width=24).endswith("█")
    assert chart.sparkline([]) == ""


def evaluation(
    step: int, train: float, finished: bool = False, replica: int = 0, seconds: float = 0.0
) -> Evaluation:
    metrics = {"train_accuracy": train, "validation_accuracy": 0.25}
    return Evaluation(replica, step, seconds, "", metrics, None, finished)


def test_a_terminal_shows_both_accuracies_the_step_and_the_time_left(lab):
    shown = screen(force_terminal=True)
    display = live.LiveRun("mine", training.plan("wide_mlp", {}).replicas, shown)
    for step, train in ((0, 0.0), (10, 0.5), (20, 0.75)):
        display.show(evaluation(step, train))
    display.started = time.monotonic() - 20  # a third of the budget of 60 in 20 seconds
    shown.print(display._shown())
    text = shown.file.getvalue()
    assert "mine: at most 0:40 left" in text
    assert re.search(r"0 +20 +75.0% +▁▅▇ +25.0% +▃▃▃", text)
    display.show(evaluation(60, 1.0, finished=True))
    assert display._time_left() == "almost done"


def test_time_left_counts_neither_steps_of_an_earlier_call_nor_what_a_replica_saves(lab):
    """Of two budgets of 60: one ends at step 20; the other was at 30, and makes 10 more. 20 are left."""
    display = live.LiveRun("mine", training.plan("wide_mlp", {}, seeds=2).replicas, screen())
    display.show(evaluation(30, 0.5, replica=1, seconds=100.0))
    display.show(evaluation(20, 1.0, finished=True))
    display.show(evaluation(40, 0.5, replica=1))
    display.started = time.monotonic() - 30  # 30 steps in 30 seconds
    assert display._time_left() == "at most 0:20 left"


def test_elsewhere_a_line_is_printed_every_half_minute(lab, monkeypatch):
    shown, now = screen(), [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    with live.LiveRun("mine", training.plan("wide_mlp", {}).replicas, shown) as display:
        for second in range(0, 71, 10):
            now[0] = float(second)
            display.show(evaluation(second // 2, 0.5))
    lines = shown.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("mine, seed 0: step 15, train 50.0%, validation 25.0%; at most 1:30 left")


# the page


PAGE = (laboratory.ROOT / "docs" / "cli.md").read_text()
CHANGED = subprocess.run(
    ["git", "status", "--porcelain", "results/runs/systems"],
    cwd=laboratory.ROOT, capture_output=True, text=True,
).stdout  # fmt: skip
of_committed_results = pytest.mark.skipif(bool(CHANGED), reason="results are not those that the page shows")


@of_committed_results
def test_the_python_on_the_page_prints_what_it_says():
    """Of the committed results."""
    code = PAGE.partition("```python\n>>>")[2].partition("```")[0]
    example = doctest.DocTestParser().get_doctest(f">>>{code}", {}, "cli.md", "cli.md", 0)
    assert len(example.examples) > 7
    printed: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failures = doctest.DocTestRunner(optionflags=flags).run(example, out=printed.append).failed
    assert failures == 0, "".join(printed)


def test_commands_on_the_page_are_commands():
    """What is to be trained can be planned; the numbers of committed results are those on the page."""
    lines = re.findall(r"^\$ grokking (.*)", PAGE, re.MULTILINE)
    assert {line.split()[0] for line in lines} == set(COMMANDS) - {"show"}
    assert "`grokking show demo`" in PAGE
    planned = [line.split("--")[0].split()[1:] for line in lines if line.startswith("run ")]
    for experiment, *changes in planned:
        assert training.plan(experiment, keys.parse_all(changes)).replicas


@of_committed_results
@pytest.mark.parametrize(
    "command", ["list --group systems", "compare embedding_mlp embedding_mlp_no_decay", "bench targets"]
)
def test_output_on_the_page_is_what_the_command_prints(command, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = PAGE.partition(f"$ grokking {command}\n")[2].partition("\n```")[0]
    assert without_seconds(call(*command.split())) == without_seconds(shown)


def without_seconds(text: str) -> list[str]:
    """Lines as an editor leaves them, but for times, which are of a machine."""
    lines = (line.rstrip() for line in text.splitlines() if "seconds" not in line)
    return "\n".join(lines).strip("\n").splitlines()
