"""Whether a process of this host still runs. Its number alone does not tell: numbers are used again."""

import math

import psutil

# That the start of a process may seem to move: it is counted from the start of the machine, and the clock may
# be set in between
CLOCK_CHANGE_SECONDS = 60.0


def started(pid: int) -> float:
    """When a process began, in seconds since 1970 by the clock of now."""
    return psutil.Process(pid).create_time()


def is_running(pid: int, since: float) -> bool:
    """Whether the process that began at `since` runs; a zombie does not, and may never be waited for."""
    try:
        process = psutil.Process(pid)
        is_same = math.isclose(process.create_time(), since, rel_tol=0, abs_tol=CLOCK_CHANGE_SECONDS)
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
