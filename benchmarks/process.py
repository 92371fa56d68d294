"""How a process is set up before anything is measured in it."""

import torch
from threadpoolctl import threadpool_limits

from grokking.training.workers import _keep_freed_memory


def set_up(threads: int) -> None:
    """What the engine's workers do at their start, here for any number of threads.

    The allocator's settings speed the plain loops up as well, so both are measured with them.
    """
    threadpool_limits(threads)
    torch.set_num_threads(threads)
    _keep_freed_memory()
