"""The machine that seconds are measured on."""

from typing import Any

import torch

from grokking.executors.processor import processor


def machine() -> dict[str, Any]:
    """Processor, torch's version and the GPU, None where there is none."""
    return {
        "processor": processor(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
