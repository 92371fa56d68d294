"""The explorer as one HTML file: every script, style and number is in it, so it needs no network."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader

from grokking.analysis.report_page import curves
from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.explorer.frames import ReplicaFrames
from grokking.explorer.live_recipe import LiveRecipe
from grokking.storage.runs import Run

PAGE = Path(__file__).with_name("page")
NO_PAIR = 65535  # in a table of pairs, where the operation leaves one out
SCRIPTS = (
    "arrays.js", "chart.js", "answer_grid.js", "circles.js", "spectra.js", "explorer.js", "live.js",
)  # fmt: skip
WORKER = ("live_network.js", "live_worker.js")
PRODUCTS = "products.wasm"


def html(experiments: Sequence[Mapping[str, Any]], recipe: LiveRecipe | None) -> str:
    """The page of these experiments, each as `experiment` makes it, and of a recipe to train on it."""
    templates = Environment(loader=FileSystemLoader(PAGE), autoescape=False)  # scripts go in as they are
    worker = "".join((PAGE / name).read_text(encoding="utf-8") for name in WORKER)
    live = None if recipe is None else asdict(recipe) | {"products": _text((PAGE / PRODUCTS).read_bytes())}
    scripts = SCRIPTS if live else [name for name in SCRIPTS if name != "live.js"]
    return templates.get_template("explorer.html.jinja").render(
        experiments=_script(experiments), live=_script(live), scripts=scripts, worker=_script(worker)
    )


def experiment(
    name: str,
    title: str,
    task: Task,
    run: Run,
    todo: Sequence[tuple[Replica, ReplicaFrames]],
    order: Sequence[int],
) -> dict[str, Any]:
    """One experiment: its table of answers, and of each replica the curves, the events and the frames."""
    tokens = task.sizes.tokens
    histories = dict(zip(run.replicas["replica"], curves(run), strict=True))
    return {
        "name": name,
        "title": title,
        "formula": task.table.formula,
        "tokens": tokens,
        "order": list(order),  # the tokens in the order in which the operation is addition
        "pairs": packed(_of_pairs(task, task.equations["c"].to_numpy(), np.uint16)),
        "position": packed(_of_pairs(task, np.arange(len(task.equations)), np.uint16)),
        "replicas": [_replica(task, run, replica, shown, histories) for replica, shown in todo],
    }


def _replica(
    task: Task, run: Run, replica: Replica, shown: ReplicaFrames, histories: Mapping[int, Any]
) -> dict[str, Any]:
    row = run.replicas.set_index("replica").loc[replica.index].to_dict()
    return {
        "seed": replica.seed,
        "split": replica.split_seed,
        "memorized": _step(row["memorization_step"]),
        "generalized": _step(row["generalization_step"]),
        "history": histories[replica.index],
        "trained": packed(task.train_mask(replica.split_seed).astype(np.uint8)),
        "steps": shown.steps,
        "frequencies": shown.frequencies,
        "arrays": {key: packed(array) for key, array in shown.arrays.items()},
    }


def _of_pairs(task: Task, values_P: np.ndarray, kind: type[np.unsignedinteger]) -> np.ndarray:
    """A number for each pair (a, b) of tokens, (T, T)."""
    table_TT = np.full((task.sizes.tokens, task.sizes.tokens), NO_PAIR, kind)
    table_TT[task.equations["a"], task.equations["b"]] = values_P
    return table_TT


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON: its type, its shape, and its bytes, compressed."""
    assert array.dtype.byteorder in "=|<", array.dtype
    compressed = zlib.compress(np.ascontiguousarray(array).tobytes(), 9)
    return {"type": array.dtype.name, "shape": list(array.shape), "data": _text(compressed)}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _step(value: float) -> int | None:
    return None if pd.isna(value) else int(value)


def _script(content: Any) -> str:
    """JSON that may stand in a script of HTML."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
