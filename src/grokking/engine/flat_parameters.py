"""Named tensors of R replicas as slices of one tensor, so that one operation reaches all of them."""

# R replicas, n entries of all tensors of one replica

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class FlatParameters:
    """`data` (R, n) holds every tensor of every replica; `views` gives them back by name."""

    def __init__(
        self, like: Mapping[str, Tensor], replicas: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        """Zeros for tensors shaped `like` those of one replica."""
        self.shapes = {name: tensor.shape for name, tensor in like.items()}
        self.sizes = [tensor.numel() for tensor in like.values()]
        self.data = torch.zeros(replicas, sum(self.sizes), dtype=dtype, device=device)

    def views(self, data_Rn: Tensor | None = None) -> dict[str, Tensor]:
        """Each tensor, (R, ...), sharing memory with `data` or with another tensor laid out like it."""
        parts = (self.data if data_Rn is None else data_Rn).split(self.sizes, dim=1)
        return {
            name: part.unflatten(1, shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def put(self, position: int, tensors: Iterable[Tensor]) -> None:
        """Write one replica's tensors."""
        if self.sizes:
            self.data[position] = torch.cat([tensor.detach().flatten() for tensor in tensors])
