"""What `dvc repro` does, with independent stages side by side.

Targets are named as for `dvc repro`: a stage, such as train@wide_mlp or extended/dvc.yaml:zoo, or a file of
stages, such as extended/dvc.yaml. What they need runs first. Ctrl-C ends all of it; the same command goes on.
"""

import argparse

from pipelines.common.capacity import number_of_jobs, of_this_machine
from pipelines.common.lock_files import in_order
from pipelines.common.plan import read_plan
from pipelines.common.side_by_side import SideBySide
from pipelines.common.stage import Parser, run
from pipelines.common.stage_process import heed_signals
from pipelines.common.timed import measuring_seconds


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "targets", nargs="*", default=["dvc.yaml"], metavar="TARGET", help="default: dvc.yaml"
    )
    help_text = "stages at once at most; default: as many as cores and memory allow"
    parser.add_argument("--jobs", metavar="N", help=help_text)
    arguments = parser.parse_args()
    jobs = number_of_jobs(arguments.jobs)
    heed_signals()
    plan = read_plan(arguments.targets)
    if not plan.changed:
        print(f"{len(plan.stages)} stages, none of them changed")
        return
    names = [stage.addressing for stage in plan.stages]
    capacity = of_this_machine(jobs, measuring_seconds(names))
    print(
        f"{len(names)} stages, {len(plan.changed)} of them changed; at most {capacity.jobs} at once",
        flush=True,
    )
    with in_order(plan.stages):
        SideBySide(plan, capacity).run()


if __name__ == "__main__":
    run(main)
