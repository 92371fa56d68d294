"""What a worker on another machine must know of the process that submits its jobs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Driver:
    """The driver's code, as `source` says it, and the folder in which it works."""

    source: dict[str, str]
    folder: str
