"""Workloads that no submission has seen: each workload with one thing changed, drawn from a seed."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from grokking.leaderboard.workloads import Workload, WorkloadConfig

BUDGET = 2.0  # times that of the workload as it is: a held-out one may be harder
LESS_DATA = 0.05
WRONG_LABELS = 0.1
NEIGHBOURS = {97: (89, 101, 103, 107), 59: (53, 61, 67, 71)}  # other prime moduli

Change = tuple[str, WorkloadConfig]  # for people, and what it comes to
Kind = Callable[[WorkloadConfig, np.random.Generator], Change | None]


def held_out(workload: Workload, seed: int) -> Workload:
    """A variant of the workload, of a kind that its task allows."""
    random = np.random.default_rng([seed, *workload.name.encode()])
    changes = [change for kind in KINDS if (change := kind(workload.config, random)) is not None]
    what, config = changes[random.integers(len(changes))]
    longer = replace(config, budget=round(BUDGET * workload.budget))
    name = f"{workload.name}_held_out"
    return replace(workload, name=name, config=longer, variant_of=workload.name, changed=what)


def other_modulus(config: WorkloadConfig, random: np.random.Generator) -> Change | None:
    modulus = config.operation.get("modulus")
    if modulus not in NEIGHBOURS:
        return None
    chosen = int(random.choice(NEIGHBOURS[modulus]))
    return f"modulus {chosen}", replace(config, operation=config.operation | {"modulus": chosen})


def less_data(config: WorkloadConfig, random: np.random.Generator) -> Change:
    fraction = round(config.train_fraction - LESS_DATA, 4)
    return f"{fraction:.0%} of the table", replace(config, train_fraction=fraction)


def multiplication(config: WorkloadConfig, random: np.random.Generator) -> Change | None:
    if config.operation["name"] != "add":
        return None
    return "multiplication", replace(config, operation=config.operation | {"name": "multiply"})


def twice_as_wide(config: WorkloadConfig, random: np.random.Generator) -> Change:
    model = copy.deepcopy(config.experiment["model"])
    for key in ("width", "hidden_widths"):
        if key in model:
            model[key] = _doubled(model[key])
    return "twice the width", replace(config, experiment=config.experiment | {"model": model})


def wrong_labels(config: WorkloadConfig, random: np.random.Generator) -> Change:
    experiment = config.experiment | {"label_noise": WRONG_LABELS}
    return f"{WRONG_LABELS:.0%} wrong labels", replace(config, experiment=experiment)


KINDS: tuple[Kind, ...] = (other_modulus, less_data, multiplication, twice_as_wide, wrong_labels)


def _doubled(width: Any) -> Any:
    return [2 * each for each in width] if isinstance(width, list) else 2 * width
