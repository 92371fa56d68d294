"""Networks of a sweep, trained as small stacks.

A network of a sweep is so small that most of its step is the overhead of each operation, which a stack
pays once. How networks are packed changes no bit of what they compute.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from typing import Any

from grokking.executors.executor import executor
from grokking.sweeps.measures import row_of
from grokking.sweeps.networks import Network
from grokking.training.loop import train
from grokking.training.records import Evaluation

STACK = 16  # networks of one stack on a CPU; on a GPU it is as large as can be

Finished = tuple[Network, dict[str, Any]]


def train_networks(networks: Sequence[Network]) -> Iterator[Finished]:
    """Train every network; yields each with its row, soon after its stack has finished."""
    if not networks:
        return
    with executor(len(stacks(networks, STACK))) as workers:
        size = STACK if workers.device == "cpu" else math.ceil(len(networks) / workers.workers)
        running = [workers.submit(train_stack, stack, workers.device) for stack in stacks(networks, size)]
        for done in as_completed(running):
            yield from done.result()


def stacks(networks: Sequence[Network], size: int) -> list[list[Network]]:
    """Networks of one shape and task together, at most `size` of them."""
    by_key: dict[str, list[Network]] = defaultdict(list)
    for network in networks:
        by_key[network.stack_key()].append(network)
    return [own[i : i + size] for own in by_key.values() for i in range(0, len(own), size)]


def train_stack(stack: Sequence[Network], on: str) -> list[Finished]:
    """Train networks of one shape; their rows."""
    evaluations: dict[int, list[Evaluation]] = defaultdict(list)
    for evaluation in train([network.replica for network in stack], stack[0].task, on, snapshots=False):
        evaluations[evaluation.replica].append(evaluation)
    return [(network, row_of(network, evaluations[network.replica.index])) for network in stack]
