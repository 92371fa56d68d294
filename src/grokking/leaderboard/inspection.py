"""What the source of a submission may hold: constants, and functions of tensors.

Reading a submission calls none of its code. What a function may name is listed here, and all else is refused.
This keeps an honest rule honest. It is no wall against someone who means harm: read a submission before you
run it.
"""

import ast
import builtins
import math
from typing import Any

import torch

from grokking.config import ConfigError

BUILTINS = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "pow",
    "range", "reversed", "round", "sorted", "sum", "tuple", "zip",
}  # fmt: skip
TORCH = {
    "abs", "addcdiv", "addcmul", "arange", "argsort", "atan2", "baddbmm", "bfloat16", "bmm", "bool",
    "cat", "clamp", "copysign", "cos", "cumsum", "diag_embed", "diagonal", "div", "einsum", "empty_like",
    "exp", "eye", "finfo", "flip", "float32", "float64", "floor", "full", "full_like", "inf", "int64",
    "isfinite", "isnan", "lerp", "linalg", "log", "logical_and", "logical_not", "logical_or", "matmul",
    "maximum", "mean", "median", "minimum", "nan_to_num", "norm", "ones", "ones_like", "outer", "pi",
    "pow", "quantile", "relu", "roll", "round", "rsqrt", "sigmoid", "sign", "sin", "sort", "sqrt",
    "stack", "std", "sum", "tanh", "tensor", "topk", "var", "where", "zeros", "zeros_like",
}  # fmt: skip
LINALG = {"eigh", "matrix_norm", "norm", "qr", "solve", "svd", "vector_norm"}
# Methods that read or change more than the values of a tensor, that draw numbers (a trial would depend on
# those before it), and `format`, which reads attributes by name
BEYOND = {
    "apply_", "as_strided", "as_strided_", "backward", "bernoulli", "bernoulli_", "cauchy_", "data_ptr",
    "exponential_", "format", "format_map", "geometric_", "grad_fn", "log_normal_", "map_", "multinomial",
    "normal_", "numpy", "random_", "resize_", "resize_as_", "set_", "storage", "uniform_",
}  # fmt: skip
# Attributes that begin so: Python's own, frames of functions and coroutines, hooks
FRAMES = ("_", "ag_", "co_", "cr_", "f_", "gi_", "register_", "tb_", "untyped_")
DECLARATIONS = ("SETTINGS", "SPACE", "MATRIX_STATE")  # read once, before any training
ARGUMENTS = {
    "update": ["param", "grad", "state", "hparams"],
    "update_matrix": ["matrix", "grad", "state", "hparams"],
}


def require_harmless(tree: ast.Module, where: str) -> None:
    """Raise ConfigError, with the line, for anything that a training rule has no need of."""
    statements = tree.body[1:] if ast.get_docstring(tree) else tree.body
    for statement in statements:
        if reason := _reason_at_the_top(statement):
            raise _refused(statement, reason, where)
    defined, parents = _defined(tree), _parents(tree)
    for node in ast.walk(tree):
        if reason := _reason(node, defined, parents):
            raise _refused(node, reason, where)


def known_builtins() -> dict[str, Any]:
    """What Python itself gives to the source: the functions above, and an import of math and torch."""
    modules = {"math": math, "torch": torch}
    named = {name: getattr(builtins, name) for name in BUILTINS}
    return named | {"__import__": lambda name, *_: modules[name]}


def _reason_at_the_top(statement: ast.stmt) -> str:
    match statement:
        case ast.Import(names=names) if all(n.name in ("math", "torch") and not n.asname for n in names):
            return ""
        case ast.Import() | ast.ImportFrom():
            return "only `import math` and `import torch` are allowed"
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            if not _is_literal(value):
                return "a constant is written out, not computed"
            return "" if name in DECLARATIONS or _is_fixed(value) else "a constant cannot change: use a tuple"
        case ast.FunctionDef(name=name, decorator_list=decorators, args=arguments):
            defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
            if decorators or not all(_is_literal(own) and _is_fixed(own) for own in defaults):
                return "a function has no decorator, and its defaults are constants"
            if any(getattr(part, "annotation", None) for part in ast.walk(arguments)) or statement.returns:
                return "a function has no annotations, which reading it would compute"
            given = [argument.arg for argument in arguments.args]
            wanted = ARGUMENTS.get(name, given)
            return f"{name} takes {', '.join(wanted)}" if given != wanted else ""
    return "only imports, constants and functions stand at the top"


def _reason(node: ast.AST, defined: set[str], parents: dict[ast.AST, ast.AST]) -> str:
    """Why this piece is refused, or nothing."""
    match node:
        case ast.Import() | ast.ImportFrom() if not isinstance(parents[node], ast.Module):
            return "imports stand at the top"
        case (
            ast.Global()
            | ast.Nonlocal()
            | ast.ClassDef()
            | ast.Try()
            | ast.With()
            | ast.Match()
            | ast.TryStar()
            | ast.Yield()
            | ast.YieldFrom()
            | ast.Await()
        ):
            return f"`{type(node).__name__.lower()}` has no use in a training rule"
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            return "attributes are not assigned"
        case ast.Attribute(value=ast.Name(id="torch"), attr=name) if name not in TORCH:
            return f"`torch.{name}` is not allowed; these are: {', '.join(sorted(TORCH))}"
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="torch"), attr="linalg"), attr=name) if (
            name not in LINALG
        ):
            return f"`torch.linalg.{name}` is not allowed; these are: {', '.join(sorted(LINALG))}"
        case ast.Attribute(attr=name) if name.startswith(FRAMES) or name in BEYOND:
            return f"`.{name}` reaches beyond the tensors"
        case ast.Attribute(value=ast.Name(id="torch"), attr="linalg") if not _is_base(node, parents):
            return "`torch.linalg` is written before the name of a function of it"
        case ast.Name(id="torch" | "math") if not _is_base(node, parents):
            return f"`{node.id}` is written before the name of a function of it"
        case ast.Name(id=name) if name not in defined | BUILTINS | {"math", "torch"}:
            return f"`{name}` is not allowed, or not defined here"
    return ""


def _is_base(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    return isinstance(parents[node], ast.Attribute)


def _is_literal(node: ast.AST) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _is_fixed(node: ast.AST) -> bool:
    return not any(isinstance(part, ast.List | ast.Dict | ast.Set) for part in ast.walk(node))


def _defined(tree: ast.Module) -> set[str]:
    """Names that the source itself assigns, defines or takes as arguments."""
    nodes = list(ast.walk(tree))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    functions = {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    return stored | functions | {n.arg for n in nodes if isinstance(n, ast.arg)}


def _parents(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    return {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}


def _refused(node: ast.AST, reason: str, where: str) -> ConfigError:
    line = getattr(node, "lineno", 1)
    return ConfigError(f"{where}, line {line}: {reason}; see docs/leaderboard.md, *What a rule may use*")
