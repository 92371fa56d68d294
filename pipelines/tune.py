"""Stage `tune`: an experiment's grid on some seeds, then its best point on fresh ones."""

from typing import Any

from pydantic.dataclasses import dataclass

from grokking.analysis.tuning import best_point
from grokking.config import STRICT, Seed, entry, load, read_params
from grokking.experiment import expand
from pipelines.stage import PARAMS, TUNED, named, run
from pipelines.training import read_task, train

SECTION = "optimizers"


@dataclass(frozen=True, config=STRICT)
class FreshSeeds:
    """Where the best point of the grid is measured; the grid was tuned on others."""

    seeds: tuple[Seed, ...]
    split_seeds: tuple[Seed, ...]  # paired with `seeds`, one each


def main() -> None:
    name = named(__doc__).parse_args().name
    params, where, folder = read_params(PARAMS), f"{SECTION}.{name}", TUNED / name
    mapping = dict(entry(params, SECTION, name))
    fresh = load(FreshSeeds, mapping.pop("confirm", None), f"{where}.confirm")

    replicas = expand(mapping, where)
    task = read_task(params, replicas, where)
    tuning = train(f"{name}_tuning", SECTION, replicas, task, folder / "tuning", snapshots=False)
    grid = {axis: [value] for axis, value in best_point(tuning, axes(mapping)).items()}
    winners = expand(mapping | {"replicas": vars(fresh) | {"grid": grid}}, where)
    read_task(params, winners, where)
    train(name, SECTION, winners, task, folder / "confirmed", snapshots=False)


def axes(mapping: dict[str, Any]) -> list[str]:
    return list(mapping["replicas"]["grid"])


if __name__ == "__main__":
    run(main)
