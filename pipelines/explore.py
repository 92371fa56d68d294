"""Stage `explore`: the page on which one watches the networks of the default study learn."""

from grokking.analysis.published import PUBLISHED
from grokking.catalogue import Catalogue, read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import TaskConfig
from grokking.diagnostics import cyclic, snapshots
from grokking.experiment import expand
from grokking.explorer import frames, page
from grokking.explorer.live_recipe import LiveRecipe
from grokking.storage import runs
from pipelines.common.paths import CONFIRMED, RUNS, SNAPSHOTS, SPLITS
from pipelines.common.reports import REPORTS, write
from pipelines.common.stage import run
from pipelines.common.training import read_task

GROUP = "systems"
REPLICAS = 3  # of each experiment


def main() -> None:
    catalogue = read_catalogue()
    titles = {p.experiment: f"{p.system}: {p.setting}" for p in PUBLISHED if p.experiment}
    names = catalogue.names("experiments", GROUP)
    shown = [name for name in titles if name in names] or names
    experiments = [_experiment(catalogue, name, titles.get(name, name)) for name in shown]
    write({REPORTS / "explore.html": page.html(experiments, _live())})


def _experiment(catalogue: Catalogue, name: str, title: str) -> dict:
    replicas = expand(catalogue.entry("experiments", name), f"experiments.{name}")[:REPLICAS]
    task = read_task(catalogue, replicas, f"experiments.{name}")
    named = f"tasks.{replicas[0].config.task}"
    order = cyclic.order_of(load(TaskConfig, catalogue.entry(*named.split(".")), named))
    todo = snapshots.of_folder(SNAPSHOTS / GROUP / name, replicas, task, order)
    found = list(zip(replicas, frames.frames(todo), strict=True))
    return page.experiment(name, title, task, runs.read(RUNS / GROUP / name), found, [] if order is None else order.a.tolist())


def _live() -> LiveRecipe | None:
    folder = CONFIRMED / "quick" / "winner"
    if not runs.exists(folder):
        return None
    replicas = runs.read(folder).replicas
    return LiveRecipe.of(replicas, tasks.read(SPLITS / replicas["task"].iloc[0]))


if __name__ == "__main__":
    run(main)
