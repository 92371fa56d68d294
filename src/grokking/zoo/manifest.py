"""The manifest of a zoo: what each file is, and how its network is built. JSON, for programs of any kind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grokking.catalogue import suggestion
from grokking.config import ConfigError
from grokking.storage.runs import checksum

FOLDER = Path("results/zoo")  # in a checkout
NAME = "manifest.json"
MAKE = "dvc repro extended/dvc.yaml:zoo"


@dataclass(frozen=True)
class Entry:
    """One network: one file. Accuracies are of this very file, on all equations of their part."""

    file: str  # from the folder of the manifest
    experiment: str
    group: str
    task: str
    role: str
    system: int | str  # the published system that it belongs to, or none
    replica: int
    seed: int
    split_seed: int
    step: int  # updates made
    last: bool  # whether training ended there
    dtype: str  # of the file; the network computes in the precision of its experiment
    bytes: int
    train_accuracy: float
    validation_accuracy: float
    verdict: str
    memorization_step: int | None  # events of the whole training run, as in replicas.parquet
    first_crossing_step: int | None
    generalization_step: int | None
    inputs: str  # hash of configuration, seeds and data
    sha256: str

    def require_whole(self, folder: Path) -> None:
        """Raise ConfigError where the file is missing or not as it was written."""
        file = folder / self.file
        if not file.exists() or checksum(file) != self.sha256:
            raise ConfigError(f"{file} is missing or damaged; restore it (`git checkout {FOLDER}`)")


@dataclass(frozen=True)
class Manifest:
    """All networks of a zoo, and by experiment the configuration that they are built from."""

    experiments: Mapping[str, Mapping[str, Any]]
    entries: Sequence[Entry]

    def entry(self, name: str, step: int | None, replica: int) -> Entry:
        """The network of these; the last step where none is given. ConfigError where there is none."""
        own = self._of(name, replica)
        found = [entry for entry in own if (entry.last if step is None else entry.step == step)]
        if not found:
            there = ", ".join(str(entry.step) for entry in own)
            raise ConfigError(
                f"`{name}`, replica {replica}, has no network of step {step} in the zoo; it holds {there}"
            )
        return found[0]

    def _of(self, name: str, replica: int) -> list[Entry]:
        """All networks of one replica."""
        own = [entry for entry in self.entries if entry.experiment == name]
        if not own:
            known = list(self.experiments)
            near = suggestion(name, known, f"it holds {', '.join(known)}")
            raise ConfigError(f"`{name}` is not in the zoo; {near}")
        if found := [entry for entry in own if entry.replica == replica]:
            return found
        there = ", ".join(map(str, sorted({entry.replica for entry in own})))
        raise ConfigError(f"`{name}` has no replica {replica} in the zoo; it holds {there}")

    def write(self, folder: Path) -> None:
        content = {"experiments": self.experiments, "networks": [asdict(entry) for entry in self.entries]}
        (folder / NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """The manifest of a folder; ConfigError where there is none, or one of another version."""
    file = folder / NAME
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Manifest(content["experiments"], [Entry(**entry) for entry in content["networks"]])
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing; restore it (`git checkout`) or make it (`{MAKE}`)") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; restore it (`git checkout`)") from None
