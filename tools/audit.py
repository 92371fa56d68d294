"""What SECURITY.md promises, checked on this machine: `make audit`.

Prints a line for each breach and ends with code 1 where there is one. Known weaknesses of the locked packages
are looked up with pip-audit, which gets an environment of its own, `.audit-venv`.
"""

import ast
import ipaddress
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
CODE = ("src", "pipelines", "benchmarks", "refactoring", "tools")
PICKLED = (".dvc_site_cache", ".dvc/tmp", "src/grokking/ops/__pycache__")  # what DVC and Numba unpickle
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "pd.read_pickle", "pandas.read_pickle"}
AUDITOR = "pip-audit==2.10.1"
KNOWN = {"CVE-2025-69872"}  # SECURITY.md says what is done about each
SECONDS = 90  # in which the MLflow UI must have started


def main() -> None:
    breaches = []
    for check in CHECKS:
        print(f"{check.__doc__}", flush=True)
        found = list(check(ROOT))
        print("\n".join(f"  BREACH {line}" for line in found) or "  none", flush=True)
        breaches += found
    raise SystemExit(1 if breaches else 0)


def open_caches(root: Path) -> Iterator[str]:
    """Caches of pickles that others can write to"""
    config = root / ".dvc" / "config.local"
    if not config.exists() or "site_cache_dir" not in config.read_text(encoding="utf-8"):
        yield "DVC keeps its pickles in the system's temporary folder; remove .venv/installed and run make"
    for name in PICKLED:
        folder = root / name
        closed = not folder.exists() or stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in [] if closed else [folder, *folder.rglob("*")]:
            if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                yield f"{path.relative_to(root)} can be written by others; run chmod 700 {name}"


def unpickling(root: Path) -> Iterator[str]:
    """Code that can unpickle"""
    for file in own_code(root):
        for name in unpickles(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(root)} uses {name}"


def own_code(root: Path) -> list[Path]:
    """Our modules; folders that begin with a dot are environments, such as that of the benchmark's JAX."""
    files = [file.relative_to(root) for folder in CODE for file in sorted((root / folder).rglob("*.py"))]
    return [root / file for file in files if not any(part.startswith(".") for part in file.parts)]


def unpickles(source: str) -> list[str]:
    """What in a module can unpickle: modules that do, and readers that would."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLING:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            asks = any(keyword.arg == "allow_pickle" for keyword in node.keywords)  # of numpy.load
            found += [name] if name in CALLS or asks else []
    return found


def unquoted_names(root: Path) -> Iterator[str]:
    """Names of entries that stand unquoted in a command"""
    for file in (root / "dvc.yaml", root / "extended" / "dvc.yaml"):
        for command in re.findall(r"^ *cmd: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            if "${" in re.sub(r"'\$\{[^}]*\}'", "", command):
                yield f"{file.relative_to(root)}: {command}"


def open_ports(root: Path) -> Iterator[str]:
    """Ports of the MLflow UI that other machines reach"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PORT": str(port), "PYTHONPATH": str(root / "src")}
    command, quiet = [sys.executable, "-m", "pipelines.ui"], subprocess.DEVNULL
    server = psutil.Popen(command, cwd=root, env=environment, stdout=quiet, stderr=quiet)
    try:
        for host, number in _listening(server, port):
            if not ipaddress.ip_address(host).is_loopback:
                yield f"the UI listens on {host}, port {number}"
    finally:
        for process in [*server.children(recursive=True), server]:
            process.kill()
        server.wait()


def _listening(server: psutil.Popen, port: int) -> set[tuple[str, int]]:
    """Addresses on which the processes of the server listen, once it does on its port."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.is_running():
        processes = [server, *server.children(recursive=True)]
        connections = [c for process in processes for c in process.net_connections()]
        found = {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}
        if port in {number for _, number in found}:
            return found
        time.sleep(0.5)
    raise SystemExit(f"error: the MLflow UI has not started within {SECONDS} s; try make ui")


def weaknesses(root: Path) -> Iterator[str]:
    """Known weaknesses of the locked packages"""
    auditor = root / ".audit-venv" / "bin" / "pip-audit"
    if not auditor.exists():
        subprocess.run([sys.executable, "-m", "venv", str(auditor.parents[1])], check=True)
        pip = [auditor.with_name("python"), "-m", "pip", "install", "--quiet", AUDITOR]
        if subprocess.run(pip, capture_output=True).returncode:
            print(f"  not looked up: {AUDITOR} cannot be installed from here")
            return
    command = [auditor, "--requirement", root / "requirements.lock", "--no-deps", "--disable-pip"]
    report = subprocess.run([*command, "--format", "json"], capture_output=True).stdout
    packages = json.loads(report)["dependencies"]
    if skipped := [package for package in packages if "skip_reason" in package]:
        print(f"  {len(skipped)} of {len(packages)} packages could not be looked up from here")
    for package in packages:
        for weakness in package.get("vulns", []):
            if KNOWN.isdisjoint({weakness["id"], *weakness["aliases"]}):
                yield f"{package['name']} {package['version']}: {weakness['id']}"


CHECKS: tuple[Callable[[Path], Iterator[str]], ...] = (
    open_caches, unpickling, unquoted_names, open_ports, weaknesses
)  # fmt: skip


if __name__ == "__main__":
    main()
