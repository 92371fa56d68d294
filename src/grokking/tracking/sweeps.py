"""Publish a sweep: one run with the counts of its phases, its table, page and figure.

Its networks have no curves and are hundreds, so they are rows of the table and no runs of their own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from grokking.analysis import sweeps
from grokking.analysis.results import hyperparameters
from grokking.storage.runs import read_facts, read_table
from grokking.tracking import identity, single_runs
from grokking.tracking.descriptions import paragraphs
from grokking.tracking.single_runs import Logged

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = ("networks.parquet", "run.json")
FORM = "1"  # of what is written to MLflow: another one publishes everything again


@dataclass(frozen=True)
class Swept:
    """A sweep as it lies on disk."""

    name: str
    folder: Path
    page: Path  # of reports/, its figure and its numbers beside it; there may be none

    @property
    def files(self) -> list[Path]:
        beside = [self.page, self.page.with_suffix(".png")]
        return [*(self.folder / name for name in FILES), *(file for file in beside if file.exists())]

    @property
    def fingerprint(self) -> str:
        return str(read_facts(self.folder / "run.json")["fingerprint"])


def publish(client: "MlflowClient", swept: Swept) -> bool:
    """Publish one sweep; False where the store holds just this already."""

    def logged() -> Logged:
        networks = read_table(swept.folder / "networks.parquet")
        facts = sweeps.described(networks)
        return Logged(_params(networks), _found(facts, networks), _note(swept, facts))

    place = identity.SWEPT, f"sweep {swept.name}"
    return single_runs.publish(client, place, _tags(swept), FORM, swept.files, logged)


def _tags(swept: Swept) -> dict[str, str]:
    return {
        "key": f"sweep/{swept.name}/{swept.fingerprint}",
        "kind": "sweep",
        "sweep": swept.name,
        "stage": "sweep",
        "fingerprint": swept.fingerprint,
        **identity.source_tags("sweep"),
    }


def _params(networks: pd.DataFrame) -> dict[str, Any]:
    """What all networks have in common, and the values of each axis."""
    axes = sweeps.axes_of(networks)
    keys = [key for key in hyperparameters(networks) if networks[key].nunique(dropna=False) == 1]
    values = {
        axis: ", ".join(map(identity.number, sorted(networks[axis].unique().tolist()))) for axis in axes
    }
    return {key: networks[key].iloc[0] for key in keys} | values


def _found(facts: dict[str, Any], networks: pd.DataFrame) -> dict[str, float]:
    phases = {f"cells_of_{name.replace(' ', '_')}": count for name, count in facts["phases"].items()}
    return {"networks": facts["networks"], "generalized": int(networks["observed"].sum())} | phases


def _note(swept: Swept, facts: dict[str, Any]) -> str:
    cells = ", ".join(f"{count} of {name}" for name, count in facts["phases"].items() if count)
    return paragraphs(
        f"{facts['networks']} {facts['family']} networks on {facts['task']}, {facts['n']} of each cell, "
        f"until step {facts['budget']:,}.",
        f"**Cells:** {cells}.",
        f"A row per network: `networks.parquet`. A line per cell: `{swept.page}`.",
    )
