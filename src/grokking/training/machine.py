"""The machine that seconds are measured on."""

import platform
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Processor, torch's version and the GPU, None where there is none."""
    return {
        "processor": processor(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def processor() -> str:
    """The processor's name with its family and model, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in facts:
        return platform.machine()
    named = [f"{key} {facts[source]}" for key, source in NUMBERS.items() if source in facts]
    return " ".join([facts["model name"], *named])


NUMBERS = {"family": "cpu family", "model": "model"}
