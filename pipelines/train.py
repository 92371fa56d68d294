"""Stage `train`: every replica of one experiment, from initialisation to sustained generalisation."""

from grokking.catalogue import read_catalogue
from grokking.experiment import expand
from pipelines.common.paths import RUNS
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import read_task, train


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    catalogue, where = read_catalogue(), f"experiments.{name}"
    replicas = expand(catalogue.entry("experiments", name), where)
    task = read_task(catalogue, replicas, where)
    group = catalogue.group(name)
    train(name, group, replicas, task, RUNS / group / name)


if __name__ == "__main__":
    run(main)
