"""Times-to-grok that other repositories publish, their recipes here, what is unlike, and the verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from grokking.analysis.crossings import Crossings, first_at
from grokking.analysis.verdicts import of_bound, repeated
from grokking.storage.runs import Run

CLOSE = 2  # a median within this factor of a published step counts as reproduced
REPRODUCED = "reproduced within a factor of two"


@dataclass(frozen=True)
class Recipe:
    """A time-to-grok of another repository, and the preset that repeats its recipe."""

    setting: str
    preset: str  # the entry of the group `literature`
    step: int  # the median of the published runs, at their first evaluation with this accuracy
    qualifier: str  # "" where it was measured, "<" where it was reached by then, ">" where it was not
    threshold: float
    source: str
    note: str = ""  # on the published number
    point: Mapping[str, float] = field(default_factory=dict)  # of the preset's grid

    @property
    def text(self) -> str:
        note = f", {self.note}" if self.note else ""
        return f"{self.qualifier} {self.step:,} ({self.threshold:.0%}{note})".strip()


PSI = "https://github.com/AgentTorch/psi/blob/main/results/summary.json"
PRIETO = "https://github.com/LucasPrietoAl/grokking-at-the-edge-of-numerical-stability/issues/8"
GROKFAST = "https://github.com/ironjr/grokfast"
PORTH = "https://github.com/porth-bot/grokking-transformer"
STOCKEH = "https://github.com/stockeh/mlx-grokking"
NOAILLESSS = "https://github.com/Noaillesss/grokking/blob/main/plot_fig1.py"
LEODREAMER = (
    "https://github.com/LeoDreamer2004/Modular-Addition/blob/main/code/result/transformer/"
    "accuracy-adamw-0.5-2-decay.txt"
)
PONYU = "https://github.com/PeterPonyu/muon-norm-cap-grokking"
CLIJO = "https://github.com/clijo/grokking"
NA00S = "https://github.com/Na00s/muon-grokking"
TAOT = "https://github.com/taot/grokking-lab/tree/main/runs/transformer_progress_measures_ablation"
BILLENERT = "https://github.com/billenert/nanda-grokking-reproduction"


def _psi(decay: float, step: int, qualifier: str = "", note: str = "1 run") -> Recipe:
    """A weight decay of the grid of AgentTorch/psi."""
    setting = f"one-hot MLP 128-128, a+b mod 97, f=0.50, AdamW, decay {decay:g}"
    preset = "psi_mlp" if decay >= 0.5 else "psi_mlp_weak"
    return Recipe(setting, preset, step, qualifier, 0.95, PSI, note, {"optimizer.weight_decay": decay})


LITERATURE = (
    Recipe("one-hot MLP 200-200, a+b mod 113, f=0.40, AdamW, decay 8", "prieto_mlp", 200, "<", 0.99, PRIETO,
           "taken here since none is named, 1 run"),
    _psi(0.0, 5000, ">"),
    _psi(0.1, 5000, ">"),
    _psi(0.5, 4000),
    _psi(1.0, 2300, note="2,300 and 2,650 in two sweeps"),
    _psi(2.0, 1250),
    _psi(5.0, 800),
    Recipe("transformer 2×128×4, a·b mod 97, f=0.50, Adam, Grokfast-EMA", "grokfast_ema", 910, "", 0.95,
           GROKFAST, "1 run"),
    Recipe("the same transformer, Grokfast-MA", "grokfast_ma", 790, "", 0.95, GROKFAST, "1 run"),
    Recipe("transformer 1×128×4, a+b mod 97, f=0.30, AdamW", "porth_transformer", 1300, "", 0.99, PORTH,
           "1,200–1,900 in 5 runs"),
    Recipe("transformer 2×128×1 with RMSNorm, SwiGLU, rotary positions, a/b mod 97, f=0.50, AdamW",
           "stockeh_transformer", 1240, "", 0.99, STOCKEH, "read off the figure of 1 run"),
    Recipe("post-norm transformer 2×128×4, a+b mod 97, f=0.50, AdamW", "noaillesss_transformer", 1270, "",
           0.99, NOAILLESSS, "127 epochs, 1 run"),
    Recipe("LSTM 2×128, a+b mod 97, f=0.50, AdamW", "noaillesss_lstm", 2660, "", 0.99, NOAILLESSS,
           "266 epochs, 1 run"),
    Recipe("normed MLP 512-512 on embeddings, a+b mod 97, f=0.50, AdamW, decay 0.01", "noaillesss_mlp",
           41_260, "", 0.99, NOAILLESSS, "4,126 epochs, 1 run"),
    Recipe("transformer 1×512×4 with an MLP of 256, a+b mod 97, f=0.50, AdamW, clipping, StepLR",
           "leodreamer_transformer", 11_360, "", 0.99, LEODREAMER, "1,136 epochs, 1 run"),
    Recipe("transformer 2×256×4, product of S5, f=0.50, Muon", "s5_muon", 300, "", 0.95, PONYU,
           "5 runs, evaluated every 100"),
    Recipe("the same transformer, AdamW", "s5_adamw", 900, "", 0.95, PONYU,
           "700–1,100 in 5 runs, evaluated every 100"),
    Recipe("bidirectional transformer 1×64×4, a+b mod 113, f=0.20, AdamW", "clijo_transformer", 25_200, "",
           0.95, CLIJO, "8,400 epochs, read off the figure of 1 run"),
    Recipe("transformer 1×128×4 without norms, a+b mod 113, f=0.30, Muon", "na00s_muon", 5400, "", 0.95,
           NA00S, "5,300–5,400 in 5 runs"),
    Recipe("the same transformer, AdamW, decay 3", "na00s_adamw", 8300, "", 0.95, NA00S,
           "4,000–11,700 in 5 runs"),
    Recipe("transformer 1×128×4 without norms, a+b mod 113, f=0.30, AdamW, decay 1", "taot_transformer",
           21_800, "", 0.99, TAOT, "1 run, evaluated every 200"),
    Recipe("the same transformer with norms", "taot_norms", 7400, "", 0.99, TAOT,
           "1 run, evaluated every 200"),
    Recipe("the same transformer without \"=\"", "taot_no_equals", 6400, "", 0.99, TAOT,
           "1 run, evaluated every 200"),
    Recipe("transformer 2×128×4 without positions, a+b mod 113, f=0.30, AdamW, decay 0.001",
           "billenert_transformer", 54_000, "", 0.99, BILLENERT, "1 run"),
)  # fmt: skip

_FIRST_TOKENS = 'The original can answer with the operator and "=".'
UNLIKE = {  # of each preset: what cannot be said here; random numbers are others everywhere
    "prieto_mlp": "One equation more is for training here. Numbers below float32's normal range are 0 here.",
    "psi_mlp": "Nothing; followed for 10,000 steps here, for 5,000 there.",
    "psi_mlp_weak": "Nothing.",
    "grokfast_ema": "b = 0 is left out there: 9,312 equations, here 9,409. Attention is added to its normed "
    "input there, to the input itself here. Both blocks begin equal here. The first update of the warm-up "
    f"has a rate of 0 there. {_FIRST_TOKENS}",
    "grokfast_ma": "As with EMA.",
    "porth_transformer": "Weights are normal with a standard deviation of 0.02 there; here they are uniform "
    "with one of 0.051, in the MLP's second matrix 0.026. Attention has no biases there.",
    "stockeh_transformer": "Dropout of 0.2 is missing here. Adam's moments are not corrected for their start "
    "there. Rotary positions turn neighbours by frequencies down to 1e-6 there, halves and 1e-4 here. "
    f"{_FIRST_TOKENS}",
    "noaillesss_transformer": "One more LayerNorm follows the last block there. Both blocks begin equal "
    f"here. The warm-up rises once per epoch there, with each step here. {_FIRST_TOKENS}",
    "noaillesss_lstm": f"The warm-up rises once per epoch there, with each step here. {_FIRST_TOKENS}",
    "noaillesss_mlp": 'Operator, "=" and positions are embedded, too, there: they add the same to every '
    "example, which the first bias does here. So the first layer has 512 inputs there, and 256 here, and its "
    "initial weights are smaller by √2. The warm-up rises once per epoch there, with each step here. "
    f"{_FIRST_TOKENS}",
    "leodreamer_transformer": "Products are in TF32 there. Tokens are one-hot there and go through a layer "
    "with a bias; here they are embedded, normal with the same variance. The MLP's second matrix has no bias "
    f"there. {_FIRST_TOKENS}",
    "s5_muon": "Weights are normal with a standard deviation of 0.02 there; here they are uniform with one "
    "of 0.036, in the MLP's second matrix 0.018. Muon takes queries, keys and values as one matrix there, "
    'and iterates in bfloat16. The original can answer with "=".',
    "s5_adamw": "As with Muon, but for what is said of Muon.",
    "clijo_transformer": "One equation more is for training here. No norm stands before the readout there.",
    "na00s_muon": "One equation more is for training here. The readout has a rate of its own there, a "
    "quarter of the embeddings'. Muon takes queries, keys and values as one matrix there.",
    "na00s_adamw": "One equation more is for training here.",
    "taot_transformer": "One equation more is for training here. Attention has no biases there.",
    "taot_norms": "As without norms. No norm stands before the readout there.",
    "taot_no_equals": 'As with "=".',
    "billenert_transformer": "Batches are of 4,096 there, here of 3,831, the number of training equations. "
    "Weights are normal with a standard deviation of 0.02 there; here they are uniform with one of 0.051, in "
    "the MLP's second matrix 0.026. Attention has no biases there.",
}


def judged(runs: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Every published number, the first crossings of its preset and the verdict."""
    return [_judged(recipe, first_at(repeated(recipe, runs), recipe.threshold)) for recipe in LITERATURE]


