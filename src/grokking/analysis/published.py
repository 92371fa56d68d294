"""What was published: numbers of the five systems that this laboratory is measured against, and records."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """A single run that was published, the preset that repeats it, and our own answer to it."""

    system: int
    setting: str
    preset: str  # the entry of the group `published` that repeats it
    step: int  # the first evaluation with a validation accuracy of at least `threshold`
    qualifier: str  # "" where the step was measured, ">" where it was not reached by then, "≥" for a bound
    source: str
    memorized: int | None  # the first evaluation with a training accuracy of 99 %, where it was published
    threshold: float = 0.99
    point: Mapping[str, float] = field(default_factory=dict)  # of the preset's grid
    experiment: str = ""  # the entry of params.yaml with the same architecture and data, where there is one

    @property
    def title(self) -> str:
        """System and setting on two lines."""
        network, _, data = self.setting.partition(", ")
        return f"{self.system}: {network}\n{data}"

    @property
    def text(self) -> str:
        return f"{self.qualifier} {self.step:,}".strip()

    @property
    def with_threshold(self) -> str:
        """A bound comes from a sentence that names no accuracy."""
        return self.text if self.qualifier == "≥" else f"{self.text} ({self.threshold:.0%})"


ONE_HOT = "https://github.com/Dylan-Apeman/Grokking-in-Action"
EMBEDDING = "https://github.com/qalmaqihir/grokking-lab"
WIDE = "https://github.com/ChanceSiyuan/grokking"
TRANSFORMER = "https://arxiv.org/abs/2201.02177"
SHARED = "https://github.com/taot/grokking-lab"
NORM_CAP = "https://github.com/PeterPonyu/muon-norm-cap-grokking"

# Studies of a published record (an entry of `records`) in place of a system
STUDY_RECORDS = {"quick": "quadratic_mlp"}

# What each number is, and how the original was configured: docs/published.md
PUBLISHED = (
    # README, results at 40k steps: validation accuracy 0.000 throughout
    Published(0, "one-hot MLP by hand, a+b, f=0.30, no decay", "numpy_mlp_baseline", 40_000, ">", ONE_HOT,
              4_600),
    Published(0, "one-hot MLP by hand, a+b, f=0.30", "numpy_mlp_grokking", 40_000, ">", ONE_HOT, 7_800,
              experiment="numpy_mlp_momentum"),
    # runs/*/log.json of the runs with p=97 and p=59, an evaluation every 200 steps
    Published(1, "embedding MLP, a+b, f=0.50", "embedding_mlp_published", 3_600, "", EMBEDDING, 2_000,
              experiment="embedding_mlp"),
    Published(1, "embedding MLP, a+b mod 59, f=0.50", "embedding_mlp_published_p59", 2_800, "", EMBEDDING,
              400),
    # figure of the α=0, λ=1 run, an evaluation every 100 steps
    Published(2, "2-layer one-hot MLP, a+b, f=0.30", "wide_mlp_published", 14_600, "", WIDE, 200, 0.95,
              {"model.alpha": 0.0, "optimizer.weight_decay": 1.0}, "wide_mlp"),
    # "tens or hundreds of thousands of steps (seed-dependent)" with Adam, no weight decay
    Published(3, "transformer, a/b, f=0.50", "transformer_paper_late", 10_000, "≥", TRANSFORMER, None,
              experiment="transformer"),
    # runs/mlp/*/*/metrics.jsonl, seed 0, an evaluation every 200 steps, or 500 up to f=0.35
    Published(4, "shared embedding MLP, a+b, f=0.25", "shared_mlp_published_f25", 1_126_000, "", SHARED, 500,
              experiment="shared_mlp_f25"),
    Published(4, "shared embedding MLP, a+b, f=0.30", "shared_mlp_published_f30", 637_000, "", SHARED, 500,
              experiment="shared_mlp_f30"),
    Published(4, "shared embedding MLP, a+b, f=0.35", "shared_mlp_published_f35", 447_500, "", SHARED, 500,
              experiment="shared_mlp_f35"),
    Published(4, "shared embedding MLP, a+b, f=0.40", "shared_mlp_published_f40", 340_800, "", SHARED, 600,
              experiment="shared_mlp_f40"),
    Published(4, "shared embedding MLP, a+b, f=0.45", "shared_mlp_published_f45", 267_400, "", SHARED, 600,
              experiment="shared_mlp_f45"),
    Published(4, "shared embedding MLP, a+b, f=0.50", "shared_mlp_published_f50", 200_000, ">", SHARED, 800),
)  # fmt: skip


def main_experiments(replicas: Mapping[str, Sized]) -> list[Published]:
    """Of each system the published number that is answered with most replicas; these are by experiment."""
    answered = [published for published in PUBLISHED if published.experiment in replicas]
    shown = {p.system: p for p in sorted(answered, key=lambda p: len(replicas[p.experiment]))}
    return [shown[system] for system in sorted(shown)]


@dataclass(frozen=True)
class Record:
    """A published time-to-grok beyond the five systems, and our run of the recipe."""

    setting: str
    experiment: str  # of the group `records`
    steps: str  # as text, since some are read off figures
    source: str


RECORDS = (
    Record("quadratic MLP, 500 wide, squared error, AdamW with decay 5, a+b mod 97, f=0.5",
           "quadratic_mlp", "42, 1 seed", "https://github.com/d-doshi/Grokking"),
    Record("one-hot ReLU MLP 200-200, AdamW on ⟂Grad without decay, f=0.4; a+b mod 113 there, 97 here",
           "orthogonal_mlp", "about 110–130",
           "https://github.com/LucasPrietoAl/grokking-at-the-edge-of-numerical-stability"),
    Record("transformer 2×128×4, Muon, a+b mod 97, f=0.4; batches of 512 here, all equations there",
           "muon_transformer", "75–100, evaluated every 25–50", NORM_CAP),
    Record("the same transformer on all training equations, tuned here",
           "muon_transformer_full", "75–100, evaluated every 25–50", NORM_CAP),
    Record("the same transformer, AdamW with decay 1", "adamw_transformer", "500, 575, 600", NORM_CAP),
    Record("transformer, Muon, products in S₅, f=0.5; 2×256×4 there, 1×128×4 tuned here",
           "muon_permutations_full", "300–400, evaluated every 100", NORM_CAP),
)  # fmt: skip
