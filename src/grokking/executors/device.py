"""What jobs of this machine compute on."""

import os

import torch

from grokking.config import ConfigError


def device() -> str:
    """GROKKING_DEVICE (cpu or cuda), or a GPU where there is one."""
    available = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    chosen = os.environ.get("GROKKING_DEVICE", available[-1])
    if chosen not in available:
        raise ConfigError(f"GROKKING_DEVICE must be one of {', '.join(available)} here, but got {chosen!r}")
    return chosen
