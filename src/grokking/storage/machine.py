"""The machine that seconds are measured on."""

import platform
from pathlib import Path
from typing import Any

import torch

from grokking.training.pool import device


def machine() -> dict[str, Any]:
    """Processor, torch's version and the GPU, None where there is none."""
    return {
        "processor": processor(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def trains_on() -> str:
    """What replicas are trained on here: the name of the GPU, or of the processor."""
    return torch.cuda.get_device_name() if device() == "cuda" else processor()


def processor() -> str:
    """The processor's name with its family and model, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbers = {"family": facts.get("cpu family"), "model": facts.get("model")}
    return " ".join([name, *(f"{key} {number}" for key, number in numbers.items() if number is not None)])
