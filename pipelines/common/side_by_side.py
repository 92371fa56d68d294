"""Runs the stages of a plan, each as soon as those it needs have ended, several at once."""

import sys
import textwrap
from multiprocessing.connection import wait

from dvc.stage import Stage

from pipelines.common.capacity import Capacity
from pipelines.common.plan import Plan
from pipelines.common.stage_process import UNCHANGED, StageProcess, stop_all


class SideBySide:
    """What has become of each stage of a plan so far."""

    def __init__(self, plan: Plan, capacity: Capacity) -> None:
        self._plan, self._capacity = plan, capacity
        self._waiting = list(plan.stages)
        self._running: list[StageProcess] = []
        self._ended: set[Stage] = set()
        self._ran: set[Stage] = set()
        self._failed: list[Stage] = []

    def run(self) -> None:
        """Run what has changed. Where a stage fails, those that run end, and no other starts: exit code 1."""
        try:
            self._start_ready()
            while self._running:
                self._wait_for_one()
                self._start_ready()
        except KeyboardInterrupt:
            stop_all()
            raise
        if self._failed:
            self._print_failure()

    def _print_failure(self) -> None:
        names = ", ".join(f"`{stage.addressing}`" for stage in self._failed)
        rest = f"{len(self._waiting)} stages were not run"
        message = f"error: {names} failed, as printed above, and {rest}"
        print(f"{message}; mend it, and the same command goes on from here", file=sys.stderr)
        raise SystemExit(1)

    def _start_ready(self) -> None:
        """Start what can start. Later stages of a plan need earlier ones, so that one pass is enough."""
        for stage in list(self._waiting):
            needs = self._plan.needs[stage]
            if not needs <= self._ended:
                continue
            if stage not in self._plan.changed and not needs & self._ran:
                self._waiting.remove(stage)
                self._ended.add(stage)
            elif not self._failed and self._fits(stage):
                self._waiting.remove(stage)
                self._running.append(StageProcess(stage))
                _print(stage, "started")

    def _fits(self, stage: Stage) -> bool:
        running = [process.stage.addressing for process in self._running]
        return self._capacity.allows(stage.addressing, running)

    def _wait_for_one(self) -> None:
        """Wait until a stage or several have ended."""
        ended = wait([process.sentinel for process in self._running])
        for process in [each for each in self._running if each.sentinel in ended]:
            self._running.remove(process)
            self._take(process)

    def _take(self, process: StageProcess) -> None:
        """Note and tell what became of a stage that has ended."""
        stage, code = process.stage, process.join()
        took = f"{process.seconds():.1f} s"
        if code == UNCHANGED:
            _print(stage, "unchanged")
        elif code == 0:
            self._ran.add(stage)
            _print(stage, f"done in {took}", process.output())
        else:
            self._failed.append(stage)
            _print(stage, f"FAILED after {took}", process.output())
            return
        self._ended.add(stage)


def _print(stage: Stage, what: str, output: str = "") -> None:
    """A line on a stage, and below it, indented, what the stage has printed."""
    print(f"{stage.addressing}: {what}", flush=True)
    if output:
        print(textwrap.indent(output.rstrip("\n"), "    "), flush=True)
