"""Open the MLflow UI on the project's store, with two processes instead of MLflow's default fifteen."""

import os
import sys

from grokking.config import ConfigError
from grokking.tracking import server, store, views
from pipelines.common.serving import free_port
from pipelines.common.stage import run


def main() -> None:
    if server.is_server(store.tracking_uri()):
        show_server()
        return
    port = free_port(5000)
    client = store.connect()
    views.publish(client)
    invite(views.addresses(client, f"http://localhost:{port}"))
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", port]
    # a line for each request would push the links away; Ctrl-C would end the lifespan with a traceback
    command += ["--uvicorn-opts", "--log-level warning --lifespan off"]
    os.environ["PYTHONWARNINGS"] = "ignore"  # of what the server is made of
    uploads = store.root() / "mlruns" / "uploads"  # of experiments that are made in the UI
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.tracking_uri()  # a command line may be read by everybody
    os.execv(sys.executable, [*command, "--artifacts-destination", str(uploads)])


def show_server() -> None:
    """A team's server has a UI of its own, and the views that `publish` wrote."""
    try:
        tell(views.addresses(store.connect(), server.shown(store.tracking_uri())))
    except Exception as error:  # of MLflow or the network
        raise ConfigError(f"the views cannot be listed: {store.reason(error)}") from None


def invite(addresses: dict[str, str]) -> None:
    tell(addresses)
    print("Open the first; stop with Ctrl-C.", flush=True)


def tell(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        print(f"{name:<23} {address}")


if __name__ == "__main__":
    run(main)
