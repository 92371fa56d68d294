"""Stage `confirm`: what a search chose, beside the published configuration, on fresh seeds and splits."""

import shutil

from grokking.catalogue import read_catalogue
from grokking.search.config import read_study
from grokking.search.results import confirmation_arms, left_over, read_best
from pipelines.common.paths import CONFIRMED, SEARCHES
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import named_task, train


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    catalogue, where = read_catalogue(), f"studies.{name}"
    plan = read_study(catalogue.entry("studies", name), name, where)
    task = named_task(catalogue, str(plan.config.experiment["task"]), where)
    plan.require_fit(task)
    arms = confirmation_arms(plan, read_best(SEARCHES / name))
    for folder in left_over(CONFIRMED / name, arms):
        shutil.rmtree(folder)
    for arm, replicas in arms.items():
        train(f"{name}_{arm}", "studies", replicas, task, CONFIRMED / name / arm)


if __name__ == "__main__":
    run(main)
