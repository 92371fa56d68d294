"""Leases of trials: other hosts do not see whether the process of a trial is alive, so it says so."""

import socket
import time
from typing import Any

from grokking.search.owner import is_alive, same, this_process

RENEW_SECONDS = 60.0
LEASE_SECONDS = 300.0  # a trial of another host that is not renewed so long is taken over


class Leases:
    """When trials were last renewed: own ones, and those of other hosts.

    A lease has expired when it was not renewed for `LEASE_SECONDS` by the clock of the process that watches.
    So the clocks of two hosts need not agree.
    """

    def __init__(self) -> None:
        self.renewed: dict[int, float] = {}  # of own trials, by number: when
        self.watched: dict[int, tuple[dict[str, Any], float]] = {}  # of others: said last, since when

    def is_due(self, trial: int) -> bool:
        """Whether an own trial is to be renewed now."""
        now = time.monotonic()
        due = now - self.renewed.setdefault(trial, now) >= RENEW_SECONDS
        if due:
            self.renewed[trial] = now
        return due

    def is_gone(self, trial: int, owner: dict[str, Any]) -> bool:
        """Whether the owner of a trial has ended, or has not been heard of for too long."""
        if same(owner, this_process()):
            return False
        if owner["host"] == socket.gethostname():
            return not is_alive(owner)
        return self.has_expired(trial, owner)

    def has_expired(self, trial: int, owner: dict[str, Any]) -> bool:
        """Whether the owner of a trial has not been heard of for too long."""
        now = time.monotonic()
        said, since = self.watched.get(trial, (None, now))
        if said != owner:
            self.watched[trial] = (owner, now)
            return False
        return now - since >= LEASE_SECONDS
