"""Published records of time-to-grok beyond the five systems, and our runs of the same recipe."""

from dataclasses import dataclass

import pandas as pd

from grokking.analysis.results import median_and_range, summary


@dataclass(frozen=True)
class Record:
    """A published time-to-grok, as text since some are read off figures, and our run of the recipe."""

    setting: str
    experiment: str  # entry of `records` in params.yaml
    steps: str
    source: str


RECORDS = (
    Record(
        "quadratic MLP, 500 wide, squared error, AdamW with decay 5, a+b mod 97, f=0.5",
        "quadratic_mlp",
        "42, 1 seed",
        "https://github.com/d-doshi/Grokking",
    ),
    Record(
        "one-hot ReLU MLP 200-200, AdamW on ⟂Grad without decay, f=0.4; a+b mod 113 there, 97 here",
        "orthogonal_mlp",
        "about 110–130",
        "https://github.com/LucasPrietoAl/grokking-at-the-edge-of-numerical-stability",
    ),
    Record(
        "transformer 2×128×4, Muon, a+b mod 97, f=0.4",
        "muon_transformer",
        "75–100, evaluated every 25–50",
        "https://github.com/PeterPonyu/muon-norm-cap-grokking",
    ),
    Record(
        "the same transformer, AdamW with decay 1",
        "adamw_transformer",
        "500, 575, 600",
        "https://github.com/PeterPonyu/muon-norm-cap-grokking",
    ),
)


def record_table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per record that was run."""
    return pd.DataFrame([_row(r, summary(tables[r.experiment])) for r in RECORDS if r.experiment in tables])


def _row(record: Record, ours: dict) -> dict[str, str]:
    return {
        "recipe": record.setting,
        "published steps": f"[{record.steps}]({record.source})",
        "our median (range)": median_and_range(ours),
        "generalised": f"{ours['generalized']} of {ours['n']}",
        "experiment": f"`{record.experiment}`",
    }
