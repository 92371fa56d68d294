"""A submission: one Python file with a training rule and the points at which it is tried."""

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, load, within
from grokking.leaderboard.inspection import require_harmless
from grokking.search.space import Space
from grokking.updates.optimizers import Optimizer

KNOWN = ("RULESET", "SETTINGS", "SPACE", "STATE", "DECOUPLED")
SECTIONS = ("optimizer", "schedule", "gradient_filter", "gradient_projection", "weight_clamp")
SETTING = within(
    lambda keys: all("." not in key or key.partition(".")[0] in SECTIONS for key in keys),
    f"set hyperparameters of the rule and keys of {', '.join(SECTIONS)} only, as the workload fixes the rest",
)


@dataclass(frozen=True, config=STRICT)
class Declared:
    """What a submission says of itself; a name is of its hyperparameters, a dotted key of an experiment."""

    RULESET: Literal["tuned", "self-tuning"]
    SETTINGS: Annotated[dict[str, Any], SETTING]  # dotted keys that all trials share
    SPACE: Annotated[Space, SETTING]  # what is tuned; empty where the rule tunes itself
    STATE: tuple[str, ...]  # tensors that the rule keeps, of the shape of the parameters, zero at first
    DECOUPLED: bool  # whether weight decay is the rule's own business, and not added to the gradient

    def __post_init__(self) -> None:
        if (self.RULESET == "self-tuning") != (not self.SPACE):
            raise ValueError(
                f"{self.RULESET} and a `SPACE` of {len(self.SPACE)} do not fit; tune, or remove it"
            )


@plain_dataclass(frozen=True)
class Submission:
    """The file of a submission, read and found in order."""

    name: str
    source: str
    about: str  # the first line of its docstring
    declared: Declared
    rule: Optimizer | None  # its own; None where it sets one that the laboratory has

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

    @property
    def optimizer_name(self) -> str:
        """Under which its rule is registered in a process that trains."""
        return f"submitted/{self.name}/{self.sha256}"


def read_submission(path: Path) -> Submission:
    """The submission of a file; ConfigError where there is none or something is refused."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path} is no file of text; name the file of a submission") from None
    name = path.parent.name if path.name == "submission.py" else path.stem  # beside its results
    return parse(name, source, str(path))


def parse(name: str, source: str, where: str) -> Submission:
    """The submission of a source. Its functions are made, none is called: at the top are constants only."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ConfigError(f"{where}, line {error.lineno}: {error.msg}; write plain Python") from None
    about = (ast.get_docstring(tree) or "").partition("\n")[0]
    if not about:
        raise ConfigError(f"{where} has no docstring; begin with a line that says what the rule is")
    require_harmless(tree, where)
    names: dict[str, Any] = {}
    exec(compile(tree, where, "exec"), names)  # that is what a submission is
    given = {key: names[key] for key in KNOWN if key in names}
    usual = {"SETTINGS": {}, "SPACE": {}, "STATE": (), "DECOUPLED": True}
    declared = load(Declared, usual | given, where)
    if "update" in names:
        _require_used(tree, declared, where)
    return Submission(name, source, about, declared, _rule(names, declared, where))


def _require_used(tree: ast.Module, declared: Declared, where: str) -> None:
    """Raise ConfigError for a hyperparameter that the rule does not name, and for a rate that it lacks."""
    given = {key for key in (*declared.SETTINGS, *declared.SPACE) if "." not in key}
    in_functions = {
        node.value
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Constant)
    }
    for key in sorted(given - {"decay_rate", "gradient_projection"} - in_functions):
        raise ConfigError(f"{where} gives {key}, which `update` does not use; mend its name or remove it")
    if "learning_rate" in in_functions and "learning_rate" not in given:
        raise ConfigError(f"{where} uses learning_rate, but gives none; add it to `SPACE` or `SETTINGS`")


def _rule(names: Mapping[str, Any], declared: Declared, where: str) -> Optimizer | None:
    own, set_name = names.get("update"), declared.SETTINGS.get("optimizer.name")
    if (own is None) == (set_name is None):
        raise ConfigError(f"{where} needs a function `update` or the setting optimizer.name, and not both")
    if own is None:
        return None
    return Optimizer(own, declared.STATE, declared.DECOUPLED)
