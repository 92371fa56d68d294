"""An update on a GPU, recorded once and replayed.

Launching the kernels of a small network one by one takes ten times as long as running them.
"""

# R replicas, B examples in a batch

from collections.abc import Callable

import torch
from torch import Tensor


class CudaGraph:
    """Calls `update(index_RB)` for the first batch of a size, and replays a recording of it for later ones.

    A graph holds the addresses of its tensors. So the update may use only tensors that stay where they are.
    """

    def __init__(self, update: Callable[[Tensor], None]) -> None:
        self.update = update
        self.warmed_up: set[int] = set()  # sizes of batches
        self.recorded: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}  # and where it reads its batch

    def __call__(self, index_RB: Tensor) -> None:
        size = index_RB.shape[1]
        if size not in self.warmed_up:  # at their first use libraries do what cannot be recorded
            self.warmed_up.add(size)
            self._warm_up(index_RB)
            return
        if size not in self.recorded:
            graph, batch_RB = torch.cuda.CUDAGraph(), index_RB.clone()
            with torch.cuda.graph(graph):
                self.update(batch_RB)
            self.recorded[size] = graph, batch_RB
        graph, batch_RB = self.recorded[size]
        batch_RB.copy_(index_RB)
        graph.replay()

    def _warm_up(self, index_RB: Tensor) -> None:
        """Update on a side stream, as torch asks for before autograd is recorded."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.update(index_RB)
        torch.cuda.current_stream().wait_stream(side)
