"""What the source of a submission may hold: functions of tensors, and nothing that reaches beyond them.

Names that read files, import modules or look into other objects are refused. This keeps an honest rule
honest; it is no wall against someone who means harm, so a submission is read before it is run.
"""

import ast

from grokking.config import ConfigError

IMPORTS = {"math", "torch"}
AT_THE_TOP = (ast.Import, ast.Assign, ast.FunctionDef)
BUILTINS = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "pow",
    "range", "reversed", "round", "sorted", "sum", "tuple", "zip", "True", "False", "None",
}  # fmt: skip
FILES = {"load", "save", "hub", "classes", "ops", "utils", "jit", "multiprocessing", "distributed", "package"}
GRAPH = {
    "grad_fn",
    "next_functions",
    "register_hook",
    "set_",
    "storage",
    "untyped_storage",
    "numpy",
    "data_ptr",
}


def require_harmless(tree: ast.Module, where: str) -> None:
    """Raise ConfigError, with the line, for anything that a training rule has no need of."""
    statements = tree.body[1:] if ast.get_docstring(tree) else tree.body
    for statement in statements:
        if not isinstance(statement, AT_THE_TOP):
            raise _refused(statement, "only imports, constants and functions stand at the top", where)
    defined = _defined(tree)
    for node in ast.walk(tree):
        if reason := _reason(node, defined):
            raise _refused(node, reason, where)


def _reason(node: ast.AST, defined: set[str]) -> str:
    """Why this piece is refused, or nothing."""
    match node:
        case ast.Import(names=names) if {alias.name for alias in names} - IMPORTS:
            return f"only {' and '.join(sorted(IMPORTS))} may be imported"
        case ast.ImportFrom() | ast.Global() | ast.Nonlocal() | ast.ClassDef() | ast.Try():
            return f"`{type(node).__name__.lower()}` has no use in a training rule"
        case ast.Attribute(attr=name) if name.startswith("_") or name in FILES | GRAPH:
            return f"`.{name}` reaches beyond the tensors"
        case ast.Name(id=name) if name not in defined | BUILTINS | IMPORTS:
            return f"`{name}` is not defined here"
    return ""


def _defined(tree: ast.Module) -> set[str]:
    """Names that the source itself assigns, defines or takes as arguments."""
    stored = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return stored | functions | arguments


def _refused(node: ast.AST, reason: str, where: str) -> ConfigError:
    line = getattr(node, "lineno", 1)
    return ConfigError(f"{where}, line {line}: {reason}; see docs/leaderboard.md, *What a rule may use*")
