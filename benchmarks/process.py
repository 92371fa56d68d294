"""How a process is set up before anything is measured in it."""

from grokking.executors.process_settings import keep_freed_memory, use_threads


def set_up(threads: int) -> None:
    """What the engine's workers do at their start, here for any number of threads.

    These settings speed the plain loops up as well, so both are measured with them.
    """
    use_threads(threads)
    keep_freed_memory()
