"""Which of two implementations an op runs: the fast one, or the plain twin that shows what it computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor

_mode = "fast"


@contextmanager
def use(mode: Literal["fast", "plain"]) -> Iterator[None]:
    """Run all ops in this mode. The plain one can be differentiated twice, the fast one need not be."""
    global _mode
    before, _mode = _mode, mode
    try:
        yield
    finally:
        _mode = before


def is_fast(tensor: Tensor) -> bool:
    """Whether an op on this tensor takes its fast path; these are written for the CPU."""
    return _mode == "fast" and tensor.device.type == "cpu"
