"""The entries of params.yaml and extended/params.yaml: read strictly, and with what they inherit.

Every entry names in `extends` what it builds on, and inheritance is shallow: a root builds on a default, a
child on a root of its own file.
"""

import copy
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.events import AliasEvent, ScalarEvent

from grokking.config import ConfigError

FILES = (Path("params.yaml"), Path("extended/params.yaml"))
ENTRIES = ("tasks", "experiments", "studies", "tuning", "sweeps")
SECTIONS = ("defaults", "reports", *ENTRIES)
DEFAULTS = {
    "tasks": "task", "experiments": "experiment", "studies": "study", "tuning": "experiment",
    "sweeps": "sweep",
}  # fmt: skip
# entries within an entry, which extend entries of their own section
WITHIN = {"studies": {"experiment": "experiments"}, "sweeps": {"experiment": "experiments", "task": "tasks"}}
# what dvc.yaml reads of an entry, so that it must be written there and is not inherited
OWN_KEYS = {"tasks": ("extends",), "experiments": ("extends", "group", "task"), "tuning": ("extends", "task")}
TAGS = ("name", "family", "sampling", "kind")  # mappings that differ in one of these are of different kinds
NAME = re.compile("[a-z][a-z0-9_]*")
OWN_GROUP = "own"  # of the runs of `grokking run`

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Layer:
    """What one entry gives to another that builds on it."""

    path: str  # of the entry, such as defaults.experiment
    inside: str  # the key of the other under which it all belongs; "" for the other itself
    mapping: Entry

    def holds(self, dotted: str) -> bool:
        """Whether it gives a value to this key of the other."""
        return dotted.startswith(self.inside) and _leads_somewhere(self.mapping, dotted[len(self.inside) :])


