"""What is measured: experiments of params.yaml, one of each family and way of drawing batches."""

from dataclasses import dataclass, replace
from pathlib import Path

from grokking.config import entry, load, read_params
from grokking.data import tasks
from grokking.data.batches import batch_size
from grokking.data.tasks import Task, TaskConfig
from grokking.experiment import Replica, expand

PARAMS = Path(__file__).parents[1] / "params.yaml"
SECTIONS = {
    "adamw_transformer": "records",
    "wide_mlp": "experiments",
    "shared_mlp_published_f30": "published",
    "embedding_mlp": "experiments",
    "shared_mlp_f30": "experiments",
    "numpy_mlp_momentum": "experiments",
}


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
        return int(self.task.train_mask(self.replica.split_seed).sum())

    def replicas(self, count: int) -> list[Replica]:
        """Replicas that differ in their seed only."""
        return [replace(self.replica, index=i, seed=self.replica.seed + i) for i in range(count)]


def prepare(name: str) -> Case:
    """A case by its name in params.yaml."""
    params, section = read_params(PARAMS), SECTIONS[name]
    replica = expand(entry(params, section, name), f"{section}.{name}")[0]
    where = f"tasks.{replica.config.task}"
    task = tasks.build(load(TaskConfig, entry(params, "tasks", replica.config.task), where), where)
    return Case(name, replica, task)
