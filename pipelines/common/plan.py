"""Which stages `dvc repro` would look at, what each of them waits for, and which have changed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage

from grokking.config import ConfigError


@dataclass(frozen=True)
class Plan:
    """Stages with all that they need, in the order in which `dvc repro` would run them one by one."""

    stages: list[Stage]
    needs: dict[Stage, set[Stage]]  # those that must have ended before a stage can start
    changed: set[Stage]  # those that DVC would run even if no other stage ran


def read_plan(targets: Sequence[str]) -> Plan:
    """The plan for stages and files of stages that are named as for `dvc repro`."""
    if not all(target.strip(" :") for target in targets):
        raise ConfigError("a target is empty; write a stage, such as train@wide_mlp, or leave it out")
    try:
        repo = Repo(_wait_for_lock=True)
        with lock_repo(repo):
            return _plan(repo, targets)
    except DvcException as error:
        raise ConfigError(_message(error, targets)) from None


def _message(error: DvcException, targets: Sequence[str]) -> str:
    """What is wrong: a lock file, which nobody writes by hand, or anything else."""
    file = os.path.normpath(getattr(error, "path", ""))
    if file.endswith(".lock"):
        return f"{file} is damaged; restore it (`git checkout -- {file}`), and the same command goes on"
    return f"the targets {', '.join(targets)} are no plan for DVC: {error}; `dvc stage list --all` names all"


def _plan(repo: Repo, targets: Sequence[str]) -> Plan:
    graph = get_active_graph(repo.index.graph)
    stages = plan_repro(graph, collect_stages(repo, targets))
    needs = {stage: set(graph.successors(stage)) for stage in stages}
    return Plan(stages, needs, {stage for stage in stages if stage.changed()})
