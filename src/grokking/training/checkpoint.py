"""Checkpoints: where training stands, in one file that is replaced as a whole."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from grokking.config import ConfigError

EVERY_SECONDS = "GROKKING_CHECKPOINT_SECONDS"


@dataclass(frozen=True)
class State:
    """Tensors by name, and everything else as JSON holds it: numbers come back to the last bit."""

    tensors: dict[str, torch.Tensor]
    rest: dict[str, Any]


class Checkpoint:
    """One file for the replicas that are trained together, named by their fingerprint.

    The fingerprint covers configuration, seeds, data, the core's code and torch, so a file that is found
    under it fits. A process killed while it writes leaves the file before, and a stray one beside it.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.file = folder / f"{fingerprint}.safetensors"
        self.every = every_seconds()
        self.saved = time.monotonic()

    def load(self) -> State | None:
        """What was saved last, or None."""
        if not self.file.exists():
            return None
        with safe_open(self.file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return State(tensors, json.loads(opened.metadata()["rest"]))

    def due(self) -> bool:
        return time.monotonic() - self.saved >= self.every

    def save(self, state: State) -> None:
        """Replace the file; whoever reads it sees the old one or the new one, never a part."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        stray = self.file.with_suffix(f".{os.getpid()}")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        with stray.open("wb") as opened:
            opened.write(save(tensors, {"rest": json.dumps(state.rest)}))
            opened.flush()
            os.fsync(opened.fileno())
        stray.replace(self.file)
        self.saved = time.monotonic()


def every_seconds() -> float:
    """GROKKING_CHECKPOINT_SECONDS, or 30: training time between two checkpoints of one stack."""
    chosen = os.environ.get(EVERY_SECONDS, "30")
    try:
        seconds = float(chosen)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ConfigError(f"{EVERY_SECONDS} must be a number of at least 0, but got {chosen!r}")
    return seconds


def pack(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Arrays under names that start with a prefix."""
    return {f"{prefix}/{name}": torch.from_numpy(array) for name, array in arrays.items()}


def unpack(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The arrays under names that start with a prefix."""
    start = f"{prefix}/"
    return {name.removeprefix(start): t.numpy() for name, t in tensors.items() if name.startswith(start)}
