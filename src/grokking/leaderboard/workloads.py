"""The workloads of a version of the benchmark: a network, its task, its loss, and a budget each."""

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from grokking.catalogue import read_yaml
from grokking.config import STRICT, PositiveInt, Steps, load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig

FILE = "leaderboard/v{version}.yaml"
SPLITS = 100  # of each task, by their seeds


@dataclass(frozen=True, config=STRICT)
class Rules:
    """How many trials a rule has, and for how long."""

    trials: PositiveInt  # of a study, each with a seed and at a point of the rule's space; the fastest counts
    studies: PositiveInt  # of a submission; the median counts
    self_tuning_budget: float  # budgets that a rule without hyperparameters has
    ratio: float  # of the slowest time that still counts to the fastest
    held_out_seed: int | None  # of the draw of held-out variants; null until they are drawn


@dataclass(frozen=True, config=STRICT)
class TargetRules:
    """How the target of a workload is found: what a thorough search comes to."""

    baselines: list[str]  # submissions, each tried at points of its space
    trials: PositiveInt  # of each baseline
    finalists: PositiveInt  # the fastest trials, trained again on other seeds
    reruns: PositiveInt  # of each finalist; the target is the lowest median


@dataclass(frozen=True, config=STRICT)
class WorkloadConfig:
    """What is fixed. `experiment` is an experiment without its training rule, seeds and budget."""

    operation: dict[str, Any]
    train_fraction: float
    budget: Steps  # updates by which generalization must begin; a falling rate ends there
    experiment: dict[str, Any]


@dataclass(frozen=True, config=STRICT)
class BenchmarkConfig:
    rules: Rules
    targets: TargetRules
    defaults: dict[str, Any]  # of all experiments
    workloads: dict[str, WorkloadConfig]
    leak_check: WorkloadConfig  # on a table without a law: what generalizes here has seen the answers


@plain_dataclass(frozen=True)
class Workload:
    """A workload of the file, or a held-out variant of one."""

    name: str
    config: WorkloadConfig
    defaults: Mapping[str, Any]
    variant_of: str = ""  # the workload of the file that it is drawn from
    changed: str = ""  # what the variant changes, for people

    @property
    def title(self) -> str:
        """Its name; of a variant that of the workload that it varies, and what it changes."""
        return f"{self.variant_of}, {self.changed}" if self.variant_of else self.name

    @property
    def budget(self) -> int:
        return self.config.budget

    def experiment(self, budget: int) -> dict[str, Any]:
        """The experiment without a training rule and without seeds."""
        named = {"system": "none", "role": "variant", "task": self.name, "budget": budget}
        return {**self.defaults, **self.config.experiment, **named}

    @cached_property
    def task(self) -> Task:
        """The table and its splits."""
        mapping = {
            "operation": self.config.operation,
            "labels": {"name": "exact"},
            "split": {"name": "random", "train_fraction": self.config.train_fraction},
            "split_seeds": list(range(SPLITS)),
        }
        where = f"workloads.{self.name}"
        return tasks.build(load(TaskConfig, mapping, where), where)


@plain_dataclass(frozen=True)
class Benchmark:
    """A version of the benchmark, and the checkout that holds its submissions and results."""

    root: Path
    version: int
    rules: Rules
    targets: TargetRules
    workloads: dict[str, Workload]
    leak_check: Workload


def read_benchmark(root: Path, version: int) -> Benchmark:
    """The benchmark as its file has it; ConfigError for what is unknown or out of range."""
    file = Path(FILE.format(version=version))
    config = load(BenchmarkConfig, read_yaml(root / file, file), str(file))
    workloads = {key: Workload(key, own, config.defaults) for key, own in config.workloads.items()}
    leak_check = Workload("latin_square", config.leak_check, config.defaults)
    return Benchmark(root, version, config.rules, config.targets, workloads, leak_check)
