"""The keys of a configuration: dotted names, short names, and values as written on a command line."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML, YAMLError

from grokking.analysis import nested
from grokking.catalogue import TAGS, suggestion
from grokking.config import ConfigError

ALIASES = {"steps": "budget"}
ELSEWHERE = {  # what other repositories call a key, and what it is here
    "lr": "learning_rate",
    "wd": "weight_decay",
    "p": "modulus",
    "frac_train": "train_fraction",
}


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by dotted keys; what is said of replicas is not among them."""
    return nested.flat({key: value for key, value in config.items() if key != "replicas"})


def short_names(known: Iterable[str]) -> dict[str, list[str]]:
    """What may be written for each dotted key: itself, its last part, the section that a tag is of."""
    names: dict[str, list[str]] = {}
    for dotted in known:
        for name in dict.fromkeys(_names_of(dotted)):
            names.setdefault(name, []).append(dotted)
    return names


def _names_of(dotted: str) -> Iterator[str]:
    section, _, last = dotted.rpartition(".")
    yield dotted
    if last in TAGS and section:  # `optimizer=sgd` is `optimizer.name=sgd`
        yield section
        yield section.rpartition(".")[2]
    yield last
    yield from (alias for alias, meant in ALIASES.items() if meant == dotted)


def resolve(written: str, known: Iterable[str]) -> str:
    """The dotted key that is meant; ConfigError with the near or the possible ones where it is not one."""
    names = short_names(known)
    meant = names.get(written, [])
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ConfigError(f"`{written}` may be {' or '.join(meant)}; write one of these")
    if written in ("seed", "seeds"):
        raise ConfigError(f"`{written}` is no key here; say how many networks: --seeds 3, in Python seeds=3")
    near = suggestion(ELSEWHERE.get(written, written), names, f"known: {', '.join(known)}")
    raise ConfigError(f"`{written}` is no key here; {near}")


def parse(assignment: str) -> tuple[str, Any]:
    """`key=value` as a key and a value, read as YAML: 1e-3 is a number, [64, 64] a list."""
    key, equals, text = assignment.partition("=")
    if not equals or not key or not text:
        raise ConfigError(f"`{assignment}` is no change; write key=value, such as weight_decay=0.3")
    try:
        return key.strip(), YAML(typ="safe").load(text)
    except (YAMLError, ValueError, KeyError, OverflowError):
        raise ConfigError(f"`{assignment}`: {text} is no value; write a number, a word or a [list]") from None


def parse_all(assignments: Iterable[str]) -> dict[str, Any]:
    """Every change by its key as written; ConfigError where one key stands twice."""
    changes: dict[str, Any] = {}
    for key, value in map(parse, assignments):
        if key in changes:
            raise ConfigError(f"`{key}` is given twice; write it once")
        changes[key] = value
    return changes
