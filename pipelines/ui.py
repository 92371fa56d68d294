"""Open the MLflow UI on the project's store, with two processes instead of MLflow's default fifteen."""

import os
import sys

from grokking.tracking import store, views
from pipelines.common.stage import run


def main() -> None:
    client = store.connect()
    views.publish(client)
    port = os.environ.get("PORT", "5000")
    for view in views.VIEWS:
        print(f"{view.name:<23} http://localhost:{port}{views.address(client, view)}")
    print("Open the first; stop with Ctrl-C.", flush=True)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", port]
    command += ["--uvicorn-opts", "--log-level warning"]  # a line for each request would push the links away
    uploads = store.root() / "mlruns" / "uploads"  # of experiments that are made in the UI
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.tracking_uri()  # a command line may be read by everybody
    os.execv(sys.executable, [*command, "--artifacts-destination", str(uploads)])


if __name__ == "__main__":
    run(main)