class Catalogue:
    """All entries of both files; names are unique over both."""

    def __init__(self, files: Mapping[Path, Mapping[str, Entry]]) -> None:
        self.files = files
        for path, sections in files.items():
            _check(path, sections)
        for section in ENTRIES:
            _refuse_twins(section, self.names(section))
            for name in self.names(section):
                self._layers(section, name)

    def names(self, section: str, group: str | None = None, file: Path | None = None) -> list[str]:
        """Entries of a section, in order; only those of one group of experiments, or of one file."""
        return [
            name
            for path, sections in self.files.items()
            for name, entry in sections.get(section, {}).items()
            if file in (None, path) and group in (None, entry.get("group"))
        ]

    def entry(self, section: str, name: str) -> dict[str, Any]:
        """One entry with all that it inherits, as the dataclasses of its section load it."""
        merged: dict[str, Any] = {}
        for layer in self._layers(section, name):
            inside = {layer.inside.rstrip("."): layer.mapping} if layer.inside else layer.mapping
            merged = merge(merged, inside)
        for key in WITHIN.get(section, {}):
            merged[key] = _without(merged[key], "extends", *IGNORED[section])
        return _without(merged, "extends", "group")

    def group(self, experiment: str) -> str:
        """The group that an experiment is reported in."""
        return str(self._written("experiments", experiment)[1]["group"])

    def origin(self, dotted: str) -> str:
        """Where the value of a key was written: `experiments.a.budget`, or the same of what `a` builds on.

        A key that is nowhere is returned as it is.
        """
        section, _, rest = dotted.partition(".")
        name, _, key = rest.partition(".")
        if section not in ENTRIES or name not in self.names(section):
            return dotted
        if key and _leads_somewhere(self.entry(section, name), key):
            for layer in reversed(self._layers(section, name)):
                if layer.holds(key):
                    return f"{layer.path}.{key.removeprefix(layer.inside)}"
        return dotted

    def locate(self, message: str) -> str:
        """An error's message with the key where the wrong value was written."""
        found = re.match(r"`([^`]+)`", message)
        if found is None or (origin := self.origin(found[1])) == found[1]:
            return message
        entry = ".".join(found[1].split(".")[:2])
        return f"`{origin}`{message[found.end() :]} (`{entry}` builds on it)"

    def _layers(self, section: str, name: str) -> list[Layer]:
        """What an entry is made of, the most basic first."""
        path, written = self._written(section, name)
        where = f"{section}.{name}"
        layers = self._bases(path, where, written["extends"], section, "")
        layers.append(Layer(where, "", written))
        for key, inner in WITHIN.get(section, {}).items():
            layers = self._bases(path, f"{where}.{key}", written[key]["extends"], inner, f"{key}.") + layers
        return layers

    def _bases(self, path: Path, where: str, extends: str, section: str, inside: str) -> list[Layer]:
        """What `extends` names: a default, or a root of the same file and the default that it builds on."""
        default, entries = f"defaults.{DEFAULTS[section]}", self.files[path].get(section, {})
        if extends == default:
            return [Layer(extends, inside, self._default(path, where, DEFAULTS[section]))]
        root = {f"{section}.{name}": entry for name, entry in entries.items()}.get(extends)
        if root is None:
            known = ", ".join([default, *(f"{section}.{name}" for name in entries)])
            raise ConfigError(f"`{where}.extends` names {extends}, which is not in {path}; known: {known}")
        if root["extends"] != default:
            raise ConfigError(
                f"`{where}.extends` names {extends}, which builds on {root['extends']} itself; "
                "build on that one, inheritance is not deeper"
            )
        return [*self._bases(path, extends, default, section, inside), Layer(extends, inside, root)]

    def _default(self, path: Path, where: str, name: str) -> Entry:
        """A default of this file; a file's name in its place says that it is written there."""
        found = self.files[path].get("defaults", {}).get(name)
        if isinstance(found, str):
            found = self.files.get(Path(found), {}).get("defaults", {}).get(name)
        if not isinstance(found, dict):
            raise ConfigError(f"`{where}.extends` names defaults.{name}, no mapping in {path}; add it")
        return found

    def _written(self, section: str, name: str) -> tuple[Path, Entry]:
        """An entry as it stands in its file; an unknown name lists the known ones."""
        if not isinstance(name, str):
            raise ConfigError(f"`{section}` has names, but got {name!r}; write one of {self.names(section)}")
        for path, sections in self.files.items():
            if name in sections.get(section, {}):
                return path, sections[section][name]
        known = ", ".join(self.names(section)) or "(none)"
        near = suggestion(name, self.names(section), f"known: {known}")
        raise ConfigError(f"`{section}.{name}` is not in {' or '.join(map(str, self.files))}; {near}")


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """Which of the known names may be meant, as a question; `otherwise` where none is near."""
    near = difflib.get_close_matches(str(name), list(known), n=4, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def read_catalogue(root: Path = Path()) -> Catalogue:
    """The catalogue of a checkout; it may lack the long studies."""
    present = [path for path in FILES if path == FILES[0] or (root / path).exists()]
    return Catalogue({path: _read(root / path, path) for path in present})


def merge(base: Entry, change: Entry) -> dict[str, Any]:
    """`base` with the keys of `change`: mappings key by key, but one of another kind replaces, {} empties."""
    merged = dict(copy.deepcopy(base))
    for key, value in change.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and value and _same_kind(before, value):
            merged[key] = merge(before, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _without(mapping: Entry, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def require_name(where: str, name: object) -> str:
    """Names become folders, files and words of commands, so they are plain; ConfigError for any other."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{where} {name!r} is no name of an entry; write lower-case letters, digits and _, a letter first"
        )
    return name


def _same_kind(one: Entry, other: Entry) -> bool:
    return all(one[tag] == other[tag] for tag in TAGS if tag in one and tag in other)


def _leads_somewhere(mapping: Any, dotted: str) -> bool:
    """Whether this dotted key is in nested mappings, whose keys may have dots; a number of a list ends it."""
    if not isinstance(mapping, Mapping):
        return isinstance(mapping, list)
    return any(
        dotted == key or (dotted.startswith(f"{key}.") and _leads_somewhere(value, dotted[len(key) + 1 :]))
        for key, value in mapping.items()
    )


def _read(file: Path, shown: Path) -> dict[str, Entry]:
    """The sections of one file. ruamel reads YAML 1.2 as DVC does, so that `1e-3` is a number to both."""
    params = read_yaml(file, shown, _refuse_shared_objects)
    if not isinstance(params, dict):
        raise ConfigError(f"{shown} must hold the sections {', '.join(SECTIONS)}, but holds {params!r}")
    return params


def read_yaml(file: Path, shown: Path, check: Callable[[str, Path], None] | None = None) -> Any:
    """What a file of YAML holds; ConfigError, with the line, where it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8")
        if check is not None:
            check(text, shown)
        return YAML(typ="safe").load(text)
    except ConfigError:
        raise
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        found = error.problem.partition(" with")[0]
        raise ConfigError(f"{shown}, line {line}: {found}; remove one") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"cannot read {shown}: {' '.join(str(error).split())}") from None
    except (ValueError, KeyError, OverflowError) as error:  # a scalar that is none, such as 2024-99-99
        line, scalar = _unreadable(text)
        raise ConfigError(f"{shown}, line {line}: {scalar[:40]} is no value ({error}); correct it") from None


def _unreadable(text: str) -> tuple[int, str]:
    """Line and text of the first scalar that its own type refuses."""
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, ScalarEvent) and not event.style:
            tag = f"!<{event.tag}> " if event.tag else ""
            try:
                YAML(typ="safe").load(f"{tag}{event.value}")
            except YAMLError:
                continue
            except (ValueError, KeyError, OverflowError):
                return event.start_mark.line + 1, event.value
    return 1, "a value"


def _refuse_shared_objects(text: str, shown: Path) -> None:
    """Anchors would make `dvc exp run -S` change entries that it does not name."""
    for event in YAML(typ="safe").parse(text):
        merge_key = isinstance(event, ScalarEvent) and event.value == "<<"
        if isinstance(event, AliasEvent) or merge_key or getattr(event, "anchor", None):
            raise ConfigError(
                f"{shown}, line {event.start_mark.line + 1}: anchors, aliases and << are not read; "
                "say with `extends` what an entry builds on"
            )


def _refuse_twins(section: str, names: list[str]) -> None:
    if twins := {name for name in names if names.count(name) > 1}:
        files = " and in ".join(map(str, FILES))
        raise ConfigError(f"`{section}.{min(twins)}` is in {files}; give one of them another name")


def _check(path: Path, sections: Mapping[str, Any]) -> None:
    """Sections and entries are what they must be before anything is looked up in them."""
    for section, entries in sections.items():
        if section not in SECTIONS:
            raise ConfigError(f"{path} must hold the sections {', '.join(SECTIONS)}, but holds {section}")
        if not isinstance(entries, dict):
            raise ConfigError(f"`{section}` in {path} must be a mapping of names, but got {entries!r}")
    _refuse_unknown(path, "defaults", sections.get("defaults", {}), dict.fromkeys(DEFAULTS.values()))
    _refuse_unknown(path, "reports", sections.get("reports", {}), ("groups",))
    groups = sections.get("reports", {}).get("groups", [])
    if not isinstance(groups, list) or any(groups.count(group) > 1 for group in groups):
        raise ConfigError(f"`reports.groups` in {path} must be a list of distinct names, but got {groups!r}")
    for group in groups:
        require_name(f"`reports.groups` in {path}:", group)
        if group == OWN_GROUP:
            raise ConfigError(
                f"`reports.groups` in {path} names {group}, the group of your own runs; rename it"
            )
    for section in ENTRIES:
        for name, entry in sections.get(section, {}).items():
            _check_entry(path, section, name, entry)
            if section == "experiments" and entry["group"] not in groups:
                raise ConfigError(
                    f"`{section}.{name}.group` must be one of `reports.groups` in {path}, "
                    f"{', '.join(groups) or '(none)'}, but got {entry['group']!r}"
                )


def _refuse_unknown(path: Path, section: str, mapping: Mapping[str, Any], known: Iterable[str]) -> None:
    known = list(known)
    for key in mapping:
        if key not in known:
            raise ConfigError(f"`{section}.{key}` in {path} is unknown; known keys here: {', '.join(known)}")


def _check_entry(path: Path, section: str, name: object, entry: object) -> None:
    where, within = f"{section}.{require_name(f'`{section}` in {path}:', name)}", WITHIN.get(section, {})
    own = [("", entry, OWN_KEYS.get(section, ("extends", *within)))]
    for key in within:
        inner = entry.get(key) if isinstance(entry, dict) else None
        own.append((f".{key}", inner, ("extends", "task") if section == "studies" else ("extends",)))
        _refuse_ignored(f"{where}.{key}", section, inner)
    for inside, mapping, keys in own:
        if not isinstance(mapping, dict):
            raise ConfigError(f"`{where}{inside}` must be a mapping of keys, but got {mapping!r}")
        for key in keys:
            if key not in mapping:
                raise ConfigError(
                    f"`{where}{inside}.{key}` is missing in {path}; add it, as it is not inherited"
                )
            if (inside or key not in within) and not isinstance(mapping[key], str):
                raise ConfigError(f"`{where}{inside}.{key}` must be a name, but got {mapping[key]!r}")


IGNORED = {  # keys of entries within an entry, and why they have no effect there
    "studies": {
        "group": "a study is in no group",
        "replicas": "the seeds of a study are in `search`, `sustain_seeds` and `confirm`",
    },
    "sweeps": {
        "group": "a sweep is in no group",
        "replicas": "the seeds of a sweep are in its own `replicas`",
        "split_seeds": "the split seeds of a sweep are in its own `replicas`",
    },
}


def _refuse_ignored(where: str, section: str, inner: object) -> None:
    """An entry within an entry inherits keys that are not used there; it may not write its own."""
    for key, reason in IGNORED[section].items():
        if isinstance(inner, dict) and key in inner:
            raise ConfigError(f"`{where}.{key}` is not used: {reason}; remove it")
