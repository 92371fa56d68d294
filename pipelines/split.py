"""Stage `split`: the equations of one task and which of them are for training."""

import sys

from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.identifiability import warning
from grokking.storage import task_files
from pipelines.common.paths import SPLITS
from pipelines.common.stage import entry_parser, run


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    where = f"tasks.{name}"
    config = load(tasks.TaskConfig, read_catalogue().entry("tasks", name), where)
    task_files.save(tasks.build(config, where), SPLITS / name)
    if text := warning(task_files.read_meta(SPLITS / name)):
        print(f"warning: {where}: {text}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