def _judged(recipe: Recipe, found: Crossings) -> dict[str, Any]:
    median = found.median
    return {
        "setting": recipe.setting,
        "preset": recipe.preset,
        "published": recipe.text,
        "source": recipe.source,
        "step": recipe.step,
        "qualifier": recipe.qualifier,
        "threshold": recipe.threshold,
        "first_crossing": found.numbers(),
        "factor": None if median is None else median / recipe.step,
        "verdict": verdict(recipe, found),
    }


def verdict(recipe: Recipe, found: Crossings) -> str:
    """Reproduced within a factor of two or not, by the median over the published step."""
    if not len(found.times):
        return "not run"
    step, longest = recipe.step, found.times.max()
    followed = step if recipe.qualifier == ">" else CLOSE * step
    if found.median is None and longest < followed:
        return f"not run to {followed:,}"
    if recipe.qualifier == ">":
        return of_bound(step, found)
    if found.median is None:
        return "not reproduced"
    factor = found.median / step
    if factor <= CLOSE and (recipe.qualifier == "<" or factor >= 1 / CLOSE):
        return REPRODUCED
    return f"{factor:.1f} times later" if factor > 1 else f"{1 / factor:.1f} times earlier"


def verdict_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A line per published number, as text."""
    return pd.DataFrame([_line(row) for row in rows])


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "recipe": row["setting"],
        "published": f"[{row['published']}]({row['source']})",
        "here: median (range)": Crossings.text_of(row["first_crossing"]),
        "factor": "—" if row["factor"] is None else f"{row['factor']:.2f}",
        "verdict": row["verdict"],
        "entry": f"`{row['preset']}`",
    }


def unlike_table() -> pd.DataFrame:
    """What is unlike the original in each preset."""
    return pd.DataFrame([{"entry": f"`{name}`", "what is unlike": text} for name, text in UNLIKE.items()])


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many numbers and presets there are that were run, and how many of them are reproduced."""
    run = [row for row in rows if row["first_crossing"]["n"]]
    good = [row for row in run if row["verdict"].startswith("reproduced")]
    presets = {row["preset"] for row in run}
    return {
        "published": len(rows),
        "run": len(run),
        "reproduced": len(good),
        "presets": len(presets),
        "presets_reproduced": len(presets - {row["preset"] for row in run if row not in good}),
    }
