"""Every command that a page tells its reader to type is typed here, in order, on the tiny study."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from clones import ROOT, environment, run

PAGES = ("README.md", "docs/recipes.md", "docs/mlflow.md", "docs/tutorial.md")
TINY = {  # names of the pages -> those of the tiny study
    "own_addition_97_f50": "own_small", "addition_97_f50": "small",
    "addition_97_f50_many": "small", "addition_97_f30": "tiny",
    "embedding_mlp": "numpy_mlp_momentum", "system_2": "branches",
    "modulus=59": "modulus=13", "modulus=67": "modulus=11", "train_fraction=0.4": "train_fraction=0.6",
    "steps=3000": "steps=30", "steps=6000": "steps=30", "predict 50 20": "predict 9 8",
    "--minutes 2": "--minutes 0.1", "phases_quadratic": "tiny_phases",
}  # fmt: skip
ELSEWHERE = {  # and where they are run
    "make test": "these tests",
    "make same": "test_same.py",
    "make accept": "test_same.py",
    "dvc repro report_search@wide_mlp_rates": "test_search_pipeline.py",
    "python -m pipelines.search wide_mlp_rates": "test_search_pipeline.py",
}
QUEUE = ("dvc exp run --queue", "dvc exp run --run-all")  # test_pipeline.py
SERVERS = ("make browse", "make ui", "make dashboard", "PORT=5001 make ui")
REAL = ("make demo", "grokking predict 40 80")  # of the real params and results
pytestmark = pytest.mark.timeout(1800)


def typed(page: str) -> list[str]:
    """Commands of a page, in order: lines of its blocks without a language, and cells of the table in README.

    A block of bash is of a server: test_team_server.py types it.

    A block of YAML that begins with the name of an entry is an entry to be added.
    """
    found = []
    text = (ROOT / page).read_text()
    blocks = re.compile(
        r"^```(yaml)?\n(.*?)^```$|^\|[^|]*\| `([^`]+)` \| [^|]* \|$", re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"<!-- output of .*?<!-- end of output -->", "", text, flags=re.DOTALL)
    other = re.compile(r"^```(?!yaml)\w+\n.*?^```$", re.DOTALL | re.MULTILINE)  # output, a file
    text = other.sub("", text)
    for language, block, cell in blocks.findall(text):
        if language:
            found.append(block)
        else:
            lines = [cell] if cell else block.splitlines()
            found += [line.partition("  #")[0].strip() for line in lines]
    return [in_tiny(command) for command in found if command]


def in_tiny(command: str) -> str:
    for name, other in TINY.items():
        command = re.sub(rf"(?<![\w]){re.escape(name)}(?!\w)", other, command)
    return command


@pytest.fixture(scope="module")
def reader(clone):
    """The tiny study with the pages and a virtual environment, as after the set-up; put back at the end."""
    set_up(clone)
    shutil.copytree(ROOT / "docs", clone / "docs")
    run(
        clone, "dvc", "repro", "extended/dvc.yaml:train@shared_mlp_f25"
    )  # the repository has some of each group
    yield clone
    (clone / ".venv").unlink()
    shutil.rmtree(clone / "docs")
    run(clone, "git", "checkout", "--quiet", ".")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The real params and results."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("src", "results", "params.yaml", "extended", "Makefile", "requirements.lock", "benchmarks"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    set_up(folder)
    return folder


def set_up(folder: Path) -> None:
    """What `make` does first, with the environment that these tests run in."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / ".venv").symlink_to(sys.prefix)
    assert (folder / ".venv" / "installed").exists(), "the tests run in the environment that `make` sets up"
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(folder / name, (0, 0))  # older than any set-up


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_in_order(reader, real, page):
    commands = typed(page)
    assert commands
    earlier = {command for other in PAGES[: PAGES.index(page)] for command in typed(other)}
    for command in commands:
        if command in earlier or command in ELSEWHERE or command.startswith(QUEUE):
            continue
        if command.startswith("  ") or re.match(r"\w+:\n", command):
            add_entry(reader, command)
        elif command.startswith(SERVERS):
            assert "http://" in first_lines(reader, command)
        else:
            folder = real if command.startswith(REAL) else reader
            printed = run(folder, "bash", "-ec", command)
            assert "Traceback" not in printed


def test_the_python_of_the_readme_runs(reader):
    code = in_tiny(re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1])
    printed = run(reader, "python", "-c", code.replace("40, 80", "4, 8"))
    assert "generalization_step" in printed


def test_the_python_of_the_page_of_mlflow_finds_own_runs(reader):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mlflow.md").read_text(), re.DOTALL)
    run(reader, "make", "publish")
    assert "own run" in run(reader, "python", "-c", code)


def test_the_python_of_the_tutorial_runs_on_the_runs_that_it_has_trained(reader):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)
    run(reader, "python", "-c", code)
    assert len(list((reader / "artifacts" / "own").glob("*/tables/replicas.parquet"))) > 5


@pytest.fixture
def bare(tmp_path):
    """A copy in which nothing was run."""
    for name in ("src", "pipelines", "extended", "params.yaml", "Makefile", "requirements.lock"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    set_up(tmp_path)
    return tmp_path


def make(folder: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environ = environment(folder) | {"MAKELEVEL": "0"} | changes  # else it says make[1] under `make test`
    return subprocess.run(
        ["make", "--silent", *words], cwd=folder, env=environ, capture_output=True, text=True
    )


def test_make_refuses_a_bad_entry_in_one_line_before_dvc_reads_it(bare):
    file = bare / "params.yaml"
    file.write_text(file.read_text().replace("\nexperiments:\n", "\nexperiments:\n  ..: {}\n", 1))
    done = make(bare, "repro")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert len(told) == 1
    assert told[0].startswith("error: `experiments` in params.yaml: '..' is no name of an entry")


def test_make_runs_commands_by_a_shell_that_is_one(bare):
    """An account's own shell may be nologin, and DVC would take it."""
    shown = "shell: ; @python -c 'import os; print(os.environ[\"SHELL\"])'"
    assert make(bare, "--eval", shown, "shell", SHELL="/usr/sbin/nologin").stdout.strip() == "/bin/sh"


def test_make_clean_removes_caches_and_keeps_the_rest(bare):
    caches = [bare / name for name in ("src/grokking/__pycache__", ".pytest_cache", "dvc_plots")]
    kept = [bare / name for name in ("results/runs", "mlruns", ".venv", "artifacts/own")]
    for folder in caches + kept:
        folder.mkdir(parents=True, exist_ok=True)
    assert make(bare, "clean").returncode == 0
    assert not any(cache.exists() for cache in caches)
    assert all(folder.exists() for folder in kept)


def add_entry(clone: Path, entry: str) -> None:
    """To the section of params.yaml that it belongs to."""
    file = clone / "params.yaml"
    marks = {"trials:": "studies", "design:": "sweeps", "operation:": "tasks"}
    section = next((section for mark, section in marks.items() if mark in entry), "experiments")
    file.write_text(file.read_text().replace(f"\n{section}:\n", f"\n{section}:\n{entry}", 1))


def first_lines(clone: Path, command: str) -> str:
    """What a server prints until it says where it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = subprocess.Popen(
        shlex.split(command.removeprefix("PORT=5001 ")), cwd=clone, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(clone) | {"PORT": port},
    )  # fmt: skip
    try:
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "http://" in line:
                break
        return "".join(lines)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
