"""What was published: numbers of the five systems that this laboratory is measured against, and records."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published time-to-grok in optimizer steps, and the experiment that answers it."""

    system: int
    setting: str
    experiment: str  # the entry of params.yaml with the same architecture and data
    step: int
    qualifier: str  # "" where the step was measured, ">" where it was not reached by then, "≥" for a bound
    source: str

    @property
    def title(self) -> str:
        """System and setting on two lines."""
        network, _, data = self.setting.partition(", ")
        return f"{self.system}: {network}\n{data}"

    @property
    def text(self) -> str:
        return f"{self.qualifier} {self.step:,}".strip()


ONE_HOT = "https://github.com/Dylan-Apeman/Grokking-in-Action"
EMBEDDING = "https://github.com/qalmaqihir/grokking-lab"
WIDE = "https://github.com/ChanceSiyuan/grokking"
TRANSFORMER = "https://arxiv.org/abs/2201.02177"
SHARED = "https://taot.hashnode.dev"
NORM_CAP = "https://github.com/PeterPonyu/muon-norm-cap-grokking"

# Studies of a published record (an entry of `records`) in place of a system
STUDY_RECORDS = {"quick": "quadratic_mlp"}

PUBLISHED = (
    # README, results at 40k steps: `grokking` preset, validation accuracy 0.000 throughout
    Published(0, "one-hot MLP by hand, a+b, f=0.30", "numpy_mlp_momentum", 40_000, ">", ONE_HOT),
    # runs/*.json of the p=97 run: 99 % at step 3600
    Published(1, "embedding MLP, a+b, f=0.50", "embedding_mlp", 3_600, "", EMBEDDING),
    # figure of the α=0, λ=1 run: 95 %, which is earlier than its 99 %
    Published(2, "2-layer one-hot MLP, a+b, f=0.30", "wide_mlp", 14_600, "", WIDE),
    # "tens or hundreds of thousands of steps (seed-dependent)" with Adam, no weight decay
    Published(3, "transformer, a/b, f=0.50", "transformer", 10_000, "≥", TRANSFORMER),
    # table of runs, first step with validation accuracy 0.99, seed 0
    Published(4, "shared embedding MLP, a+b, f=0.25", "shared_mlp_f25", 1_126_000, "", SHARED),
    Published(4, "shared embedding MLP, a+b, f=0.30", "shared_mlp_f30", 637_000, "", SHARED),
    Published(4, "shared embedding MLP, a+b, f=0.35", "shared_mlp_f35", 447_500, "", SHARED),
    Published(4, "shared embedding MLP, a+b, f=0.40", "shared_mlp_f40", 340_800, "", SHARED),
    Published(4, "shared embedding MLP, a+b, f=0.45", "shared_mlp_f45", 267_400, "", SHARED),
)


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
    Record("transformer 2×128×4, Muon, a+b mod 97, f=0.4",
           "muon_transformer", "75–100, evaluated every 25–50", NORM_CAP),
    Record("the same transformer, AdamW with decay 1", "adamw_transformer", "500, 575, 600", NORM_CAP),
)  # fmt: skip
