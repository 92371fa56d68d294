"""The tensors of R replicas as one tensor (R, n), so that one operation reaches all of them."""

# R replicas, n entries of all tensors of one replica

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class FlatTensors:
    """`data` (R, n) holds every tensor of every replica; `views` finds them in it by name."""

    def __init__(self, replicas: Sequence[Mapping[str, Tensor]], dtype: torch.dtype, device: str) -> None:
        """Copies of each replica's tensors, which have equal names and shapes."""
        self.shapes = {name: tensor.shape for name, tensor in replicas[0].items()}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        self.data = torch.zeros(len(replicas), sum(self.sizes), dtype=dtype, device=device)
        for i, tensors in enumerate(replicas):
            for name, view in self.views(self.data[i : i + 1]).items():
                view[0].copy_(tensors[name].detach())

    def mask(self, names: Sequence[str]) -> Tensor:
        """Which of the n entries belong to these tensors, (n,)."""
        named = torch.tensor([name in names for name in self.shapes])
        return named.repeat_interleave(torch.tensor(self.sizes)).to(self.data.device)

    def views(self, data_Rn: Tensor) -> dict[str, Tensor]:
        """The tensors (R, ...) within `data` or another tensor of its layout; they share its memory."""
        parts = data_Rn.split(self.sizes, dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.unflatten(1, shape) for (name, shape), part in named}
