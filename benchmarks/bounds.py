"""Where a step's time goes: what is left to gain beside the matrix products."""

import pandas as pd
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.cases import Case
from benchmarks.ours import make_stack
from benchmarks.page import Section
from benchmarks.timing import Settings

STEPS = 20
OTHERS_SHOWN = 5
REST = "kernels and Python"  # what is in no operation of torch
PRODUCTS = {
    "aten::bmm", "aten::baddbmm", "aten::baddbmm_", "aten::mm", "aten::addmm", "mkldnn::_linear_pointwise",
}  # fmt: skip

NOTE = """
Shares of the time of our step, by torch's profiler, which makes small operations look slower than they are:
matrix products, then the next five. No step can be shorter than its products at the peak rate; the rest is
element-wise work, bound by memory, and the cost of the calls. *Kernels and Python* is time outside torch's
operations: in the compiled kernels, and between operations.
"""


def measure(cases: list[Case], settings: Settings) -> Section:
    """One row per case in torch."""
    rows = [_row(case, settings) for case in cases if not case.is_numpy]
    return Section("Where a step's time goes", pd.DataFrame(rows), NOTE)


def _row(case: Case, settings: Settings) -> dict[str, str]:
    shares = _shares(case, settings.device)
    products = shares[shares.index.isin(PRODUCTS)].sum()
    others = shares[~shares.index.isin(PRODUCTS)].nlargest(OTHERS_SHOWN)
    named = ", ".join(f"{str(name).removeprefix('aten::')} {share:.0%}" for name, share in others.items())
    return {"case": f"`{case.name}`", "matrix products": f"{products:.0%}", "next": named}


def _shares(case: Case, device: str) -> pd.Series:
    """Each operation's share of the time, without the operations it calls."""
    stack = make_stack([case.replica], case.task, device)
    stack.update(STEPS)
    activity = ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiled, record_function(REST):
        stack.update(STEPS)
    averages = profiled.key_averages()
    times = [
        (e.key, e.self_device_time_total if device == "cuda" else e.self_cpu_time_total) for e in averages
    ]
    total = pd.Series(dict(times), dtype=float)
    return total / total.sum()
