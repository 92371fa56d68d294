"""The name of what computes."""

import platform
from functools import cache
from pathlib import Path

import torch


def computes_on(device: str) -> str:
    """The name of the GPU or of the processor that jobs of this process compute on."""
    return torch.cuda.get_device_name() if device == "cuda" else processor()


@cache
def processor() -> str:
    """The processor's name with its family and model, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbers = {"family": facts.get("cpu family"), "model": facts.get("model")}
    return " ".join([name, *(f"{key} {number}" for key, number in numbers.items() if number is not None)])
