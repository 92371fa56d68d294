"""Stage `publish`: every trained experiment, study and own run to MLflow; what is there is left as it is."""

import gc
import json
from pathlib import Path

from grokking.catalogue import read_catalogue
from grokking.tracking import store, submissions
from pipelines.common import on_disk
from pipelines.common.publishing import publish_in_turn
from pipelines.common.stage import run

MANIFEST = Path("mlruns/manifest.json")


def main() -> None:
    gc.set_threshold(100_000, 20)  # MLflow makes millions of small objects, and none of them lives on
    with store.publishing():
        publish_all()


def publish_all() -> None:
    catalogue = read_catalogue()
    found, submitted = on_disk.find(catalogue), submissions.find(Path())
    total = len(found) + len(submitted)
    with on_disk.drawn_ahead(found.all_runs) as wait_for_figure:
        published = publish_in_turn(catalogue, found, submitted, wait_for_figure)
        for number, (name, fresh) in enumerate(published, start=1):
            state = "published" if fresh else "already published"
            print(f"{number} of {total}, {name}: {state}", flush=True)
    MANIFEST.parent.mkdir(exist_ok=True)
    MANIFEST.write_text(json.dumps(found.fingerprints(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
