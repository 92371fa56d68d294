"""How many stages run at once: as many as keep the cores busy and fit into memory.

How many workers a stage has, it decides itself: a search finds other points with another number of them.
"""

from collections.abc import Sequence
from pathlib import Path

import psutil

from grokking.config import ConfigError
from grokking.executors.resources import cores

MEMORY = 2 * 2**30  # bytes for a stage with its workers
EVERY_CORE = {"search", "sweep", "tune", "confirm", "explore"}  # they have a worker for each core
SOME_CORES = {"train", "diagnose"}  # a worker for each replica
REPLICAS = 4  # of an experiment: most have three to five
GPU = Path("/dev/nvidiactl")


class Capacity:
    """What this machine has for stages; `jobs` is the number that a user wishes, in place of our rule.

    `alone` holds the stages that measure seconds: nothing else runs beside them.
    """

    def __init__(
        self, cores: int, memory: int, jobs: int | None = None, alone: Sequence[str] = (), gpu: bool = False
    ) -> None:
        self.jobs = jobs or max(1, min(cores, memory // MEMORY))
        self._cores, self._chosen, self._alone, self._gpu = cores, jobs is not None, alone, gpu

    def allows(self, stage: str, running: Sequence[str]) -> bool:
        """Whether a stage may start beside those that run."""
        if not running:
            return True
        if len(running) >= self.jobs or {stage, *running} & set(self._alone):
            return False
        if self._gpu and trains(stage) and any(map(trains, running)):
            return False  # processes that share a GPU wait for each other
        return self._chosen or sum(self._used(each) for each in running) <= self._cores

    def _used(self, stage: str) -> int:
        """Cores that a stage keeps busy."""
        if kind(stage) in EVERY_CORE:
            return self._cores
        return min(REPLICAS, self._cores) if kind(stage) in SOME_CORES else 1


def of_this_machine(jobs: int | None, alone: Sequence[str]) -> Capacity:
    """That of the cores and the memory that are there now."""
    return Capacity(cores(), psutil.virtual_memory().available, jobs, alone, uses_gpu())


def uses_gpu() -> bool:
    """Whether stages train on a GPU. PyTorch, which knows, takes seconds to load: only where there is one."""
    if not GPU.exists():
        return False
    from grokking.executors.device import device

    return device() == "cuda"


def kind(stage: str) -> str:
    """The script of a stage: train for extended/dvc.yaml:train@wide_mlp."""
    return stage.rpartition(":")[2].partition("@")[0]


def trains(stage: str) -> bool:
    return kind(stage) in EVERY_CORE | SOME_CORES


def number_of_jobs(text: str | None) -> int | None:
    """The value of --jobs. Raises ConfigError where it is no whole number of at least 1."""
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(
            f"--jobs must be a whole number of at least 1, but got {text!r}; leave it out for our rule"
        )
    return int(text)
