"""Stage `search`: an Optuna study of one entry of `studies`; killed and started again, it goes on."""

from grokking.catalogue import Catalogue, read_catalogue
from grokking.config import load
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.search import results
from grokking.search.config import StudyPlan, random_arm, read_study
from grokking.search.monitored_task import monitored
from grokking.search.storage import Storage
from grokking.search.study import max_flops, max_trials
from pipelines.common.paths import SEARCHES, STUDIES
from pipelines.common.stage import entry_parser, run
from pipelines.common.training import named_task


def main() -> None:
    parser = entry_parser(__doc__)
    parser.add_argument(
        "--storage",
        help="any Optuna storage URL, or that of a study server; without it a file under studies/",
    )
    arguments = parser.parse_args()
    name, catalogue = arguments.name, read_catalogue()
    plan = read_study(catalogue.entry("studies", name), name, f"studies.{name}")
    task = monitored(task_of(plan, catalogue))
    named = f"tasks.{plan.config.experiment['task']}"
    order = cyclic.order_of(load(TaskConfig, catalogue.entry(*named.split(".")), named))

    storage = Storage(STUDIES, arguments.storage)
    with storage.in_use():
        arms = {"search": results.search(plan, task, order, storage, max_trials(plan.config.trials))}
        if plan.config.random_baseline:
            compute = max_flops(results.flops(arms["search"], plan))
            arms["random"] = results.search(random_arm(plan), task, order, storage, compute)
        results.write(arms, plan, task, SEARCHES / name)


def task_of(plan: StudyPlan, catalogue: Catalogue) -> Task:
    """The task of a study; refuses before hours of search what could not be trained or confirmed on it."""
    task = named_task(catalogue, str(plan.config.experiment["task"]), plan.where)
    plan.require_fit(task)
    return task


if __name__ == "__main__":
    run(main)
