"""Open the MLflow UI on the project's store, with two processes instead of MLflow's default fifteen."""

import os
import sys

from grokking.tracking import store


def main() -> None:
    store.connect()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    port = os.environ.get("PORT", "5000")
    print(f"MLflow UI on http://localhost:{port} (stop with Ctrl-C)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, [*command, "--backend-store-uri", store.tracking_uri()])


if __name__ == "__main__":
    main()
