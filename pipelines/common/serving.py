"""What servers need before they start: a port; that for a team settings, packages, databases, users."""

import importlib.util
import os
import socket
from pathlib import Path

from grokking.config import ConfigError
from grokking.search.server_address import read_port
from grokking.storage.addresses import without_passwords

RUNS, USERS, FOLDER = "MLFLOW_BACKEND_STORE_URI", "GROKKING_USERS_URI", "MLFLOW_ARTIFACTS_DESTINATION"
PASSWORD, SHORTEST = "MLFLOW_AUTH_ADMIN_PASSWORD", 12
NEEDED = {
    RUNS: "the database of runs, such as postgresql+psycopg2://mlflow@127.0.0.1/mlflow",
    USERS: "the database of users, such as postgresql+psycopg2://mlflow@127.0.0.1/mlflow_users",
    FOLDER: "the folder of artifacts",
    PASSWORD: f"the password of the user `admin`, of {SHORTEST} characters or more",
}
KNOWN_TO_ALL = "password1234"  # for years the one that MLflow came with
# a password that was found right is remembered for a minute: to check one takes longer than most requests
INI = """[mlflow]
default_permission = READ
database_uri = {uri}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


def free_port(default: int, key: str = "PORT", host: str = "127.0.0.1") -> str:
    """The port that the environment names under `key`; ConfigError where nothing can listen on it there."""
    port = read_port(os.environ.get(key) or str(default), f"`{key}`")
    try:
        (kind, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has just ended
            probe.bind(address)
    except OSError as error:  # another server listens, or this machine has no such address
        message = f"`{key}` is {port}, but nothing can listen on it at {host}: {error.strerror}"
        raise ConfigError(f"{message}; choose another, such as {key}={port + 1}") from None
    return str(port)


def require_settings() -> None:
    """Refuse a setting that is missing, and a password that others know or guess."""
    for name, meaning in NEEDED.items():
        if not os.environ.get(name):
            raise ConfigError(f"`{name}` is not set, but must be {meaning}; set it and start again")
    password = os.environ[PASSWORD]
    if password == KNOWN_TO_ALL:
        raise ConfigError(f"`{PASSWORD}` is the one that MLflow once came with; take one of your own")
    if len(password) < SHORTEST:
        raise ConfigError(f"`{PASSWORD}` must have {SHORTEST} characters or more; take a longer one")
    if importlib.util.find_spec("flask_wtf") is None:
        raise ConfigError("Flask-WTF is not installed; run pip install -r requirements-server.txt")


def require_databases() -> None:
    """Refuse a database that cannot be opened: MLflow would try for minutes and end in a traceback."""
    import sqlalchemy

    for name in (RUNS, USERS):
        try:
            with sqlalchemy.create_engine(os.environ[name]).connect():
                pass
        except Exception as error:
            reason = without_passwords(str(error.__cause__ or error)).strip().splitlines()[0]
            message = f"`{name}` cannot be opened: {reason}; mend it, or `PGPASSWORD`"
            raise ConfigError(message) from None


def write_users(file: Path) -> None:
    """MLflow's file on users, which may hold the password of their database: for its owner alone."""
    file.unlink(missing_ok=True)
    file.touch(0o600)
    uri = os.environ[USERS].replace("%", "%%")  # the form of the file gives % a meaning
    file.write_text(INI.format(uri=uri), encoding="utf-8")
