"""The folder of a sweep: a table with a row per network, kept from call to call.

Rows of an unfinished sweep are lines of a file beside checkpoints; the table is written when all are there.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.storage import runs
from grokking.storage.machine import machine
from grokking.storage.runs import as_text_where_mixed, checksums, read_table
from grokking.sweeps.networks import Network
from grokking.training.fingerprint import code_hash, combined, input_hash, same_code

TABLE = "networks.parquet"


class SweepFolder:
    """Knows which networks of a sweep are finished, whoever trained them, and writes their table."""

    def __init__(self, folder: Path, unfinished: Path, networks: Sequence[Network]) -> None:
        """`folder` is the sweep's own, `unfinished` the file that gathers rows until all are there."""
        self.folder, self.unfinished_rows = folder, unfinished
        self.networks = {input_hash(network.replica, network.task): network for network in networks}
        self.aside = folder.with_name(f".{folder.name}.unfinished")
        runs.recover(self.aside, folder)
        rows: list[dict[str, Any]] = list(_lines(unfinished))
        if (folder / TABLE).exists():
            rows = [*read_table(folder / TABLE).to_dict("records"), *rows]  # type: ignore[list-item]
        own = [row for row in rows if row["inputs"] in self.networks and row["code"] in same_code()]
        self.rows: dict[str, dict[str, Any]] = {row["inputs"]: self._numbered(row) for row in own}

    def unfinished(self) -> list[Network]:
        """Networks that have no row yet."""
        return [network for key, network in self.networks.items() if key not in self.rows]

    def add(self, row: dict[str, Any], network: Network) -> None:
        """Keep the row of a network that has finished, at once on disk."""
        key = input_hash(network.replica, network.task)
        self.rows[key] = row | {"inputs": key, "code": code_hash()}
        self.unfinished_rows.parent.mkdir(parents=True, exist_ok=True)
        with self.unfinished_rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.rows[key], default=_plain) + "\n")

    def close(self) -> pd.DataFrame:
        """Write the table of all networks in place of the earlier one; returns it."""
        table = as_text_where_mixed(pd.DataFrame([self.rows[key] for key in self.networks]))
        aside = self.aside
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        table.to_parquet(aside / TABLE, index=False)
        fingerprint = combined((i, key, self.rows[key]["code"]) for i, key in enumerate(self.networks))
        before = runs.read_facts(self.folder / runs.FACTS) if runs.exists(self.folder) else {}
        facts = {
            "fingerprint": fingerprint,
            "networks": len(table),
            "machine": before["machine"] if before.get("fingerprint") == fingerprint else machine(),
            "sha256": checksums(aside, [TABLE]),
        }
        runs.write_facts(aside, facts)
        runs.put_in_place(aside, self.folder)
        self.unfinished_rows.unlink(missing_ok=True)
        return table

    def _numbered(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with its number in the design as it is now."""
        network = self.networks[row["inputs"]]
        return row | {"cell": network.cell, "replica": network.replica.index}


def _lines(file: Path) -> Iterable[dict[str, Any]]:
    """The rows of a file of JSON lines; a last line that was torn by a kill is left out."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    for line in text.split("\n")[:-1]:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()
