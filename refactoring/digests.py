"""Prints the digests of all that a refactoring must leave as it is, as JSON."""

import json
import os
import sys
from contextlib import redirect_stdout

from grokking.executors.process_settings import use_threads
from pipelines.common.stage import run
from refactoring.replicas import every_kind
from refactoring.stages import every_stage
from refactoring.tasks import every_task


def main() -> None:
    os.environ |= {"GROKKING_DEVICE": "cpu", "GROKKING_PROCESSES": "1"}  # with more, a search depends on luck
    use_threads(1)
    with redirect_stdout(sys.stderr):  # what stages say
        digests = every_task() | every_kind() | every_stage()
    print(json.dumps(digests, indent=1))


if __name__ == "__main__":
    run(main)
