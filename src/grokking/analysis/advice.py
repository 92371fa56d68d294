"""The page of advice: which learning rate and weight decay were good, from all searches and sweeps."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokking.analysis.good_cells import fraction_table, is_a_map, moved
from grokking.analysis.good_trials import FEWEST, GOOD, GROUPS, good_trials, spread_table, study_table
from grokking.analysis.pages import plain, render
from grokking.analysis.sweeps import described, task_text

Searched = tuple[Mapping[str, Any], pd.DataFrame]  # the entry of a study, and its trials


def page(studies: Mapping[str, Searched], sweeps: Mapping[str, pd.DataFrame]) -> str:
    """The page, of each study and of the networks of each sweep that is a map."""
    good = _named(GROUPS, {name: good_trials(*searched) for name, searched in studies.items()})
    maps = {name: networks for name, networks in sweeps.items() if is_a_map(networks)}
    few = [f"`{name}` ({studies[name][0]['experiment']['model']['family']})" for name in _few(good, studies)]
    return render(
        "advice.md.jinja",
        good=f"{GOOD:g}",
        fewest=FEWEST,
        few=", ".join(few) or "none",
        studies=_text(study_table(good)),
        spreads=_text(spread_table(good)),
        fractions=_text(_named(["sweep"], {name: _fractions(own) for name, own in maps.items()})),
        moved=_text(pd.DataFrame([_about(name, own) | moved(own) for name, own in maps.items()])),
    )


def _named(columns: list[str], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables below each other, with the name of each first; `columns` are there even without a table."""
    name = columns[0]
    rows = [table.assign(**{name: of}) for of, table in tables.items()]
    whole = pd.concat([pd.DataFrame(columns=columns), *rows], ignore_index=True)
    return whole[[name, *whole.columns.drop(name)]]


def _few(good: pd.DataFrame, studies: Mapping[str, Searched]) -> list[str]:
    """Studies of which no optimizer has enough good trials."""
    sizes = good.groupby(GROUPS).size()
    enough = {study for study, _ in sizes[sizes >= FEWEST].index}
    return [name for name in studies if name not in enough]


def _fractions(networks: pd.DataFrame) -> pd.DataFrame:
    """The rows of a sweep, each with its task and the budget within which a cell could generalize."""
    table = fraction_table(networks)
    table.insert(0, "task", task_text(networks))
    table.insert(1, "budget", f"{networks['budget'].iloc[0]:,}")
    return table


def _text(table: pd.DataFrame) -> str:
    return plain(table) if len(table) else "Too few were run here.\n"


def _about(name: str, networks: pd.DataFrame) -> dict[str, str]:
    """A sweep, its network and its task."""
    return {"sweep": name, "network": described(networks)["family"], "task": task_text(networks)}
