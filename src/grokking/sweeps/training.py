"""Networks of a sweep, trained as small stacks in worker processes.

A network of a sweep is so small that most of its step is the overhead of each operation, which a stack
pays once. How networks are packed changes no bit of what they compute.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from itertools import chain
from typing import Any

from grokking.sweeps.measures import row_of
from grokking.sweeps.networks import Network
from grokking.training.loop import train
from grokking.training.pool import device, processes, worker_pool
from grokking.training.records import Evaluation

STACK = 16  # networks of one stack on a CPU

Finished = tuple[Network, dict[str, Any]]


def train_networks(networks: Sequence[Network]) -> Iterator[Finished]:
    """Train every network; yields each with its row, soon after its stack has finished."""
    chosen = device()
    if chosen != "cpu":
        yield from chain.from_iterable(
            train_stack(stack, chosen) for stack in stacks(networks, len(networks))
        )
        return
    if not (todo := stacks(networks, STACK)):
        return
    with worker_pool(processes(len(todo))) as workers:
        running = [workers.submit(train_stack, stack, chosen) for stack in todo]
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
