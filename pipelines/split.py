"""Stage `split`: the equations of one task and which of them are for training."""

import sys

from grokking.config import entry, load, read_params
from grokking.data import tasks
from grokking.data.identifiability import warning
from pipelines.stage import PARAMS, SPLITS, TASK_SECTIONS, named, run


def main() -> None:
    arguments = named(__doc__, TASK_SECTIONS).parse_args()
    name, section = arguments.name, arguments.section
    where = f"{section}.{name}"
    config = load(tasks.TaskConfig, entry(read_params(PARAMS), section, name), where)
    tasks.save(tasks.build(config, where), SPLITS / name)
    if text := warning(tasks.read_meta(SPLITS / name)):
        print(f"warning: {where}: {text}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
