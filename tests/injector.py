"""A fault at the k-th change of a file: the process group is killed, or the call fails with an error."""

import errno
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import sqlalchemy

from grokking.config import ConfigError

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
FAILED, DONE = 3, 0
DISK_ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)


class Injector:
    """Counts changes of files below a folder, in this process and in those that it forks.

    Python tells of each by an audit event before it happens: of files that are opened to be written, renamed,
    removed, and of folders that are made or removed. A hook cannot be taken back, so it is set in a fork.
    """

    def __init__(self, folder: Path, at: int, error: int | None) -> None:
        self.folder, self.at, self.error = str(folder), at, error
        self.count = multiprocessing.get_context("fork").Value("i", 0)

    def hook(self, event: str, arguments: tuple) -> None:
        if self._is_change(event, arguments):
            self.change(arguments[0])

    def commit(self, connection: object) -> None:
        """A transaction is about to be written, which no audit event tells; it has no error of its own."""
        if self.error is None:
            self.change("")

    def change(self, path: object) -> None:
        with self.count.get_lock():
            self.count.value += 1
            hit = self.count.value == self.at
        if hit and self.error is None:
            os.killpg(0, signal.SIGKILL)
        elif hit:
            raise OSError(self.error, os.strerror(self.error), str(path))

    def _is_change(self, event: str, arguments: tuple) -> bool:
        if not arguments or not os.path.abspath(str(arguments[0])).startswith(self.folder):
            return False
        return event in CHANGES or (event == "open" and bool((arguments[2] or 0) & WRITING))


def attempt(folder: Path, work: Callable[[], None], at: int = 0, error: int | None = None) -> tuple[int, int]:
    """Do the work in a fork, with a fault at the change `at` (0: none); how it ended, and the changes made.

    It ends with DONE, with FAILED where it raised the error of the fault, with -SIGKILL or another code.
    """
    injector = Injector(folder, at, error)
    child = os.fork()
    if child == 0:
        os.setsid()
        warnings.simplefilter("ignore")  # they are errors in tests, not for users
        sys.addaudithook(injector.hook)
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", injector.commit)
        code = 1
        try:
            work()
            code = DONE
        except OSError as raised:
            code = FAILED if raised.errno == error else 1
        except ConfigError as told:
            print(told, file=sys.stderr, flush=True)
            code = FAILED
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), injector.count.value
