"""Stage `diagnose`: what every network that an experiment kept has learned, as one table, and a portrait."""

import json
import shutil

from safetensors.numpy import save_file

from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data.tasks import TaskConfig
from grokking.diagnostics import cyclic, snapshots
from grokking.experiment import expand
from grokking.storage import runs
from pipelines.common.paths import DIAGNOSTICS, RUNS, SNAPSHOTS
from pipelines.common.reports import DIAGNOSTICS_TABLE, NETWORK, PORTRAIT
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import read_task


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    catalogue, where = read_catalogue(), f"experiments.{name}"
    replicas = expand(catalogue.entry("experiments", name), where)
    task = read_task(catalogue, replicas, where)
    group = catalogue.group(name)
    trained = runs.read(RUNS / group / name).replicas
    named = f"tasks.{replicas[0].config.task}"
    order = cyclic.order_of(load(TaskConfig, catalogue.entry(*named.split(".")), named))
    todo = snapshots.of_folder(SNAPSHOTS / group / name, replicas, task, order)

    first_generalized = int(trained["observed"].argmax())
    table, portrait = snapshots.diagnose(todo, first_generalized)
    out = DIAGNOSTICS / group / name
    out.mkdir(parents=True, exist_ok=True)
    table.to_parquet(out / DIAGNOSTICS_TABLE, index=False)
    floats = {name: array.astype("float32") for name, array in portrait.items() if array.dtype.kind == "f"}
    save_file(portrait | floats, out / PORTRAIT)  # a picture needs no more digits
    if replicas[0].config.role == "reproduction":
        files = todo[first_generalized].files
        shutil.copy(files[max(files)], out / NETWORK)
    written = [file.name for file in out.iterdir() if file.name != "run.json"]
    facts = {"sha256": runs.checksums(out, sorted(written))}
    (out / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
