"""`grokking.train`: a run of your own, in a folder of its own.

It is trained by the engine and kept by `RunFolder`, as the stage `train` does, so its tables are the same to
the bit. What the stages write is not touched.
"""

import os
import re
import reprlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from filelock import FileLock, Timeout
from ruamel.yaml import YAML

from grokking.api.checkout import Checkout, here
from grokking.api.keys import flat
from grokking.api.loading import CONFIG, NETWORKS, TABLES, of_folder, read_config, unknown
from grokking.api.recipe import Config, changed, configuration, named_by_changes, prepared, with_seeds
from grokking.api.run import Run
from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.executors.device import device as own_device
from grokking.executors.environment import seconds
from grokking.executors.executor import chosen_kind
from grokking.executors.resources import processes
from grokking.experiment import Replica
from grokking.progress import Progress
from grokking.storage.run_folder import RunFolder
from grokking.storage.whole_file import whole_file
from grokking.training.checkpoint import EVERY_SECONDS
from grokking.training.fingerprint import fingerprint
from grokking.training.records import Evaluation
from grokking.training.workers import train_all

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=+-]{0,99}")
Watcher = Callable[[Evaluation], None]
_ONE_AT_A_TIME = RLock()  # no thread forks workers while another holds a lock file


def train(
    experiment: str | Mapping[str, Any],
    *,
    seeds: int | None = None,
    name: str | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    **changes: Any,
) -> Run:
    """Train an experiment with changed values, or a configuration such as `run.config`; the finished run.

    `changes` are values by key, dotted or short: `weight_decay=0.3`, `**{"task.split.train_fraction": 0.4}`.
    `seeds` is how many networks are trained: 1 of an experiment, all that a configuration lists. `device` is
    cpu or cuda, by default a GPU where there is one. `watch` is called with each `Evaluation`, and then no
    progress is shown. A run that is there already is not trained again; one that was interrupted goes on, and
    further seeds join those that are there. Calls from several threads take turns.
    ConfigError, before anything is written, for values that cannot be trained and for a `name` that another
    run has.
    """
    if watch is not None and not callable(watch):
        raise ConfigError(f"`watch` must be a function, which is given each evaluation, but got {watch!r}")
    with _ONE_AT_A_TIME:
        own = plan(experiment, changes, seeds, name)
        with Progress(own.folder.name, [] if watch else own.unfinished()) as progress:
            own.train(watch or progress.show, device)
        return own.run


