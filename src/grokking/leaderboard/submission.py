"""A submission: one Python file with a training rule and the points at which it is tried."""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, ConfigError, load, satisfying
from grokking.leaderboard.inspection import ARGUMENTS, known_builtins, require_harmless
from grokking.search.space import Space
from grokking.updates.optimizers import HParams, Optimizer, State

KNOWN = ("RULESET", "WORKLOAD", "DATE", "SETTINGS", "SPACE", "STATE", "MATRIX_STATE", "DECOUPLED")
SECTIONS = ("optimizer", "schedule", "gradient_filter", "gradient_projection", "weight_clamp")
# what an open submission may set, too: how its one workload is trained, and where its weights begin
OPEN = ("loss", "loss_precision", "matmul_precision", "batch")
OPEN_MODEL = ("initialisation", "init_scale", "embedding_std", "output_scale")
AXES = satisfying(lambda axes: axes and set(axes) <= set("OI"), "be made of O, outputs, and I, inputs")
SETTING = satisfying(
    lambda keys: all("." not in key or key.partition(".")[0] in SECTIONS or is_open_key(key) for key in keys),
    f"set hyperparameters of the rule and keys of {', '.join(SECTIONS)} only, as the workload fixes the rest",
)


def _is_date(text: str) -> bool:
    try:
        return text == date.fromisoformat(text).isoformat()
    except ValueError:
        return False


def is_open_key(key: str) -> bool:
    """Whether only an open submission may set this key of an experiment."""
    section, _, name = key.partition(".")
    return key in OPEN or (section == "model" and name in OPEN_MODEL)


@dataclass(frozen=True, config=STRICT)
class Declared:
    """What a submission says of itself; a name is of its hyperparameters, a dotted key of an experiment."""

    RULESET: Literal["tuned", "self-tuning", "open"]
    WORKLOAD: str = ""  # of an open one; the others are tried on all
    DATE: str = ""  # of an open one, which has to beat what is older
    SETTINGS: Annotated[dict[str, Any], SETTING] = field(default_factory=dict)  # that all trials share
    SPACE: Annotated[Space, SETTING] = field(default_factory=dict)  # what is tuned; none of it tunes itself
    STATE: tuple[str, ...] = ()  # tensors that the rule keeps, of the shape of the parameters, zero at first
    # of each hidden matrix: name -> axes, such as "OI" or "OO"; zero at first
    MATRIX_STATE: dict[str, Annotated[str, AXES]] = field(default_factory=dict)
    DECOUPLED: bool = True  # whether weight decay is the rule's own business, and not added to the gradient

    def __post_init__(self) -> None:
        is_open = self.RULESET == "open"
        if self.RULESET == "tuned" and not self.SPACE:
            raise ValueError("is tuned, but has no `SPACE`; add it, or write another `RULESET`")
        if self.RULESET != "tuned" and self.SPACE:
            raise ValueError(f"is {self.RULESET}, but has a `SPACE`; remove it, or write tuned")
        if {"weight_decay", "decay_rate"} <= {*self.SETTINGS, *self.SPACE}:
            raise ValueError("sets weight_decay and decay_rate, which are the same; remove one")
        if is_open != bool(self.WORKLOAD) or is_open != bool(self.DATE):
            raise ValueError("`WORKLOAD` and `DATE` are of open submissions, which need both")
        if is_open and not _is_date(self.DATE):
            raise ValueError(f"`DATE` must be a day such as 2026-11-28, but got {self.DATE!r}")
        tomorrow = date.today() + timedelta(days=1)  # somewhere it is that day already
        if is_open and date.fromisoformat(self.DATE) > tomorrow:
            raise ValueError(f"`DATE` must not be in the future, but got {self.DATE!r}")
        beyond = [key for key in (*self.SETTINGS, *self.SPACE) if is_open_key(key)]
        if beyond and not is_open:
            raise ValueError(f"only open submissions set {beyond[0]}; remove it")


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
    def is_open(self) -> bool:
        """Whether it is to one workload alone, and has no rank among the others."""
        return self.declared.RULESET == "open"

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
        code = compile(tree, where, "exec")  # which finds a `break` outside of a loop
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ConfigError(
            f"{where}, line {line}: {getattr(error, 'msg', error)}; write plain Python"
        ) from None
    about = (ast.get_docstring(tree) or "").partition("\n")[0]
    if not about:
        raise ConfigError(f"{where} has no docstring; begin with a line that says what the rule is")
    require_harmless(tree, where)
    for constant in _unused(tree):
        raise ConfigError(f"{where} sets {constant}, which nothing uses; known names: {', '.join(KNOWN)}")
    names: dict[str, Any] = {"__builtins__": known_builtins()}
    exec(code, names)  # that is what a submission is
    given = {key: names[key] for key in KNOWN if key in names}
    if isinstance(word := given.get("STATE"), str):
        raise ConfigError(
            f"{where} has the word {word!r} as `STATE`; write a tuple, with a comma: ({word!r},)"
        )
    declared = load(Declared, given, where)
    if "update" in names:
        _require_in_place(tree, where)
        _require_used(tree, declared, where)
    return Submission(name, source, about, declared, _rule(names, declared, where))


