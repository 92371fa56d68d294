"""The checkout that this package lies in: its entries, and where results are."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grokking.catalogue import Catalogue, read_catalogue
from grokking.config import ConfigError

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Checkout:
    """A folder with params.yaml, results/ and artifacts/."""

    root: Path

    @cached_property
    def catalogue(self) -> Catalogue:
        """The entries of params.yaml and extended/params.yaml.

        ConfigError where an experiment has the name of an own run: nobody could tell which is meant.
        """
        catalogue = read_catalogue(self.root)
        for name in catalogue.names("experiments"):
            if (self.own / name / "config.yaml").exists():
                raise ConfigError(
                    f"`experiments.{name}` has the name of your own run {self.shown(self.own / name)}; "
                    "rename one of them"
                )
        return catalogue

    @property
    def own(self) -> Path:
        """Runs of `grokking run` and `grokking.train`, a folder each."""
        return self.root / "artifacts" / "own"

    @property
    def searches(self) -> Path:
        """What `grokking search` has found, a file per task."""
        return self.root / "artifacts" / "searches"

    @property
    def studies(self) -> Path:
        """Optuna's own storage."""
        return self.root / "studies"

    @property
    def checkpoints(self) -> Path:
        """Of runs under way."""
        return self.root / ".checkpoints"

    def tables(self, experiment: str) -> Path:
        """The committed tables of an experiment, if it was trained."""
        return self.root / "results/runs" / self.catalogue.group(experiment) / experiment

    def snapshots(self, experiment: str) -> Path:
        """Its networks, which are not in git."""
        return self.root / "artifacts/snapshots" / self.catalogue.group(experiment) / experiment

    def network(self, experiment: str) -> Path:
        """The one network of a published system that is in git."""
        folder = self.root / "results/diagnostics" / self.catalogue.group(experiment) / experiment
        return folder / "network.safetensors"

    def figure(self, experiment: str) -> Path:
        """The curves of an experiment of the default study, as the report draws them."""
        return self.root / "reports/experiments" / experiment / "curves.png"

    def own_runs(self) -> list[str]:
        """Names of the own runs, oldest first."""
        files = sorted(self.own.glob("*/config.yaml"), key=lambda file: file.stat().st_mtime)
        return [file.parent.name for file in files]

    def shown(self, path: Path) -> str:
        """A path as a user in this folder would write it."""
        relative = os.path.relpath(path)
        return str(path) if relative.startswith("..") else relative


def here() -> Checkout:
    """The checkout of this package; ConfigError where it was taken out of one."""
    if not (ROOT / "params.yaml").exists():
        raise ConfigError(f"{ROOT} holds no params.yaml; install the laboratory with `pip install -e`")
    return Checkout(ROOT)
