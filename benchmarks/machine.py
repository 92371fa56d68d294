"""What the figures were measured on."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from threadpoolctl import threadpool_info

from benchmarks import sgemm
from benchmarks.cases import Case
from benchmarks.page import Section
from benchmarks.timing import Settings
from grokking.executors.resources import cores

NO_GPU = "none here"
NOTE = """
Everything on one thread unless a table says otherwise. All loops in torch and NumPy run with the same
settings of the memory allocator, those of the engine's workers. The sgemm peaks are of square float32
matrices on one thread, the best of three sizes: torch.mm makes the plain loop's products, the engine takes
the library that is faster on the processor.
"""


@dataclass(frozen=True)
class Processor:
    """As Linux tells it; elsewhere the name only."""

    name: str
    vendor: str = ""
    family: str = ""
    model: str = ""
    stepping: str = ""
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What distinguishes kinds of processors: hypervisors often shorten the name."""
        return f"{self.name} family {self.family} model {self.model}" if self.family else self.name

    @property
    def avx512(self) -> str:
        return " ".join(flag for flag in self.flags if flag.startswith("avx512")) or "no"


def processor() -> Processor:
    """The first processor of this machine."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return Processor(platform.processor() or platform.machine())
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    return Processor(
        facts.get("model name", platform.machine()),
        facts.get("vendor_id", ""),
        facts.get("cpu family", ""),
        facts.get("model", ""),
        facts.get("stepping", ""),
        tuple(facts.get("flags", "").split()),
    )


def measure(cases: list[Case], settings: Settings) -> Section:
    """One row per fact."""
    used = processor()
    rows = {
        "processor": str(used),
        "vendor, stepping": f"{used.vendor}, {used.stepping}",
        "AVX-512": used.avx512,
        "cores": str(cores()),
        "load": load(),
        "sgemm peaks, GFLOP/s": _peaks(settings.device),
        "torch": f"{torch.__version__}, BLAS: {_torch_blas()}",
        "NumPy's BLAS": ", ".join(f"{blas['internal_api']} {blas['version']}" for blas in _loaded_blas()),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else NO_GPU,
        "measured on": settings.device,
    }
    return Section("Machine", pd.DataFrame(rows.items(), columns=["machine", ""]), NOTE)


def load() -> str:
    """How busy others keep the machine; nothing has been measured yet."""
    return f"{os.getloadavg()[0]:.1f} processes at work in the minute before"


def _peaks(device: str) -> str:
    return ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in sgemm.peaks(device).items())


def _torch_blas() -> str:
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found[1] if found else "unknown"


def _loaded_blas() -> list[dict[str, str]]:
    """Shared libraries only; torch's own may be part of it."""
    return [library for library in threadpool_info() if library["user_api"] == "blas"]
