"""A lock that processes on several hosts share: what each kind of it can do."""

from typing import Protocol


class HostLock(Protocol):
    """Held between `acquire`, which waits for it, and `release`; ends with the process that holds it."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...


class NoHostLock:
    """For a study whose hosts share a folder, where a file is the lock."""

    def acquire(self) -> None:
        pass

    def release(self) -> None:
        pass
