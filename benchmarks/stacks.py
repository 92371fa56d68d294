"""How many replicas a machine trains per second: in processes, on threads, in one stack."""

import multiprocessing
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection

import pandas as pd

from benchmarks.cases import Case, prepare
from benchmarks.ours import make_stack
from benchmarks.page import Section
from benchmarks.process import set_up
from benchmarks.timing import Settings, Timed
from benchmarks.worker import blocking
from grokking.executors.resources import cores

READY, TRAIN, END = "ready", "train", "end"  # messages between processes
LONGEST_STEP = 3.0  # seconds that a step of a stack may be expected to take; longer ones are left out

NOTE = f"""
Replica-steps per second of all processes together in the best round, and in brackets how many times those of
one replica alone. Replicas of one process form a stack and go through each operation together; processes
train at the same time. A dash: one step would take longer than {LONGEST_STEP:.0f} s.
"""


@dataclass(frozen=True)
class Layout:
    processes: int
    threads: int  # of each process
    replicas: int  # in the stack of each process


ALONE = Layout(1, 1, 1)


def layouts(device: str) -> list[Layout]:
    """Larger and larger stacks, and on the CPU all cores used by threads and by processes."""
    sizes = (4, 16, 64, 256, 1024) if device == "cuda" else (4, 16, 64)
    stacked = [ALONE, *(Layout(1, 1, size) for size in sizes)]
    if device == "cuda" or cores() == 1:
        return stacked
    return [*stacked, Layout(1, cores(), 1), Layout(cores(), 1, 1), Layout(cores(), 1, 4)]


def measure(cases: list[Case], settings: Settings) -> Section:
    """Replica-steps per second: a row per layout, a column per case in torch."""
    chosen = layouts(settings.device)
    rows = [(str(layout.processes), str(layout.threads), str(layout.replicas)) for layout in chosen]
    table = pd.DataFrame(rows, columns=["processes", "threads each", "replicas each"])
    for case in cases:
        if not case.is_numpy:
            rates = _rates(case, chosen, settings)
            table[f"`{case.name}`"] = [
                _cell(rates[layout], rates[ALONE]) if layout in rates else "—" for layout in chosen
            ]
    return Section("Many replicas", table, NOTE)


def _rates(case: Case, chosen: list[Layout], settings: Settings) -> dict[Layout, list[float]]:
    """Replica-steps per second in each round; without the layouts whose steps are too long."""
    with ExitStack() as running:
        alone = running.enter_context(closing(Team(case, ALONE, settings)))
        teams, step = {ALONE: alone}, 1 / alone.rate()
        for layout in chosen[1:]:
            if layout.replicas * step <= LONGEST_STEP:
                teams[layout] = running.enter_context(closing(Team(case, layout, settings)))
        rounds = [{layout: team.rate() for layout, team in teams.items()} for _ in range(settings.few_rounds)]
    return {layout: [of_round[layout] for of_round in rounds] for layout in teams}


def _cell(rates: list[float], alone: list[float]) -> str:
    """Of the best rounds: whatever else runs on the machine can only make a round worse."""
    return f"{max(rates):,.0f} ({max(rates) / max(alone):.2f})"


class Team:
    """Processes that wait, each with its stack, to train a block at the same time."""

    def __init__(self, case: Case, layout: Layout, settings: Settings) -> None:
        context = multiprocessing.get_context("forkserver")  # its processes start without this one's state
        context.set_forkserver_preload([__name__])
        self.connections = []
        for _ in range(layout.processes):
            ours, theirs = context.Pipe()
            context.Process(target=_work, args=(theirs, case.name, layout, settings), daemon=True).start()
            theirs.close()  # so that a process which ends unexpectedly is an EOFError here
            self.connections.append(ours)
        for connection in self.connections:
            connection.recv()

    def rate(self) -> float:
        """Train a block; replica-steps per second of all processes."""
        for connection in self.connections:
            connection.send(TRAIN)
        return sum(connection.recv() for connection in self.connections)

    def close(self) -> None:
        for connection in self.connections:
            connection.send(END)


def _work(connection: Connection, name: str, layout: Layout, settings: Settings) -> None:
    """One process: get ready, say so, then train a block at each command."""
    set_up(layout.threads)
    case = prepare(name)
    stack = make_stack(case.replicas(layout.replicas), case.task, settings.device)
    timed = Timed(blocking(stack.update, settings.device))
    connection.send(READY)
    while connection.recv() == TRAIN:
        connection.send(layout.replicas / timed.seconds_per_step(settings.seconds))
