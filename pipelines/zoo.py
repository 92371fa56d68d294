"""Stage `zoo`: networks of the default study, of the records and of the controls, small enough for git."""

from collections.abc import Iterator

from grokking.catalogue import Catalogue, read_catalogue
from grokking.executors.process_settings import use_threads
from grokking.experiment import expand
from grokking.storage import runs, task_files
from grokking.zoo.making import Trained, make
from grokking.zoo.manifest import FOLDER
from pipelines.common.paths import RUNS, SNAPSHOTS, SPLITS
from pipelines.common.stage import run

GROUPS = ("systems", "records", "controls")


def main() -> None:
    use_threads(1)  # as in training; two beside a busy core take longer
    made = make(list(found(read_catalogue())), FOLDER)
    megabytes = sum(entry.bytes for entry in made.entries) / 1e6
    print(f"{FOLDER}: {len(made.entries)} networks, {megabytes:.1f} MB", flush=True)


def found(catalogue: Catalogue) -> Iterator[Trained]:
    """Every experiment of these groups that was trained; not grids, which have several configurations."""
    for name in (name for group in GROUPS for name in catalogue.names("experiments", group)):
        group = catalogue.group(name)
        folder, entry = RUNS / group / name, catalogue.entry("experiments", name)
        if runs.exists(folder) and not entry["replicas"]["grid"]:
            replicas, table = expand(entry, f"experiments.{name}"), runs.read(folder).replicas
            task = task_files.read(SPLITS / replicas[0].config.task)
            config = {key: value for key, value in entry.items() if key != "replicas"}
            in_steps = group == "records" or entry["role"] == "reproduction"
            yield Trained(name, group, config, replicas, task, table, SNAPSHOTS / group / name, in_steps)


if __name__ == "__main__":
    run(main)