@dataclass(frozen=True)
class OwnRun:
    """A run of your own, before and after training."""

    checkout: Checkout
    folder: Path
    origin: str  # the experiment that it changes; empty for a whole configuration
    changes: Config  # by dotted key
    config: Config
    replicas: list[Replica]
    task: Task

    @property
    def run(self) -> Run:
        return of_folder(self.folder)

    def unfinished(self) -> list[Replica]:
        """What is still to be trained."""
        return self._kept().unfinished(tables_suffice=False)

    def train(self, watch: Watcher, device: str | None = None) -> None:
        """Train what is unfinished, and draw the curves."""
        with chosen_device(device), self._alone():
            kept = self._kept()
            todo = kept.unfinished(tables_suffice=False)
            if todo:
                self._write_config()
                checkpoints = self.checkout.checkpoints / fingerprint(self.replicas, self.task)
                try:
                    for evaluations in train_all(todo, self.task, [watch], checkpoints):
                        kept.add(evaluations)
                except BaseException:
                    self._forget_unless_begun(checkpoints)
                    raise
                shutil.rmtree(checkpoints, ignore_errors=True)
                kept.close()
            if todo or not self.run.figure.exists():
                draw(self.run)

    def _kept(self) -> RunFolder:
        return RunFolder(self.folder / TABLES, self.replicas, self.task, self.folder / NETWORKS)

    def _write_config(self) -> None:
        """What decides the run, before its first step: so a run that was killed is known again."""
        written = {"experiment": self.origin, "changes": self.changes, "config": self.config}
        with whole_file(self.folder / CONFIG) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            YAML().dump(written, file)

    def _forget_unless_begun(self, checkpoints: Path) -> None:
        """Leave no folder of a run that was stopped before there was anything to go on from."""
        is_begun = any(checkpoints.rglob("*")) or {each.name for each in self.folder.iterdir()} != {CONFIG}
        if not is_begun:
            shutil.rmtree(self.folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No two processes train one run."""
        self.checkout.checkpoints.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.checkout.checkpoints / f"{self.folder.name}.own.lock", timeout=0):
                yield
        except Timeout:
            raise ConfigError(
                f"`{self.folder.name}` is being trained by another process; wait for it"
            ) from None


def plan(
    experiment: str | Mapping[str, Any],
    changes: Mapping[str, Any],
    seeds: int | None = None,
    name: str | None = None,
) -> OwnRun:
    """The run that is asked for, ready to be trained; nothing is written.

    ConfigError for everything that cannot be trained, and for a name that is taken.
    """
    checkout = here()
    origin = experiment if isinstance(experiment, str) else ""
    base = _base(checkout, experiment)
    config, meant = changed(checkout.catalogue, base, changes)
    named = _default_name(origin, base, config, meant) if name is None else name
    _require_name(checkout, named)
    count = seeds if seeds is not None else (1 if origin else len(base["replicas"]["seeds"]))
    config = with_seeds(config, count)
    folder = checkout.own / named
    if (folder / CONFIG).exists():
        config = _continued(folder, config)
    replicas, task = prepared(config, origin or named)
    return OwnRun(checkout, folder, origin, meant, config, replicas, task)


def _base(checkout: Checkout, experiment: str | Mapping[str, Any]) -> Config:
    if not isinstance(experiment, str):
        if not isinstance(experiment, Mapping):
            got = reprlib.repr(experiment)
            raise ConfigError(
                f"`experiment` must be a name or a configuration, such as `run.config`, but got {got}"
            )
        config = dict(experiment)
        prepared(config, "config")  # a mapping from elsewhere is checked before it is changed
        return config
    known = checkout.catalogue.names("experiments")
    if experiment in checkout.own_runs():
        file = checkout.shown(checkout.own / experiment / CONFIG)
        raise ConfigError(
            f"`{experiment}` is a run of your own; its configuration is trained by `grokking run {file}`; "
            f"with `--name {experiment}` besides, that goes on with it or adds seeds"
        )
    if experiment not in known:
        raise unknown(checkout, experiment, known)
    return configuration(checkout.catalogue, experiment)


def _default_name(origin: str, base: Config, config: Config, meant: Config) -> str:
    """The experiment and what is changed of it."""
    if not origin:
        rest = {key: value for key, value in config.items() if key != "replicas"}
        return f"config-{sha256(repr(sorted(flat(rest).items())).encode()).hexdigest()[:8]}"
    if not meant:
        return f"{origin}-repeated"
    return named_by_changes(origin, meant)


def _require_name(checkout: Checkout, name: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(f"`{name}` is no name of a run; write letters, digits and _ . = + -, 100 at most")
    if name in checkout.catalogue.names("experiments"):
        raise ConfigError(f"`{name}` is an experiment; give your run another name")


def _continued(folder: Path, config: Config) -> Config:
    """The configuration with every seed that the run has already; ConfigError where it is another run."""
    before: Config = read_config(folder)["config"]
    if not is_same_but_for_seeds(before, config):
        old, new = _without_seeds(before), _without_seeds(config)
        raise ConfigError(
            f"`{folder.name}` is another run, which differs in {_difference(old, new)}; choose another --name"
        )
    pairs = list(dict.fromkeys([*_pairs(before), *_pairs(config)]))
    seeds, split_seeds = (list(kind) for kind in zip(*pairs, strict=True))
    return config | {"replicas": config["replicas"] | {"seeds": seeds, "split_seeds": split_seeds}}


def is_free_for(checkout: Checkout, name: str, config: Config) -> bool:
    """Whether no run has the name, or one that could go on with this configuration."""
    folder = checkout.own / name
    if not (folder / CONFIG).exists():
        return True
    return is_same_but_for_seeds(read_config(folder)["config"], config)


def is_same_but_for_seeds(one: Config, other: Config) -> bool:
    """Whether two configurations could be one run."""
    grids = one["replicas"]["grid"] == other["replicas"]["grid"]
    return grids and _without_seeds(one) == _without_seeds(other)


def _without_seeds(config: Config) -> Config:
    return {key: value for key, value in config.items() if key != "replicas"}


def _pairs(config: Config) -> list[tuple[int, int]]:
    """Seed and split seed of each replica of a grid point."""
    return list(zip(config["replicas"]["seeds"], config["replicas"]["split_seeds"], strict=True))


def _difference(old: Config, new: Config) -> str:
    one, other = flat(old), flat(new)
    keys = [key for key in one | other if one.get(key) != other.get(key)]
    return ", ".join(f"{key} ({one.get(key)} there, {other.get(key)} here)" for key in keys[:2]) or "its grid"


def draw(run: Run) -> None:
    """The curves of a run as PNG."""
    from grokking import figures

    figures.curves(run.history(), run.replicas(), run.name, run.figure)


def require_environment(device: str | None = None) -> None:
    """ConfigError where a variable of the environment would stop training; `device` goes before its own."""
    chosen_kind()
    if device is None:
        own_device()
    processes(None)
    seconds("GROKKING_CHECKPOINT_SECONDS", EVERY_SECONDS)


def require_device(device: str | None) -> None:
    """ConfigError where nothing can be trained on this device, or in this environment."""
    if device not in (None, "cpu", "cuda"):
        raise ConfigError(f"`device` must be cpu or cuda, but got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("`device` is cuda, but this machine has no GPU that torch can use; write cpu")
    require_environment(device)


@contextmanager
def chosen_device(device: str | None) -> Iterator[None]:
    """Train on this device; the environment is as before afterwards."""
    before = os.environ.get("GROKKING_DEVICE")
    require_device(device)
    if device is not None:
        os.environ["GROKKING_DEVICE"] = device
    try:
        yield
    finally:
        if device is not None:
            os.environ.pop("GROKKING_DEVICE")
            if before is not None:
                os.environ["GROKKING_DEVICE"] = before