def _require_in_place(tree: ast.Module, where: str) -> None:
    """Raise ConfigError where an update makes new parameters: nothing reads them."""
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in ARGUMENTS:
            changed, *_ = ARGUMENTS[function.name]
            for node in _own_nodes(function):
                if _is_unread(node, changed):
                    raise ConfigError(
                        f"{where}, line {getattr(node, 'lineno', 1)}: `{function.name}` changes `{changed}` "
                        f"in place, as by {changed}.sub_(...); nothing reads what it returns or calls "
                        f"{changed}"
                    )


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What is below a node, but not within functions that it defines."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)


def _is_unread(node: ast.AST, changed: str) -> bool:
    match node:
        case ast.Return(value=value):
            return value is not None
        case ast.Assign(targets=targets):
            return any(isinstance(target, ast.Name) and target.id == changed for target in targets)
    return False


def _require_used(tree: ast.Module, declared: Declared, where: str) -> None:
    """Raise ConfigError for a hyperparameter that the rule does not name, and for a rate that it lacks."""
    keys = [key for key in (*declared.SETTINGS, *declared.SPACE) if not is_open_key(key)]
    given = {key for key in keys if "." not in key}
    in_functions = {
        node.value
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Constant)
    }
    used = {"weight_decay" if key == "decay_rate" else key for key in given}
    for key in sorted(used - {"gradient_projection"} - in_functions):
        raise ConfigError(f"{where} gives {key}, which `update` does not use; mend its name or remove it")
    for slot in sorted(_slots(tree) - set(declared.STATE) - set(declared.MATRIX_STATE)):
        raise ConfigError(f"{where} uses state[{slot!r}]; name it in `STATE`, or in `MATRIX_STATE`")
    if "learning_rate" in in_functions and "learning_rate" not in given:
        raise ConfigError(f"{where} uses learning_rate, but gives none; add it to `SPACE` or `SETTINGS`")


def _unused(tree: ast.Module) -> list[str]:
    """Constants at the top that neither the benchmark nor a function of the file reads."""
    nodes = list(ast.walk(tree))
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assigned = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    names = [target.id for target in assigned if isinstance(target, ast.Name)]
    return [name for name in names if name not in read and name not in KNOWN]


def _slots(tree: ast.Module) -> set[str]:
    """The names that functions look up in `state`."""
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        if isinstance(node.value, ast.Name) and node.value.id == "state"
        if isinstance(name := node.slice.value, str)
    }


def _rule(names: Mapping[str, Any], declared: Declared, where: str) -> Optimizer | None:
    own, set_name = names.get("update"), declared.SETTINGS.get("optimizer.name")
    if own is None and set_name is None:
        raise ConfigError(f"{where} has neither a function `update` nor the setting optimizer.name; add one")
    if own is not None and set_name is not None:
        raise ConfigError(f"{where} has a function `update` and the setting optimizer.name; remove one")
    own_matrix = names.get("update_matrix")
    if own_matrix is None and declared.MATRIX_STATE:
        raise ConfigError(f"{where} has a `MATRIX_STATE`, but no function `update_matrix`; add it")
    if own_matrix is not None and not (own and declared.DECOUPLED):
        raise ConfigError(
            f"{where} has `update_matrix`, which needs `update` for all other parameters and a weight decay "
            "of its own; add `update` and leave `DECOUPLED` out"
        )
    if own is None:
        return None
    update_matrices = _one_by_one(own_matrix) if own_matrix else None
    update = _apart(own, declared.STATE, uses_grad_alone=own_matrix is None)
    return Optimizer(update, declared.STATE, declared.DECOUPLED, update_matrices, declared.MATRIX_STATE)


def _apart(own: Any, slots: tuple[str, ...], uses_grad_alone: bool) -> Any:
    """The update with its own tensors only, and copies of the hyperparameters, which are the engine's.

    It may write into the gradients, which are copies where an update of matrices has them after it.
    """

    def update(param: Tensor, grad: Tensor, state: State, hparams: HParams) -> None:
        copies = {name: value.clone() for name, value in hparams.items()}
        given = {slot: state[slot] for slot in slots}
        own(param, grad if uses_grad_alone else grad.clone(), given, copies)
        _write_back(given, state)

    return update


def _one_by_one(own: Any) -> Any:
    """The update of one matrix for all; hyperparameters are copies (R, 1, 1), as a matrix is (R, O, I)."""

    def update_matrices(
        matrices: list[Tensor], grads: list[Tensor], states: list[State], hparams: HParams
    ) -> None:
        for matrix, grad, state in zip(matrices, grads, states, strict=True):
            given = dict(state)
            own(matrix, grad, given, {name: value.unsqueeze(-1).clone() for name, value in hparams.items()})
            _write_back(given, state)

    return update_matrices


def _write_back(given: State, kept: State) -> None:
    """Keep what a rule has put in place of a tensor of its state, as by state["mean"] = ..."""
    for name, new in given.items():
        if new is kept.get(name):
            continue
        if name not in kept or new.shape != kept[name].shape:
            known = {key: tuple(tensor.shape) for key, tensor in kept.items()}
            raise ConfigError(f"a rule puts {tuple(new.shape)} into state[{name!r}]; keep to {known}")
        kept[name].copy_(new)
