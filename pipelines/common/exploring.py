"""What the explorer shows: experiments of the default study with the networks that they kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grokking import figures
from grokking.analysis.published import PUBLISHED
from grokking.catalogue import Catalogue
from grokking.config import load
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic, snapshots
from grokking.experiment import Replica, expand
from grokking.explorer import frames, page
from grokking.explorer.frames import CERTAINTY_LEVELS, ReplicaFrames
from grokking.explorer.live_recipe import LiveRecipe
from grokking.storage import runs, task_files
from grokking.storage.runs import Run
from pipelines.common.paths import CONFIRMED, RUNS, SNAPSHOTS, SPLITS
from pipelines.common.training import read_task

GROUP, STUDY = "systems", "quick"
REPLICAS = 3  # of each experiment


@dataclass(frozen=True)
class Shown:
    """An experiment and the first of its replicas."""

    name: str
    title: str
    task: Task
    run: Run
    order: list[int]  # tokens in the order in which the operation is addition; empty where there is none
    replicas: list[tuple[Replica, ReplicaFrames]]

    def for_page(self) -> dict[str, Any]:
        return page.experiment(self.name, self.title, self.task, self.run, self.replicas, self.order)


def shown(catalogue: Catalogue) -> list[Shown]:
    """Of each published system the experiments that answer it; all experiments where there are none."""
    titles = {p.experiment: f"{p.system}: {p.setting}" for p in PUBLISHED if p.experiment}
    names = catalogue.names("experiments", GROUP)
    chosen = [name for name in titles if name in names] or names
    return [_experiment(catalogue, name, titles.get(name, name)) for name in chosen]


def _experiment(catalogue: Catalogue, name: str, title: str) -> Shown:
    where = f"experiments.{name}"
    replicas = expand(catalogue.entry("experiments", name), where)[:REPLICAS]
    task = read_task(catalogue, replicas, where)
    named = f"tasks.{replicas[0].config.task}"
    order = cyclic.order_of(load(TaskConfig, catalogue.entry(*named.split(".")), named))
    kept = snapshots.of_folder(SNAPSHOTS / GROUP / name, replicas, task, order)
    found = list(zip(replicas, frames.frames(kept), strict=True))
    tokens = [] if order is None else order.a.tolist()
    return Shown(name, title, task, runs.read(RUNS / GROUP / name), tokens, found)


def live_recipe() -> LiveRecipe | None:
    """The winner of the default study's search, where it was confirmed and the page can train it."""
    folder = CONFIRMED / STUDY / "winner"
    if not runs.exists(folder):
        return None
    replicas = runs.read(folder).replicas
    return LiveRecipe.of(replicas, task_files.read(SPLITS / replicas["task"].iloc[0]))


def draw(one: Shown, folder: Path) -> list[Path]:
    """A picture of the first replica at each snapshot, by step."""
    return list(_pictures(one, *one.replicas[0], folder))


def _pictures(one: Shown, replica: Replica, shown: ReplicaFrames, folder: Path) -> Iterator[Path]:
    train_P, answer_P = one.task.train_mask(replica.split_seed), one.task.equations["c"].to_numpy()
    for index, step in enumerate(shown.steps):
        arrays = {name: array[index] for name, array in shown.arrays.items()}
        right_P = arrays["answers"] == answer_P
        trained, others = (f"{right_P[of].mean():.0%}" for of in (train_P, ~train_P))
        title = f"step {step:,}: training pairs {trained} right, all others {others}"
        grid = figures.answer_grid(*_tables(one.task, right_P, arrays["certainty"] / CERTAINTY_LEVELS))
        circle = frames.coordinates(arrays["circles"][0]) if "circles" in arrays else None
        file = folder / f"step_{step}.png"
        figures.training_picture(title, grid, circle, next(iter(shown.frequencies), None), file)
        yield file


def _tables(task: Task, *columns_P: np.ndarray) -> Iterator[np.ndarray]:
    """What is known of each equation as a table of pairs, (T, T); NaN where the operation leaves one out."""
    tokens = task.sizes.tokens
    for column_P in columns_P:
        table_TT = np.full((tokens, tokens), np.nan)
        table_TT[task.equations["a"], task.equations["b"]] = column_P
        yield table_TT
