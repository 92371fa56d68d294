"""Ends what is left of a Ray cluster when its driver is gone; some of Ray's processes outlive a killed one.

python -m grokking.executors.ray_cleaner FOLDER

The driver holds the other end of the standard input: the system closes it, however the driver ends.
"""

import contextlib
import os
import shutil
import sys
import time

import psutil

SECONDS = 5.0  # for the processes that end by themselves


def main() -> None:
    (folder,) = sys.argv[1:]
    if os.fork():
        return  # the driver goes on, and so does the copy of this process
    sys.stdin.read()
    time.sleep(SECONDS)
    while left := processes_of(folder):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: str) -> list[psutil.Process]:
    """Processes of a cluster: each has a log open in its folder."""
    return [process for process in psutil.process_iter() if _writes_in(folder, process)]


def _writes_in(folder: str, process: psutil.Process) -> bool:
    try:
        return any(file.path.startswith(folder) for file in process.open_files())
    except psutil.Error:  # ended meanwhile, or another user's
        return False


if __name__ == "__main__":
    main()
