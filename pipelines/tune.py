"""Stage `tune`: an experiment's grid on some seeds, then its best point on fresh ones."""

from collections.abc import Mapping
from typing import Any

from grokking.analysis.tuning import best_point
from grokking.catalogue import read_catalogue
from grokking.config import ConfigError, load
from grokking.experiment import Replica, Seeds, expand, require_fit
from pipelines.common.paths import TUNED
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import read_task, train


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    catalogue, where, folder = read_catalogue(), f"tuning.{name}", TUNED / name
    mapping = catalogue.entry("tuning", name)
    fresh = load(Seeds, mapping.pop("confirm", None), f"{where}.confirm")

    replicas = expand(mapping, where)
    grid = mapping["replicas"]["grid"]
    if not grid:
        raise ConfigError(f"`{where}.replicas.grid` is empty; name a key of the experiment and its values")
    task = read_task(catalogue, replicas, where)
    for replica in confirmation(mapping, fresh, grid, where):
        require_fit(replica, task, where, f"{where}.confirm")
    tuned = train(f"{name}_tuning", "tuning", replicas, task, folder / "tuning")
    best = {axis: [value] for axis, value in best_point(tuned, grid).items()}
    train(name, "tuning", confirmation(mapping, fresh, best, where), task, folder / "confirmed")


def confirmation(
    mapping: Mapping[str, Any], fresh: Seeds, grid: Mapping[str, list[Any]], where: str
) -> list[Replica]:
    """The replicas of a grid on fresh seeds."""
    return expand({**mapping, "replicas": vars(fresh) | {"grid": grid}}, where)


if __name__ == "__main__":
    run(main)
