"""`grokking.load`: a run by its name, of the committed results or of your own."""

from pathlib import Path
from typing import Any

from grokking.api.checkout import Checkout, here
from grokking.api.recipe import configuration
from grokking.api.run import Run
from grokking.catalogue import read_yaml, suggestion
from grokking.config import ConfigError
from grokking.storage import runs
from grokking.zoo.collection import SPLITS, Zoo
from grokking.zoo.manifest import FOLDER

CONFIG, TABLES, NETWORKS, CURVES = "config.yaml", "tables", "snapshots", "curves.png"  # of an own run


def load(name: str) -> Run:
    """The run of this name: an experiment of params.yaml or extended/params.yaml, or one of your own.

    ConfigError for a name that is neither, and for an experiment that was not trained.
    """
    checkout = here()
    if name in checkout.catalogue.names("experiments"):
        run = of_experiment(checkout, name)
        if not runs.exists(run.folder):
            raise ConfigError(
                f"`{name}` was not trained yet; train it as it is (`dvc repro train@{name}`) or in a folder "
                f"of your own (`grokking run {name}`)"
            )
        return run
    if name in checkout.own_runs():
        return of_folder(checkout.own / name)
    raise unknown(checkout, name, [*checkout.catalogue.names("experiments"), *checkout.own_runs()])


def of_experiment(checkout: Checkout, name: str) -> Run:
    """An experiment with its committed results, trained or not."""
    return Run(
        name,
        configuration(checkout.catalogue, name),
        checkout.tables(name),
        checkout.snapshots(name),
        checkout.figure(name),
        checkout.network(name),
        Zoo(checkout.root / FOLDER, checkout.root / SPLITS),
    )


def of_folder(folder: Path) -> Run:
    """An own run."""
    config = read_config(folder)["config"]
    return Run(folder.name, config, folder / TABLES, folder / NETWORKS, folder / CURVES)


def read_config(folder: Path) -> dict[str, Any]:
    """What was asked for: experiment, changes, and the whole configuration. ConfigError where damaged."""
    asked = read_yaml(folder / CONFIG, folder / CONFIG)
    whole = isinstance(asked, dict) and _has_replicas(asked.get("config"))
    if not whole or not {"experiment", "changes"} <= asked.keys():
        raise ConfigError(f"{folder / CONFIG} is damaged; remove the run's folder, and train it again")
    return dict(asked)


def _has_replicas(config: Any) -> bool:
    """Whether a configuration says which replicas there are: pairs of seeds, and a grid."""
    replicas = config.get("replicas") if isinstance(config, dict) else None
    if not isinstance(replicas, dict):
        return False
    seeds, split_seeds = replicas.get("seeds"), replicas.get("split_seeds")
    pairs = isinstance(seeds, list) and isinstance(split_seeds, list) and len(seeds) == len(split_seeds) > 0
    return pairs and isinstance(replicas.get("grid"), dict)


def unknown(checkout: Checkout, name: str, known: list[str]) -> ConfigError:
    near = suggestion(name, known, "`grokking list` shows all")
    return ConfigError(f"`{name}` is no experiment and no own run; {near}")
