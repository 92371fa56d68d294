"""Start MLflow's server for a team: runs and users in PostgreSQL, nothing without a password.

All settings come from the environment, as a command line can be read by everybody on the machine. They are
in docs/mlflow.md, "A server for a team"; those of MLflow itself, such as MLFLOW_PORT, hold as well.
"""

import os
import secrets
import sys

from pipelines.common import serving
from pipelines.common.paths import REPOSITORY
from pipelines.common.stage import run


def main() -> None:
    serving.require_settings()
    host = os.environ.get("MLFLOW_HOST") or "127.0.0.1"
    port = serving.free_port(5000, "MLFLOW_PORT", host)
    serving.require_databases()
    users = (REPOSITORY / "mlruns" / "users.ini").resolve()  # not among the artifacts, which users can read
    serving.write_users(users)
    os.umask(0o077)  # artifacts are read through the server alone
    os.environ.setdefault("MLFLOW_AUTH_ADMIN_USERNAME", "admin")
    os.environ.setdefault("MLFLOW_FLASK_SERVER_SECRET_KEY", secrets.token_hex(32))
    os.environ |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(users),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    command += ["--host", host, "--port", port]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    run(main)
