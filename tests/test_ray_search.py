"""On a Ray cluster one of whose nodes is killed, a search finds what it finds on this machine alone."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pandas as pd
import psutil
import pytest
from clones import environment
from ray_nodes import MISSING
from ruamel.yaml import YAML

TRIALS = 24
NETWORK = "numpy_mlp_momentum"
TIMES = ("started", "ended")
STAGES = ("search", "confirm", "report_search")  # of the study `quick`
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def longer(clone, tmp_path_factory) -> Path:
    """The tiny study, with a longer and slower search at random points that no rule stops."""
    pytest.importorskip("ray", reason=MISSING)
    folder = shutil.copytree(clone, tmp_path_factory.mktemp("longer") / "checkout", symlinks=True)
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text())
    study = params["studies"]["quick"]
    study["trials"], study["random_baseline"] = TRIALS, False
    study["experiment"]["budget"] = 4000
    study["space"]["optimizer.learning_rate"] |= {"low": 6e-4, "high": 1.5e-3}  # seconds for a trial
    study["sampler"] = {"name": "random", "seed": 0, "startup_trials": 2}
    study["pruner"] |= {"name": "none"}
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    for name in ("studies", "results/search/quick", "results/confirm/quick", "mlruns"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def alone(longer, tmp_path_factory) -> Path:
    """The same, searched and confirmed on this machine alone."""
    folder = shutil.copytree(longer, tmp_path_factory.mktemp("alone") / "checkout", symlinks=True)
    run_stages(folder, {}, STAGES)
    return folder


@pytest.fixture
def checkout(longer, tmp_path) -> Path:
    return shutil.copytree(longer, tmp_path / "checkout", symlinks=True)


def test_a_search_on_nodes_that_die_finds_what_one_machine_finds(checkout, alone, ray_nodes):
    node = ray_nodes.add()
    searching = start(checkout, "search", ray_nodes.variables, "quick")
    for _ in range(2):
        wait_for_job(node)
        ray_nodes.kill(node)
        node = ray_nodes.add()
    assert searching.poll() is None, "it ended before the second node was killed"
    assert searching.wait(300) == 0
    run_stages(checkout, ray_nodes.variables, STAGES[1:])
    pd.testing.assert_frame_equal(found(checkout), found(alone))
    assert list(found(checkout)["trial"]) == list(range(TRIALS))
    ours, theirs = confirmed(checkout), confirmed(alone)
    assert list(ours) == list(theirs)
    for arm, replicas in ours.items():
        pd.testing.assert_frame_equal(replicas, theirs[arm])
    run_stages(checkout, {}, ["publish"])
    assert published(checkout) == list(range(TRIALS))


def test_training_and_diagnostics_on_a_cluster_have_the_same_bits(checkout, ray_nodes, tmp_path):
    """The nodes were started in another folder; they read and write in the driver's."""
    ray_nodes.add()
    folders = [Path(part, "systems", NETWORK) for part in ("results/runs", "results/diagnostics")]
    alone = tmp_path / "alone"
    for folder in folders:
        shutil.move(checkout / folder, alone / folder)
    shutil.rmtree(checkout / f"artifacts/snapshots/systems/{NETWORK}")
    for stage in ("train", "diagnose"):
        assert start(checkout, stage, ray_nodes.variables, NETWORK).wait(300) == 0
    for name in (f"runs/systems/{NETWORK}/history", f"diagnostics/systems/{NETWORK}/diagnostics"):
        ours, theirs = (pd.read_parquet(root / f"results/{name}.parquet") for root in (checkout, alone))
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_job_of_slurm_searches_on_its_nodes(checkout, alone):
    """`sbatch` and `srun` are stand-ins that start processes here."""
    (checkout / ".venv").symlink_to(sys.prefix)
    path = f"{Path(__file__).parent / 'slurm'}:{os.environ['PATH']}"
    search = ["sbatch", "--nodes", "2", "pipelines/slurm.sbatch", "python", "-m", "pipelines.search", "quick"]
    own = {key: value for key, value in environment(checkout).items() if not key.startswith("RAY_")}
    before = set(psutil.pids())
    done = subprocess.run(search, cwd=checkout, env=own | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(found(checkout), found(alone))
    assert [name for name in map(name_of, set(psutil.pids()) - before) if "ray" in name] == []


def name_of(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return "ended" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except psutil.NoSuchProcess:
        return "ended"


def run_stages(folder: Path, variables: dict[str, str], stages: Sequence[str]) -> None:
    for stage in stages:
        names = [] if stage == "publish" else ["quick"]
        assert start(folder, stage, variables, *names).wait(300) == 0


def start(folder: Path, stage: str, variables: dict[str, str], *names: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"pipelines.{stage}", *names]
    own = environment(folder) | variables | {"PYTHONPATH": str(folder / "src")}
    return subprocess.Popen(command, cwd=folder, env=own)


def wait_for_job(node: psutil.Popen) -> None:
    """Until a worker of the node is in the middle of a job."""
    deadline = time.monotonic() + 120
    while not any(process.name().startswith("ray::run") for process in node.children(recursive=True)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def found(folder: Path) -> pd.DataFrame:
    """The trials of the search without what depends on the machine."""
    trials = pd.read_parquet(folder / "results/search/quick/trials.parquet")
    return trials.drop(columns=[name for name in trials if "seconds" in name or name in TIMES])


def confirmed(folder: Path) -> dict[str, pd.DataFrame]:
    """The replicas of each confirmed arm, likewise."""
    arms = sorted((folder / "results/confirm/quick").glob("*/replicas.parquet"))
    return {arm.parent.name: pd.read_parquet(arm).drop(columns=["seconds"]) for arm in arms}


def published(folder: Path) -> list[int]:
    """Numbers of the study's trials in MLflow's store."""
    tags = "SELECT number.value FROM tags AS number JOIN tags AS study USING (run_uuid)"
    of_study = "number.key = 'trial' AND study.key = 'study' AND study.value = 'quick'"
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as store:
        return sorted(int(number) for (number,) in store.execute(f"{tags} WHERE {of_study}"))
