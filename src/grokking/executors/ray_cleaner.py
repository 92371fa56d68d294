"""Ends what is left of a Ray cluster when its driver is gone; some of Ray's processes outlive a killed one.

python -m grokking.executors.ray_cleaner DRIVER FOLDER
"""

import contextlib
import os
import shutil
import sys
import time

import psutil

SECONDS = 5.0  # for the processes that end by themselves


def main() -> None:
    pid, folder = sys.argv[1:]
    driver = psutil.Process(int(pid))
    if os.fork():
        return  # the driver goes on, and so does the copy of this process
    cluster: set[psutil.Process] = set()
    while _runs(driver):
        cluster |= processes_of(driver, folder)
        time.sleep(1)
    _, left = psutil.wait_procs(cluster, SECONDS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left)
    shutil.rmtree(folder, ignore_errors=True)


def _runs(driver: psutil.Process) -> bool:
    try:
        return driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes_of(driver: psutil.Process, folder: str) -> set[psutil.Process]:
    """The driver's children that keep their files in the cluster's folder, and all below them."""
    found = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in driver.children():
            if any(folder in word for word in child.cmdline()):
                found |= {child, *child.children(recursive=True)}
    return found


if __name__ == "__main__":
    main()
