"""Connects to a Ray cluster: that of RAY_ADDRESS, or one of this machine that ends with this process."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from typing import Any

from grokking.config import ConfigError
from grokking.executors.environment import positive
from grokking.executors.resources import cores

ADDRESS = "RAY_ADDRESS"
OBJECT_STORE = 2**28  # bytes; what does not fit, Ray writes to the disk
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
LOOPBACK = "127.0.0.1"


def connected() -> Any:
    """Ray, connected. Raises ConfigError where it is not installed or the cluster cannot be reached."""
    os.environ.update(QUIET)  # Ray reads its environment when it is imported
    if ADDRESS not in os.environ:
        os.environ.update(_private())
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError(
            "GROKKING_EXECUTOR=ray needs Ray; run `pip install -r requirements-ray.txt`"
        ) from None
    if not ray.is_initialized():
        _join(ray) if ADDRESS in os.environ else _start(ray)
    return ray


def _private() -> dict[str, str]:
    """Settings of a cluster that only this process uses: on loopback, behind a token."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it listens on every interface
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def _join(ray: Any) -> None:
    address = os.environ[ADDRESS]
    try:
        _require_server(address)
        ray.init(log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"{ADDRESS} must be the host:port of a running Ray cluster, or unset for one of this machine, "
            f"but got {address!r} ({reason})"
        ) from None


def _require_server(address: str) -> None:
    """Raise OSError or ValueError where nobody listens. Ray itself would try for five minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()


def _start(ray: Any) -> None:
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # elsewhere its sockets' paths might be too long
    _clean_up_after_this_process(folder)
    ray.init(
        address="local",
        num_cpus=positive("GROKKING_PROCESSES", cores()),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=OBJECT_STORE,
        _node_ip_address=LOOPBACK,
        _temp_dir=folder,
    )


def _clean_up_after_this_process(folder: str) -> None:
    read_end, _ = os.pipe()  # the write end stays open until this process ends
    command = [sys.executable, "-m", "grokking.executors.ray_cleaner", folder]
    subprocess.run(command, check=True, start_new_session=True, stdin=read_end)  # goes on in the background
    os.close(read_end)
