"""One interface for all that runs jobs, and the choice of what runs them."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, Self, TypeVar

from grokking.config import ConfigError
from grokking.executors.device import device as own_device
from grokking.executors.processes import ProcessExecutor
from grokking.executors.resources import processes
from grokking.executors.thread import ThreadExecutor

KINDS = ("local", "ray")

Result = TypeVar("Result")


class Executor(Protocol):
    """Runs jobs. Closed by an error or Ctrl-C, it ends those that still run, as far as it can."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, /, *error: object) -> None: ...

    @property
    def device(self) -> str:
        """What jobs compute on: cpu or cuda."""

    @property
    def workers(self) -> int:
        """How many jobs run at once."""

    def submit(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run a function of a module on copies of these arguments; what it raises, the future raises."""

    def reports(self) -> list[Any]:
        """What jobs have given to `report` since the last call. A job that was run again repeats itself."""


def chosen_kind() -> str:
    """GROKKING_EXECUTOR; ConfigError for an unknown one."""
    kind = os.environ.get("GROKKING_EXECUTOR", KINDS[0])
    if kind not in KINDS:
        raise ConfigError(f"GROKKING_EXECUTOR must be one of {', '.join(KINDS)}, but got {kind!r}")
    return kind


def executor(jobs: int | None, device: str | None = None) -> Executor:
    """An executor for this number of jobs, or for an endless stream of them (None).

    GROKKING_EXECUTOR chooses it: `local` (the default) or `ray`. The device is GROKKING_DEVICE, or a GPU
    where there is one; what gains nothing from a GPU names `cpu`.
    """
    if chosen_kind() == "ray":
        from grokking.executors.ray_executor import RayExecutor  # Ray is an extra

        return RayExecutor(device)
    if (device or own_device()) == "cuda":
        return ThreadExecutor("cuda")
    return ProcessExecutor(processes(jobs))
