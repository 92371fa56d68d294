"""Stage `publish`: every trained experiment, study and own run to MLflow; what is there is left as it is."""

import gc
import json
from pathlib import Path

from grokking.catalogue import read_catalogue
from grokking.tracking import store, stream, views
from grokking.tracking import studies as study_runs
from grokking.tracking.publish import publish
from pipelines.common.own import own_runs
from pipelines.common.publishing import confirmed_arms, searched_studies, trained_runs
from pipelines.common.stage import run

MANIFEST = Path("mlruns/manifest.json")


def main() -> None:
    gc.set_threshold(100_000, 20)  # MLflow makes millions of small objects, and none of them lives on
    with store.publishing():
        publish_all()


def publish_all() -> None:
    catalogue, client, published = read_catalogue(), store.connect(), {}
    views.publish(client)
    for trained in trained_runs(catalogue):
        report(trained.name, publish(client, trained))
        published[f"{trained.group}/{trained.name}"] = trained.run()["fingerprint"]
    for study in searched_studies(catalogue):
        name, parent = study.study.name, study_runs.ensure_parent(client, study).info.run_id
        report(f"study {name}", study_runs.publish(client, study))
        published[f"studies/{name}"] = study.key
        for arm in confirmed_arms(catalogue, name):
            report(arm.name, publish(client, arm, parent))
            published[f"{arm.group}/{arm.name}"] = arm.run()["fingerprint"]
    for own in own_runs():  # not in the manifest: DVC does not know them
        report(own.name, publish(client, own))
    stream.reap(client)  # what is streamed no longer and was not published either
    MANIFEST.parent.mkdir(exist_ok=True)
    MANIFEST.write_text(json.dumps(published, indent=2) + "\n", encoding="utf-8")


def report(name: str, fresh: bool) -> None:
    print(f"{name}: {'published' if fresh else 'already published'}", flush=True)


if __name__ == "__main__":
    run(main)
