"""Runs jobs on a Ray cluster. A job whose node dies is run again on another."""

import copy
import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from grokking.config import ConfigError
from grokking.executors.driver import Driver
from grokking.executors.environment import positive
from grokking.executors.ray_cluster import connected
from grokking.executors.ray_worker import run
from grokking.executors.source import source

Result = TypeVar("Result")
RETRIES = 20  # of a job whose node or worker died


class RayExecutor:
    """Runs a job on each core of a cluster; on its GPUs GROKKING_JOBS_PER_GPU jobs each, or one."""

    def __init__(self, device: str | None) -> None:
        self._ray = connected()
        self.device = device or self._device()
        self._jobs_per_gpu = positive("GROKKING_JOBS_PER_GPU", 1)
        self._queue = self._queue_on_this_node()
        self._driver = Driver(source(), os.getcwd())
        gpus = 1 / self._jobs_per_gpu if self.device == "cuda" else 0
        self._run = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(run)
        self._running: set[Any] = set()  # references to results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, /, *error: object) -> None:
        for reference in list(self._running):
            self._ray.cancel(reference, force=True)
        self._queue.shutdown(force=True)

    @property
    def workers(self) -> int:
        """Of the nodes that are alive now."""
        there = self._ray.cluster_resources()
        gpus = int(there.get("GPU", 0) * self._jobs_per_gpu)
        found = max(1, gpus if self.device == "cuda" else int(there.get("CPU", 0)))
        return min(found, positive("GROKKING_PROCESSES", found))

    def submit(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        reference = self._run.remote(job, arguments, self._driver, self._queue)
        self._running.add(reference)
        passed_on: Future[Result] = Future()

        def pass_on(done: Future[Result]) -> None:
            self._running.discard(reference)
            self._pass_on(done, passed_on)

        reference.future().add_done_callback(pass_on)
        return passed_on

    def reports(self) -> list[Any]:
        return self._queue.get_nowait_batch(self._queue.qsize())

    def _pass_on(self, done: Future[Any], to: Future[Any]) -> None:
        errors = self._ray.exceptions
        try:
            to.set_result(copy.deepcopy(done.result()))  # arrays that can be written to
        except errors.RayTaskError as error:
            to.set_exception(error.cause)
        except errors.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            to.set_exception(ConfigError(f"Ray gave a job up after {RETRIES} more tries: {reason}"))

    def _device(self) -> str:
        there = ["cpu", "cuda"] if self._ray.cluster_resources().get("GPU") else ["cpu"]
        chosen = os.environ.get("GROKKING_DEVICE", there[-1])
        if chosen not in there:
            raise ConfigError(
                f"GROKKING_DEVICE must be one of {', '.join(there)} in this cluster, but got {chosen!r}"
            )
        return chosen

    def _queue_on_this_node(self) -> Any:
        """The queue of reports: it must not die with another node."""
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
