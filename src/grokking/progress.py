"""One progress line per experiment, on a terminal only."""

from tqdm import tqdm

from grokking.experiment import Replica
from grokking.training.records import Evaluation


class Progress(tqdm):
    """Steps of all replicas against their budgets, the latest accuracies, replicas done, time left.

    A replica that finishes early counts as having used its whole budget, so the time left is an upper
    estimate that falls when one generalizes.
    """

    def __init__(self, name: str, replicas: list[Replica]) -> None:
        self.budget = {replica.index: replica.config.budget for replica in replicas}
        self.step = dict.fromkeys(self.budget, 0)
        self.done = 0
        hidden = None if replicas else True  # None: where the output is no terminal
        super().__init__(total=sum(self.budget.values()), desc=name, unit="step", disable=hidden)

    def show(self, evaluation: Evaluation) -> None:
        """Take one more evaluation into the line."""
        step = self.budget[evaluation.replica] if evaluation.finished else evaluation.step
        self.update(step - self.step[evaluation.replica])
        self.step[evaluation.replica] = step
        self.done += evaluation.finished
        self.set_postfix_str(
            f"replica {evaluation.replica} step {evaluation.step}: "
            f"train {evaluation.metrics['train_accuracy']:.3f} "
            f"validation {evaluation.metrics['validation_accuracy']:.3f}, "
            f"{self.done}/{len(self.budget)} done",
            refresh=False,
        )
