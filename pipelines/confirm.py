"""Stage `confirm`: what a search chose, beside the published configuration, on fresh seeds and splits."""

from typing import Any

from ruamel.yaml import YAML

from grokking.config import ConfigError, entry, read_params
from grokking.experiment import Replica
from grokking.search.config import StudyPlan, read_study
from pipelines.stage import CONFIRMED, PARAMS, SEARCHES, STUDY_SECTIONS, named, run
from pipelines.training import read_task, train


def main() -> None:
    arguments = named(__doc__, STUDY_SECTIONS).parse_args()
    name, section = arguments.name, arguments.section

    params = read_params(PARAMS)
    plan = read_study(entry(params, section, name), name, f"{section}.{name}")
    for arm, replicas in arms(plan, read_best(name)).items():
        task = read_task(params, replicas, f"{plan.where}.confirm")
        train(f"{name}_{arm}", section, replicas, task, CONFIRMED / name / arm, snapshots=False)


def read_best(name: str) -> dict[str, Any]:
    file = SEARCHES / name / "best.yaml"
    if not file.exists():
        raise ConfigError(f"{file} does not exist; run `dvc repro search@{name}` first")
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def arms(plan: StudyPlan, best: dict[str, Any]) -> dict[str, list[Replica]]:
    """The replicas of each arm: what the search chose, and what was published."""
    found = {arm: plan.replicas(chosen["values"], plan.config.confirm) for arm, chosen in best.items()}
    return found | ({"published": plan.published(plan.config.confirm)} if plan.config.published else {})


if __name__ == "__main__":
    run(main)
