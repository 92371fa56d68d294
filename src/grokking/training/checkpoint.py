"""Checkpoints: all that training needs to go on, in one file that is replaced as a whole."""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from grokking.config import ConfigError
from grokking.executors.environment import seconds

EVERY_SECONDS = 30.0  # of training, between two checkpoints of one stack


@dataclass(frozen=True)
class SavedState:
    """Tensors by name, and the rest as JSON, which keeps numbers to the last bit."""

    tensors: dict[str, torch.Tensor]
    rest: dict[str, Any]


class Checkpoint:
    """One file for the replicas that are trained together, named by their fingerprint.

    The fingerprint covers configuration, seeds, data, the core's code and torch, so a file of that name
    fits. A process that is killed while it writes leaves the earlier file, and a partial one beside it.
    The file is a line of JSON, which holds the checksum of what follows, and then the tensors.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.file = folder / f"{fingerprint}.checkpoint"
        self.every = seconds("GROKKING_CHECKPOINT_SECONDS", EVERY_SECONDS)
        self.saved = time.monotonic()

    def load(self) -> SavedState | None:
        """What was saved last, or None. Raises ConfigError where the file is damaged."""
        if not self.file.exists():
            return None
        header, _, body = self.file.read_bytes().partition(b"\n")
        try:
            head = json.loads(header)
            if head["sha256"] != _checksum(head["rest"], body):
                raise ValueError
            return SavedState(load(body), head["rest"])
        except (ValueError, KeyError, TypeError, SafetensorError):
            raise ConfigError(
                f"the checkpoint {self.file} is damaged; remove it, and these replicas train from step 0"
            ) from None

    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() - self.saved >= self.every

    def save(self, state: SavedState) -> None:
        """Replace the file; whoever reads it sees the old one or the new one, never a part."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(f".{os.getpid()}")
        body = save({name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()})
        with partial.open("wb") as opened:
            head = {"sha256": _checksum(state.rest, body), "rest": state.rest}
            opened.write(json.dumps(head).encode() + b"\n" + body)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(self.file)
        self.saved = time.monotonic()


def _checksum(rest: Any, body: bytes) -> str:
    return hashlib.sha256(json.dumps(rest).encode() + body).hexdigest()
