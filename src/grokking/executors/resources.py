"""How many jobs this machine runs at once."""

import os

from grokking.executors.environment import positive


def processes(jobs: int | None) -> int:
    """GROKKING_PROCESSES, or a number that leaves no core idle while the last jobs run.

    Three jobs on two cores take a process each and share the cores: two processes took 5/4 of their time,
    half of it with one core idle. Four jobs take two processes: more would only share the cache. An endless
    stream of jobs (None) takes one process per core.
    """
    available = cores()
    divides = (n for n in range(available, 2 * available) if jobs is not None and jobs % n == 0)
    default = next(divides, available)
    chosen = positive("GROKKING_PROCESSES", default)
    return chosen if jobs is None else min(chosen, jobs)


def cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
