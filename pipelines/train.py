"""Stage `train`: every replica of one experiment, from initialisation to sustained generalisation."""

from grokking.config import entry, read_params
from grokking.experiment import expand
from pipelines.stage import PARAMS, RUNS, named, run
from pipelines.training import read_task, train


def main() -> None:
    arguments = named(__doc__, RUNS).parse_args()
    name, section = arguments.name, arguments.section

    params, where = read_params(PARAMS), f"{section}.{name}"
    replicas = expand(entry(params, section, name), where)
    task = read_task(params, replicas, where)
    train(name, section, replicas, task, RUNS[section] / name)


if __name__ == "__main__":
    run(main)
