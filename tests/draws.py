"""Random numbers that tests compute with, the same each time."""

import numpy as np
import torch


def normal(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def integers(end: int, *shape: int, seed: int = 0) -> torch.Tensor:
    """From 0 to end - 1."""
    return torch.randint(end, shape, generator=torch.Generator().manual_seed(seed))


def normal_array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)
