"""Stage `tune`: an experiment's grid on some seeds, then its best point on fresh ones."""

from grokking.analysis.tuning import best_point
from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.experiment import Seeds, expand
from pipelines.common.paths import TUNED
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import read_task, train


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    catalogue, where, folder = read_catalogue(), f"tuning.{name}", TUNED / name
    mapping = catalogue.entry("tuning", name)
    fresh = load(Seeds, mapping.pop("confirm", None), f"{where}.confirm")

    replicas = expand(mapping, where)
    task = read_task(catalogue, replicas, where)
    tuned = train(f"{name}_tuning", "tuning", replicas, task, folder / "tuning")
    best = best_point(tuned, list(mapping["replicas"]["grid"]))
    grid = {axis: [value] for axis, value in best.items()}
    winners = expand(mapping | {"replicas": vars(fresh) | {"grid": grid}}, where)
    read_task(catalogue, winners, where)
    train(name, "tuning", winners, task, folder / "confirmed")


if __name__ == "__main__":
    run(main)
