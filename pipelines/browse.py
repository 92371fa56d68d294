"""Open the MLflow UI and fill it with everything that was trained; it can be looked at meanwhile."""

import os
import subprocess
import sys

from grokking.tracking import server, store, views
from pipelines import publish, ui
from pipelines.common.serving import free_port
from pipelines.common.stage import run


def main() -> None:
    if server.is_server(store.tracking_uri()):
        publish.main()
        ui.main()
        return
    port = os.environ["PORT"] = free_port(5000)
    with subprocess.Popen([sys.executable, "-m", "pipelines.ui"]) as opened:
        try:
            publish.main()
            print("Everything is there:", flush=True)
            ui.invite(views.addresses(store.process_client(), f"http://localhost:{port}"))
            raise SystemExit(opened.wait())
        finally:
            opened.terminate()


if __name__ == "__main__":
    run(main)
