"""A function replayed as a CUDA graph where there is a GPU, and called everywhere else."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

WARM_UP = 3  # calls before the capture, in which libraries allocate their workspaces


class Graph:
    """Calls `function`, which reads and writes fixed tensors only and never waits for the device.

    On CUDA it is captured at the first call and replayed from then on: one launch instead of hundreds.
    """

    def __init__(self, function: Callable[[], None], changed: Iterable[Tensor], device: str) -> None:
        """`changed` are the tensors that a call changes; warming up must not count as training."""
        self.function, self.changed, self.device = function, list(changed), device
        self.captured: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self.device == "cpu":
            self.function()
            return
        if self.captured is None:
            self.captured = self._capture()
        self.captured.replay()

    def _capture(self) -> torch.cuda.CUDAGraph:
        before = [tensor.clone() for tensor in self.changed]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.function()
        for tensor, value in zip(self.changed, before, strict=True):
            tensor.copy_(value)
        return graph
