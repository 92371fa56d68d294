"""Stage `publish`: every trained experiment, study and own run to MLflow; what is there is left as it is."""

import json
from itertools import chain
from pathlib import Path

from grokking.catalogue import read_catalogue
from grokking.tracking import store, submissions
from pipelines.common import on_disk
from pipelines.common.publishing import publish_models, publish_others, published_runs
from pipelines.common.stage import run

MANIFEST = Path("mlruns/manifest.json")


def main() -> None:
    catalogue = read_catalogue()
    with store.publishing():
        found = on_disk.find(catalogue)
        with published_runs(catalogue, found) as published:
            submitted = submissions.find(Path())
            parts = publish_others(found, submitted), published, publish_models(found)
            for number, (name, fresh) in enumerate(chain.from_iterable(parts), start=1):
                state = "published" if fresh else "already published"
                print(f"{number} of {len(found) + len(submitted)}, {name}: {state}", flush=True)
    MANIFEST.parent.mkdir(exist_ok=True)
    MANIFEST.write_text(json.dumps(found.fingerprints(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
