"""The peak of this machine: square float32 matrix products by each of torch's libraries."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import seconds
from benchmarks.worker import blocking

SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
REPETITIONS = 3

Multiply = Callable[[Tensor, Tensor], Tensor]


def by_onednn(left: Tensor, right: Tensor) -> Tensor:
    """The library that torch brings along for its compiler."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.T, None, "none", [], "")
    return product


def libraries(device: str) -> dict[str, Multiply]:
    """The ways to multiply on this device, by name."""
    with_onednn = device == "cpu" and torch.backends.mkldnn.is_available()
    return {"torch.mm": torch.mm} | ({"oneDNN": by_onednn} if with_onednn else {})


def peaks(device: str) -> dict[str, float]:
    """FLOP/s of each library: the best size, the best repetition."""
    return {
        name: max(_rate(size, device, multiply) for size in SIZES[device])
        for name, multiply in libraries(device).items()
    }


@torch.no_grad()
def _rate(size: int, device: str, multiply: Multiply) -> float:
    left, right = torch.rand(2, size, size, device=device)

    def repeat(count: int) -> None:
        for _ in range(count):
            multiply(left, right)

    timed = blocking(repeat, device)
    timed(1)
    return 2 * size**3 / min(seconds(timed, 1) for _ in range(REPETITIONS))
