"""Stage `diagnose`: what every network that an experiment kept has learned, as one table, and a portrait."""

import pandas as pd
from safetensors.numpy import save_file

from grokking.config import ConfigError, entry, load, read_params
from grokking.data.tasks import TaskConfig
from grokking.diagnostics import cyclic, snapshots
from grokking.experiment import expand
from pipelines.diagnosed import DIAGNOSTICS, PORTRAIT, TABLE
from pipelines.stage import PARAMS, RUNS, named, run
from pipelines.training import read_task


def main() -> None:
    name = named(__doc__).parse_args().name
    params, folder, where = read_params(PARAMS), RUNS["experiments"] / name, f"experiments.{name}"
    replicas = expand(entry(params, "experiments", name), where)
    task = read_task(params, replicas, where)
    if not (folder / "run.json").exists():
        raise ConfigError(f"{folder} holds no run; run `dvc repro train@{name}` first")
    task_name = replicas[0].config.task
    operation = load(TaskConfig, entry(params, "tasks", task_name), f"tasks.{task_name}").operation
    order = cyclic.find_order(operation.name, getattr(operation, "modulus", None))
    todo = snapshots.of_folder(folder, replicas, task, order)

    observed = pd.read_parquet(folder / "replicas.parquet", columns=["observed"])["observed"].astype(bool)
    table, portrait = snapshots.diagnose(todo, int(observed.argmax()))  # the first that generalised
    out = DIAGNOSTICS / name
    out.mkdir(parents=True, exist_ok=True)
    table.to_parquet(out / TABLE, index=False)
    save_file(portrait, out / PORTRAIT)


if __name__ == "__main__":
    run(main)
