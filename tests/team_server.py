"""MLflow's server for a team, started by the commands of docs/mlflow.md on a PostgreSQL server of its own."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from postgres_server import free_port

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "mlflow.md").read_text().partition("## A server for a team")[2].partition("\n## ")[0]
PASSWORDS = {name: f"{name}-secretpw-%40" for name in ("mlflow", "optuna", "admin", "carol", "dave")}
PORT_ON_PAGE, FOLDER_ON_PAGE = "127.0.0.1:5000", "/srv/mlflow"
START_SECONDS = 120


def block(holding: str) -> list[str]:
    """The lines of the block of the page that holds this text."""
    blocks = re.findall(r"```(?:bash|ini)\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [each for each in blocks if holding in each]
    return found.splitlines()


@dataclass(frozen=True)
class TeamServer:
    """A running server; `environment` is that of a user's shell without a user."""

    address: str
    environment: dict[str, str]
    folder: Path
    process: psutil.Process

    def of(self, user: str | None, password: str | None = None) -> dict[str, str]:
        """Variables of one user."""
        if user is None:
            return {}
        given = PASSWORDS[user] if password is None else password
        return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": given}

    def run(
        self, user: str | None, line: str, told: str = "", cwd: Path | None = None, **changes: str
    ) -> subprocess.CompletedProcess:
        """A line of the page in a user's shell; `told` is what is typed."""
        environment = self.environment | self.of(user) | changes
        return shell(line.replace(PORT_ON_PAGE, self.address.partition("//")[2]), environment, told, cwd)


def shell(
    line: str, environment: dict[str, str], told: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """Without a terminal, so that questions are answered by `told`."""
    return subprocess.run(
        ["bash", "-c", line], env=environment, input=told, cwd=cwd, capture_output=True, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def team(postgres_with_passwords, tmp_path_factory) -> Iterator[TeamServer]:
    """With its administrator `admin`, a member carol and a reader dave."""
    pytest.importorskip("flask_wtf", reason="needs Flask-WTF: pip install -r requirements-server.txt")
    folder = tmp_path_factory.mktemp("team")
    environment = outside()
    for line in block("createuser"):
        role = line.split()[-1]
        password = f"{PASSWORDS.get(role, '')}\n"
        done = shell(line, environment | postgres_with_passwords, password * 2)
        assert done.returncode == 0, done.stderr
    environment["PGPORT"] = postgres_with_passwords["PGPORT"]
    with started(folder, environment) as server:
        for line in block("pipelines.member")[-2:]:
            done = server.run("admin", line, f"{PASSWORDS[line.split()[3]]}\n")
            assert done.returncode == 0, done.stderr
        yield server


def outside() -> dict[str, str]:
    """The environment of a shell in which nothing is set for MLflow."""
    ours = ("MLFLOW", "PG", "GROKKING", "DVC_ROOT")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": f"{Path(sys.executable).parent}:{own['PATH']}"}
    return own | paths | {"MLFLOW_DISABLE_TELEMETRY": "true"}


def write_settings(folder: Path) -> None:
    """The page's server.env with passwords and a folder."""
    text = "\n".join(block("MLFLOW_BACKEND_STORE_URI"))
    text = re.sub(r"'password of (\w+)'", lambda found: f"'{PASSWORDS[found[1]]}'", text)
    (folder / "server.env").write_text(text.replace(FOLDER_ON_PAGE, str(folder / "artifacts")))


@contextmanager
def started(folder: Path, environment: dict[str, str]) -> Iterator[TeamServer]:
    """The server by the lines of the page, but for pip's."""
    write_settings(folder)
    port = free_port()
    lines = [line for line in block("pipelines.server") if not line.startswith("pip")]
    script = "\n".join([*lines[:-1], f"exec {lines[-1]}"])
    own = environment | {"MLFLOW_PORT": str(port), "MLFLOW_WORKERS": "1", "DVC_ROOT": str(folder)}
    (folder / "mlruns").mkdir()
    with (folder / "log").open("w") as log:
        process = psutil.Popen(["bash", "-c", script], cwd=folder, env=own, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    client = environment | {"MLFLOW_TRACKING_URI": address}
    try:
        wait_for(f"{address}/health", process, folder / "log")
        yield TeamServer(address, client, folder, process)
    finally:
        for each in [*process.children(recursive=True), process]:
            each.kill()
        process.wait()


def wait_for(address: str, process: psutil.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
