"""`python -m pipelines.repro`: what `dvc repro` does, with independent stages side by side."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from clones import ROOT, environment, run
from ruamel.yaml import YAML

from pipelines.common.capacity import MEMORY, Capacity, number_of_jobs

REPRO = (sys.executable, "-m", "pipelines.repro")
LEFT_OUT = ("artifacts", "mlruns", ".checkpoints", "studies", "cache", "tmp", "dvc.lock", "reports")
RUNS = Path("results/runs/systems")
MEET = (  # arrive, and wait until the other has arrived, too
    "import pathlib, sys, time; own, other, out = map(pathlib.Path, sys.argv[1:])\n"
    "own.touch(); end = time.monotonic() + 60\n"
    "while not other.exists(): assert time.monotonic() < end, 'alone'; time.sleep(0.01)\n"
    "out.write_text('met')\n"
)
SLEEP = (
    "import pathlib, time; pathlib.Path('asleep').touch()\n"
    "time.sleep(0 if pathlib.Path('awake').exists() else 600)"
)
WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[1])"


def stage(command: str, outs: list[str], deps: list[str] | None = None) -> dict:
    """As dvc.yaml has it."""
    listed = [{out: {"cache": False}} for out in outs]
    return {"cmd": command, "outs": listed, "deps": deps or []}


def writing(name: str, *deps: str) -> dict:
    """A stage that writes a file of its name, and names itself in the file `order`."""
    return stage(f"python write.py {name}.txt && echo {name} >> order", [f"{name}.txt"], [*deps, "write.py"])


@pytest.fixture
def repository(tmp_path):
    """A function that makes a repository of DVC with these stages."""

    def make(stages: dict, name: str = "repository") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copytree(ROOT / "pipelines", folder / "pipelines")
        for script, text in {"meet.py": MEET, "sleep.py": SLEEP, "write.py": WRITE}.items():
            (folder / script).write_text(text)
        with (folder / "dvc.yaml").open("w") as file:
            YAML().dump({"stages": stages}, file)
        run(folder, "git", "init", "--quiet")
        run(folder, "dvc", "init", "--quiet")
        run(folder, "dvc", "config", "--local", "core.site_cache_dir", str(folder / "site_cache"))
        return folder

    return make


def repro(folder: Path, *arguments: str, code: int = 0) -> tuple[list[str], str]:
    """Lines of what the command prints, and its errors."""
    done = subprocess.run(
        [*REPRO, *arguments], cwd=folder, env=of_user(folder), capture_output=True, text=True
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines(), done.stderr


def of_user(folder: Path) -> dict[str, str]:
    return environment(folder) | {"PYTHONPATH": str(ROOT / "src")}


def changed(folder: Path) -> dict:
    return json.loads(run(folder, "dvc", "status", "--json"))


def test_order_respects_dependencies(repository):
    folder = repository(
        {"last": writing("last", "middle.txt", "beside.txt"), "middle": writing("middle", "first.txt")}
        | {"first": writing("first"), "beside": writing("beside", "first.txt")}
    )
    repro(folder, "--jobs", "4")
    order = (folder / "order").read_text().split()
    assert sorted(order) == ["beside", "first", "last", "middle"]
    assert (order[0], order[-1]) == ("first", "last")
    assert changed(folder) == {}


def test_two_independent_stages_overlap(repository):
    """Each waits for the other, which one after the other could not end."""
    a, b = "python meet.py here_a here_b a.txt", "python meet.py here_b here_a b.txt"
    folder = repository({"a": stage(a, ["a.txt"]), "b": stage(b, ["b.txt"])})
    repro(folder, "--jobs", "2")
    assert (folder / "a.txt").read_text() == (folder / "b.txt").read_text() == "met"
    assert changed(folder) == {}


def test_one_job_is_one_stage_at_a_time(repository):
    folder = repository({name: writing(name) for name in "abc"})
    lines, _ = repro(folder, "--jobs", "1")
    told = [line.split()[1] for line in lines if line[1:2] == ":"]
    assert told == ["started", "done"] * 3


def test_twenty_stages_that_end_at_once_leave_the_lock_file_of_a_serial_run(repository):
    """All of them wait for the last to arrive; a serial run finds that all have arrived before."""
    gather = (
        "import pathlib, sys, time; pathlib.Path('here', sys.argv[1]).touch(); end = time.monotonic() + 60\n"
        "arrived = lambda: len(list(pathlib.Path('here').iterdir()))\n"
        "while arrived() < 20: assert time.monotonic() < end; time.sleep(0.01)\n"
        "pathlib.Path(sys.argv[1]).write_text(sys.argv[1])\n"
    )
    stages = {f"s{i}": stage(f"python gather.py s{i}.txt", [f"s{i}.txt"], ["gather.py"]) for i in range(20)}
    locks = []
    for name, command in (("beside", (*REPRO, "--jobs", "20")), ("serial", ("dvc", "repro"))):
        folder = repository(stages, name)
        (folder / "gather.py").write_text(gather)
        (folder / "here").mkdir()
        if name == "serial":
            for i in range(20):
                (folder / "here" / f"s{i}.txt").touch()
        subprocess.run(command, cwd=folder, env=of_user(folder), check=True, capture_output=True)
        assert changed(folder) == {}
        locks.append((folder / "dvc.lock").read_text())
    assert locks[0] == locks[1]
    assert locks[0].count("gather.py s") == 20


def test_what_did_not_change_is_skipped(repository):
    folder = repository({"a": writing("a"), "b": writing("b", "a.txt"), "c": writing("c", "data")})
    (folder / "data").write_text("1")
    repro(folder)
    assert repro(folder)[0] == ["3 stages, none of them changed"]
    (folder / "order").unlink()
    (folder / "data").write_text("2")
    repro(folder)
    assert (folder / "order").read_text().split() == ["c"]


def test_what_depends_on_a_stage_that_wrote_the_same_is_unchanged(repository):
    folder = repository({"a": writing("a", "data"), "b": writing("b", "a.txt")})
    (folder / "data").write_text("1")
    repro(folder)
    (folder / "order").unlink()
    (folder / "data").write_text("2")
    assert "b: unchanged" in repro(folder)[0]
    assert (folder / "order").read_text().split() == ["a"]
    assert changed(folder) == {}


def test_a_target_runs_with_what_it_needs_only(repository):
    folder = repository({"a": writing("a"), "b": writing("b", "a.txt"), "c": writing("c")})
    repro(folder, "b")
    assert (folder / "order").read_text().split() == ["a", "b"]


def test_a_failed_stage_stops_what_needs_it_and_a_second_call_goes_on(repository):
    """The other, which runs beside it, ends and is recorded."""
    failing = "python -c \"import pathlib; print('my trouble'); assert pathlib.Path('mended').exists()\""
    other = "python meet.py here_b here_b b.txt"
    stages = {"a": stage(f"{failing} && python write.py a.txt", ["a.txt"]), "b": stage(other, ["b.txt"])}
    folder = repository(stages | {"c": writing("c", "a.txt"), "d": writing("d", "c.txt")})
    lines, told = repro(folder, "--jobs", "2", code=1)
    assert told.splitlines() == [
        "error: `a` failed, as printed above, and 2 stages were not run; mend it, and the same command goes "
        "on from here"
    ]
    assert any(line.startswith("a: FAILED after") for line in lines)
    assert {"    my trouble", "    AssertionError"} <= set(lines)
    assert set(changed(folder)) == {"a", "c", "d"}
    (folder / "mended").touch()
    repro(folder)
    assert (folder / "order").read_text().split() == ["c", "d"]
    assert changed(folder) == {}


def test_nothing_starts_after_a_failure(repository):
    folder = repository({"a": stage("false", ["a.txt"]), "b": writing("b")})
    lines, told = repro(folder, "--jobs", "1", code=1)
    assert "b: started" not in lines
    assert "1 stages were not run" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupt_leaves_no_process_and_no_lock(repository, number):
    """The signal reaches the command alone; after a kill its stages end by themselves."""
    folder = repository(
        {"a": stage("python sleep.py && python write.py a.txt", ["a.txt"]), "b": writing("b")}
    )
    command = subprocess.Popen(
        [*REPRO, "--jobs", "2"], cwd=folder, env=of_user(folder), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    processes = [psutil.Process(command.pid)]
    try:
        wait_for(lambda: (folder / "asleep").exists() and "b:" in lock_text(folder))
        processes += processes[0].children(recursive=True)
        os.kill(command.pid, number)
        _, told = command.communicate(timeout=60)
        assert not psutil.wait_procs(processes, timeout=30)[1]
    finally:
        for process in processes:
            if process.is_running():
                process.kill()
    assert len(processes) >= 3
    if number != signal.SIGKILL:
        assert command.returncode == 130
        assert told.splitlines() == ["interrupted; the same command goes on from here"]
    assert set(changed(folder)) == {"a"}
    (folder / "awake").touch()
    run(folder, "dvc", "repro")
    assert repro(folder)[0] == ["2 stages, none of them changed"]


def lock_text(folder: Path) -> str:
    file = folder / "dvc.lock"
    return file.read_text() if file.exists() else ""


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "error: the targets nowhere are no plan for DVC: "),
        (["--jobs", "0"], "error: --jobs must be a whole number of at least 1, but got '0'"),
    ],
)
def test_a_mistake_is_one_line(repository, arguments, told):
    _, errors = repro(repository({"a": writing("a")}), *arguments, code=2)
    (line,) = errors.splitlines()
    assert line.startswith(told)


def test_jobs_are_as_many_as_cores_and_memory_allow():
    assert [Capacity(cores, 1000 * MEMORY).jobs for cores in (2, 64)] == [2, 64]
    assert [Capacity(64, memory).jobs for memory in (0, 5 * MEMORY)] == [1, 5]
    assert Capacity(2, MEMORY, jobs=number_of_jobs("7")).jobs == 7


def most(stage: str, capacity: Capacity) -> int:
    """How many of these stages run at once."""
    running: list[str] = []
    while capacity.allows(stage, running):
        running.append(stage)
    return len(running)


def test_stages_that_fill_the_cores_are_few_at_once():
    """A stage starts while those that run leave a core, or just fill them all."""
    two, many = Capacity(2, 1000 * MEMORY), Capacity(64, 1000 * MEMORY)
    assert [most(name, two) for name in ("train@a", "search@a", "draw@a")] == [2, 2, 2]
    assert [most(name, many) for name in ("train@a", "search@a", "draw@a")] == [17, 2, 64]


def test_nothing_runs_beside_a_stage_that_measures_seconds():
    capacity = Capacity(64, 1000 * MEMORY, alone=["search@timed"])
    assert not capacity.allows("search@timed", ["draw@a"])
    assert not capacity.allows("draw@a", ["search@timed"])
    assert capacity.allows("search@timed", [])


def test_stages_take_turns_on_a_gpu():
    capacity = Capacity(64, 1000 * MEMORY, gpu=True)
    assert most("train@a", capacity) == 1
    assert capacity.allows("draw@a", ["train@b"])


TRAINED = ("train@wide_mlp", "train@transformer", "sweep@tiny_phases")
MEASURED = ["seconds", "processor"]  # what no two runs have alike


def test_the_tiny_study_has_the_same_bits_as_a_serial_run(clone, tmp_path):
    """Some of its training, from nothing, beside the clone's, which `dvc repro` made."""
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for folder in ("runs", "sweeps", "splits"):
        shutil.rmtree(copy / "results" / folder)
    run(copy, "dvc", "config", "--local", "core.site_cache_dir", str(copy / ".dvc_site_cache"))
    run(copy, sys.executable, "-m", "pipelines.repro", *TRAINED)
    assert json.loads(run(copy, "dvc", "status", "--json", *TRAINED, "--with-deps")) == {}
    for name in ("wide_mlp", "transformer"):
        for table in ("history.parquet", "replicas.parquet"):
            mine, serial = (pd.read_parquet(each / RUNS / name / table) for each in (copy, clone))
            pd.testing.assert_frame_equal(
                mine.drop(columns=MEASURED, errors="ignore"), serial.drop(columns=MEASURED, errors="ignore"),
                check_exact=True,
            )  # fmt: skip
    mine, serial = (recorded(each) for each in (copy, clone))
    assert mine == serial
    assert len(mine) == 5


def recorded(folder: Path) -> dict[str, str]:
    """Hashes that dvc.lock has of splits, networks and the sweep, which hold no seconds."""
    stages = YAML(typ="safe").load(folder / "dvc.lock")["stages"]
    outs = [out for name in (*TRAINED, "split@tiny", "split@tiny_division") for out in stages[name]["outs"]]
    return {out["path"]: out["md5"] for out in outs if not out["path"].startswith("results/runs")}
