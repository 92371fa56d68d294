"""What is measured: experiments of params.yaml, one of each family and way of drawing batches."""

from dataclasses import dataclass, replace
from pathlib import Path

from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.data.batches import batch_size
from grokking.data.tasks import Task, TaskConfig
from grokking.experiment import Replica, expand

ROOT = Path(__file__).parents[1]
CASES = (
    "adamw_transformer",
    "wide_mlp",
    "shared_mlp_published_f30",
    "embedding_mlp",
    "shared_mlp_f30",
    "numpy_mlp_momentum",
)


@dataclass(frozen=True)
class Case:
    """An experiment's first replica and its task."""

    name: str
    replica: Replica
    task: Task

    @property
    def is_numpy(self) -> bool:
        """Whether the plain loop is in NumPy, on the CPU only."""
        return self.replica.config.model.family == "numpy_mlp"

    @property
    def batch(self) -> int:
        """Examples per step."""
        return batch_size(self.replica.config.batch, self.train_equations)

    @property
    def train_equations(self) -> int:
        return self.task.train_size(self.replica.split_seed)

    def replicas(self, count: int) -> list[Replica]:
        """Replicas that differ in their seed only."""
        return [replace(self.replica, index=i, seed=self.replica.seed + i) for i in range(count)]


def prepare(name: str) -> Case:
    """A case by its name in params.yaml."""
    catalogue = read_catalogue(ROOT)
    replica = expand(catalogue.entry("experiments", name), f"experiments.{name}")[0]
    where = f"tasks.{replica.config.task}"
    task = tasks.build(load(TaskConfig, catalogue.entry("tasks", replica.config.task), where), where)
    return Case(name, replica, task)
