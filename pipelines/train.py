"""Stage `train`: the replicas of one experiment that are not finished, to generalization or the budget."""

from grokking.catalogue import read_catalogue
from grokking.experiment import expand
from pipelines.common.paths import RUNS, SNAPSHOTS
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import read_task, train


def main() -> None:
    parser = entry_parser(__doc__)
    help_text = "do not train again where only snapshots are missing"
    parser.add_argument("--tables-suffice", action="store_true", help=help_text)
    arguments = parser.parse_args()
    name, catalogue = arguments.name, read_catalogue()
    where = f"experiments.{name}"
    replicas = expand(catalogue.entry("experiments", name), where)
    task = read_task(catalogue, replicas, where)
    group = catalogue.group(name)
    folder, snapshots = RUNS / group / name, SNAPSHOTS / group / name
    train(name, group, replicas, task, folder, snapshots, arguments.tables_suffice)


if __name__ == "__main__":
    run(main)
