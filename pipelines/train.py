"""Stage `train`: every replica of one experiment, from initialisation to sustained generalisation."""

import shutil

from grokking.config import entry, read_params
from grokking.data import tasks
from grokking.progress import Progress
from grokking.tracking.stream import Stream
from grokking.training import history
from grokking.training.experiment import expand
from grokking.training.fingerprint import fingerprint
from grokking.training.workers import train_all
from pipelines.stage import CHECKPOINTS, PARAMS, RUNS, SPLITS, named, run


def main() -> None:
    parser = named(__doc__)
    parser.add_argument("--section", choices=RUNS, default="experiments", help="section of params.yaml")
    arguments = parser.parse_args()
    name, section = arguments.name, arguments.section

    params = read_params(PARAMS)
    replicas = expand(entry(params, section, name), f"{section}.{name}")
    task_name = replicas[0].config.task
    entry(params, "tasks", task_name)
    task = tasks.read(SPLITS / task_name)
    for replica in replicas:
        tasks.require_split(task, replica.split_seed, f"{section}.{name}.replicas.split_seeds")

    key = fingerprint(replicas, task)
    checkpoints = CHECKPOINTS / key
    with Progress(name, replicas) as progress, Stream(name, section, replicas, key) as stream:
        evaluations = train_all(replicas, task, [progress.show, stream.send], checkpoints)
    table = history.save(RUNS[section] / name, replicas, evaluations, task)
    shutil.rmtree(checkpoints, ignore_errors=True)
    print(history.headline(name, table))


if __name__ == "__main__":
    run(main)
