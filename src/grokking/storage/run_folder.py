"""The folder of a trained experiment: tables of the replicas that are finished, with checksums.

A replica is known by its inputs. So it is trained once, however often and wherever its experiment goes on.
"""

import re
import shutil
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.storage import snapshots
from grokking.storage.machine import machine
from grokking.storage.runs import (
    TABLES,
    Run,
    as_text_where_mixed,
    checksum,
    exists,
    put_in_place,
    read,
    recover,
    write_facts,
)
from grokking.training.fingerprint import code_hash, combined, input_hash, same_code
from grokking.training.history import history_table, replica_row
from grokking.training.records import Evaluation

OF_A_REPLICA = re.compile("[0-9a-f]{16}")  # a folder's name: the hash of its inputs; all others are not ours


class RunFolder:
    """Keeps the results of an experiment's replicas as they finish, beside those of earlier calls.

    Everything but the columns `seconds` and `processor` and run.json's `machine` is a function of params,
    data and code. Where a replica is trained once more with the same outcome, its row stays as it is.
    """

    def __init__(
        self, folder: Path, replicas: Sequence[Replica], task: Task, snapshots: Path | None = None
    ) -> None:
        """`snapshots` is the folder of the networks, or None where they are not kept."""
        self.folder, self.snapshots, self.task = folder, snapshots, task
        self.unfinished_folder = folder.with_name(f".{folder.name}.unfinished")
        self.replicas = {replica.index: replica for replica in replicas}
        self.inputs = {replica.index: input_hash(replica, task) for replica in replicas}
        self.rows: dict[int, dict[str, Any]] = {}
        self.histories: dict[int, pd.DataFrame] = {}
        self.changed = False
        recover(self.unfinished_folder, folder)
        if exists(folder):
            self._keep(read(folder))

    def fingerprint(self) -> str:
        """Of all replicas of the experiment, with the code that has trained or will train each."""
        codes = {index: row["code"] for index, row in self.rows.items()}
        return combined((i, inputs, codes.get(i, code_hash())) for i, inputs in self.inputs.items())

    def unfinished(self, tables_suffice: bool) -> list[Replica]:
        """Replicas to train: their results are not here, or their snapshots, unless `tables_suffice`."""
        finished = {index for index in self.rows if tables_suffice or self._has_snapshots(index)}
        return [replica for index, replica in self.replicas.items() if index not in finished]

    def add(self, evaluations: Sequence[Evaluation]) -> None:
        """Write the results of replicas that have finished."""
        ordered = sorted(evaluations, key=lambda e: (e.replica, e.step))
        for index, evaluations_of_replica in groupby(ordered, lambda e: e.replica):
            self._add(index, list(evaluations_of_replica))
        self._write()

    def close(self) -> pd.DataFrame:
        """Remove what the experiment has no longer; the table of its replicas."""
        self._write()
        if self.snapshots is not None and self.snapshots.is_dir() and not self.snapshots.is_symlink():
            for folder in self.snapshots.iterdir():
                if OF_A_REPLICA.fullmatch(folder.name) and folder.name not in self.inputs.values():
                    shutil.rmtree(folder)
        return self._table()

    def _keep(self, run: Run) -> None:
        """Take over what earlier calls have found of these replicas, numbered as they are now."""
        index_of = {inputs: index for index, inputs in self.inputs.items()}
        for row in run.replicas.to_dict("records"):
            if row["inputs"] in index_of and row["code"] in same_code():
                index = index_of[row["inputs"]]
                history = run.history[run.history["replica"] == row["replica"]]
                self.rows[index] = {str(name): value for name, value in row.items()} | {"replica": index}
                self.histories[index] = history.assign(replica=index).reset_index(drop=True)
        self.changed = run.facts["fingerprint"] != self.fingerprint()

    def _has_snapshots(self, index: int) -> bool:
        return self.snapshots is None or snapshots.are_whole(self.snapshots / self.inputs[index])

    def _add(self, index: int, evaluations: list[Evaluation]) -> None:
        if self.snapshots is not None:
            snapshots.save(self.snapshots / self.inputs[index], evaluations)
        history = history_table(evaluations)
        if index not in self.histories or not _equal(history, self.histories[index]):
            row = replica_row(self.replicas[index], evaluations, self.task)
            source = {
                "inputs": self.inputs[index],
                "code": code_hash(),
                "processor": evaluations[-1].processor,
            }
            self.rows[index], self.histories[index], self.changed = row | source, history, True

    def _write(self) -> None:
        """Put all files in place at once, so that whoever is killed leaves the earlier or the new ones."""
        if not self.changed:
            return
        shutil.rmtree(self.unfinished_folder, ignore_errors=True)
        self.unfinished_folder.mkdir(parents=True)
        history = pd.concat([self.histories[index] for index in sorted(self.histories)], ignore_index=True)
        for name, table in zip(TABLES, (self._table(), history), strict=True):
            table.to_parquet(self.unfinished_folder / name, index=False)
        facts = {
            "fingerprint": self.fingerprint(),
            "replicas": len(self.replicas),
            "machine": machine(),
            "sha256": {name: checksum(self.unfinished_folder / name) for name in TABLES},
        }
        write_facts(self.unfinished_folder, facts)
        put_in_place(self.unfinished_folder, self.folder)
        self.changed = False

    def _table(self) -> pd.DataFrame:
        """The rows of all finished replicas; steps are whole numbers where every replica has one."""
        table = as_text_where_mixed(pd.DataFrame([self.rows[index] for index in sorted(self.rows)]))
        for name in table:
            if str(name).endswith("_step") and table[name].notna().all():
                table[name] = table[name].astype(int)
        return table


def _equal(history: pd.DataFrame, kept: pd.DataFrame) -> bool:
    """Whether they say the same; a kept one also has the columns of the other replicas, without values."""
    ours, theirs = (table.dropna(axis=1, how="all") for table in (history, kept))
    return set(ours) == set(theirs) and ours[[*theirs]].equals(theirs)
