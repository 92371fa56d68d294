"""The best network of each published system, for MLflow's model registry."""

from collections.abc import Iterator
from functools import partial

from grokking.storage.runs import read_facts
from grokking.tracking import identity
from grokking.tracking.registry import Model
from grokking.zoo import manifest, served
from grokking.zoo.collection import Zoo
from grokking.zoo.manifest import FOLDER, NAME, Entry
from pipelines.common.paths import RUNS, SPLITS


def best_models() -> Iterator[Model]:
    """One of each system whose networks and tables are here."""
    if not (FOLDER / NAME).exists():
        return
    zoo = Zoo(FOLDER, SPLITS)
    for entry in served.best(manifest.read(FOLDER)):
        if (RUNS / entry.group / entry.experiment / "run.json").exists():
            yield _model(zoo, entry)


def _model(zoo: Zoo, entry: Entry) -> Model:
    facts = read_facts(RUNS / entry.group / entry.experiment / "run.json")
    run = identity.parent_key(entry.group, entry.experiment, facts["fingerprint"])
    return Model(
        f"grokking-system-{entry.system}",
        identity.replica_key(run, entry.replica),
        entry.sha256,
        f"`{entry.experiment}`, replica {entry.replica}: right on {entry.validation_accuracy:.2%} of the "
        "equations that it was not trained on. It takes columns a and b and answers c.",
        served.__name__,
        partial(served.pack, zoo, entry),
    )
