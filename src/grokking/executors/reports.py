"""What a job reports while it runs, on its way to the process that submitted it."""

from collections.abc import Callable
from queue import Empty
from typing import Any

Send = Callable[[Any], None]

_sends: list[Send] = []  # of the executor whose jobs this process runs


def report(item: Any) -> None:
    """Report from within a job. Outside of an executor nothing happens."""
    for send in _sends:
        send(item)


def report_by(send: Send) -> None:
    """From now on reports of this process's jobs go there."""
    _sends[:] = [send]


def drain(queue: Any) -> list[Any]:
    """All that lies in a queue now."""
    items = []
    while True:
        try:
            items.append(queue.get_nowait())
        except Empty:
            return items
