"""Claims: sentences that people wrote about results, each with an expression that must hold of them."""

import ast
import re
import textwrap
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML, YAMLError
from simpleeval import EvalWithCompoundTypes, InvalidExpression

from grokking.config import STRICT, ConfigError, load

NEAR = 0.05  # evaluations are 2 % of the step apart, and on another processor an event moves by one or two
WRONG = (InvalidExpression, LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


def near(found: float | None, said: float) -> bool:
    """Whether a step is the one that is said, as nearly as another processor repeats it."""
    return found is not None and abs(found - said) <= NEAR * said


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "all": all, "any": any, "len": len, "max": max, "min": min, "near": near, "round": round, "sum": sum,
}  # fmt: skip


def _parsed(text: str) -> str:
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"must be one expression, but got {text!r}: {error.msg}") from None
    return text.strip()


class BrokenClaim(ConfigError):
    """A claim that does not hold of the numbers."""


@dataclass(frozen=True, config=STRICT)
class Claim:
    where: str  # the file of the sentence
    says: str  # the sentence, or the part of it that claims something, word by word; line breaks are spaces
    holds: Annotated[str, AfterValidator(_parsed)]  # an expression, true of the numbers


@dataclass(frozen=True, config=STRICT)
class Claims:
    numbers: dict[str, str]  # a name in the expressions, and the JSON file that it stands for
    claims: dict[str, Claim]

    def used(self, name: str) -> set[str]:
        """The names of numbers that a claim is about."""
        nodes = ast.walk(ast.parse(self.claims[name].holds, mode="eval"))
        return {node.id for node in nodes if isinstance(node, ast.Name)} & set(self.numbers)


def read(file: Path) -> Claims:
    """All claims of a file; ConfigError for a missing key, or an expression that is none or about nothing."""
    try:
        found = load(Claims, YAML(typ="safe").load(file.read_text(encoding="utf-8")), str(file))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"cannot read {file}: {' '.join(str(error).split())}") from None
    for name in found.claims:
        if not found.used(name):
            known = ", ".join(found.numbers) or "(none)"
            raise ConfigError(f"`{file}.claims.{name}.holds` names no numbers; known: {known}")
    return found


def require(claims: Claims, numbers: Mapping[str, Any], new: Collection[str]) -> None:
    """BrokenClaim, in one line, for the first claim about new numbers that does not hold.

    `numbers` has the content of each file that is there. A claim about one that is missing waits for it.
    """
    for name, claim in claims.claims.items():
        used = claims.used(name)
        if used & set(new) and used <= set(numbers) and (problem := _problem(claim.holds, numbers)):
            says = " ".join(claim.says.split())
            raise BrokenClaim(
                f"claim `{name}` does not hold: {claim.where} says “{says}”, but {problem}; "
                "mend the sentence, or the claim in reports/claims.yaml"
            )


def _problem(holds: str, numbers: Mapping[str, Any]) -> str | None:
    """Why an expression is not true of the numbers, with the values in it; None where it is true."""
    body = ast.parse(holds, mode="eval").body
    try:
        if _evaluated(body, numbers):
            return None
    except WRONG as error:
        return f"`{ast.unparse(body)}` cannot be evaluated: {_message(error)}"
    values = {ast.unparse(part): _shown(part, numbers) for part in _parts(body)}
    return f"`{ast.unparse(body)}` is false with " + ", ".join(f"{part} = {v}" for part, v in values.items())


def _message(error: Exception) -> str:
    """What is wrong, without the expression again."""
    if isinstance(error, LookupError):
        return f"{error} is missing"
    return " ".join(re.split(" (?:in|for) expression ", str(error))[0].split())


def _evaluated(node: ast.expr, numbers: Mapping[str, Any]) -> Any:
    evaluator = EvalWithCompoundTypes(functions=dict(FUNCTIONS), names=dict(numbers))
    return evaluator.eval(ast.unparse(node), previously_parsed=node)


def _shown(part: ast.expr, numbers: Mapping[str, Any]) -> str:
    try:
        return textwrap.shorten(repr(_evaluated(part, numbers)), 300, placeholder=" ...")
    except WRONG:
        return "missing"


def _parts(node: ast.AST) -> list[ast.expr]:
    """The numbers in an expression; of a loop the list of those that it compares."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "len":
        return [node]
    if isinstance(node, ast.Attribute | ast.Subscript):
        return [node]
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        elements = [part for part in _parts(node.elt) if not isinstance(part, ast.ListComp)] or [node.elt]
        element = elements[0] if len(elements) == 1 else ast.Tuple(elements, ast.Load())
        return [ast.ListComp(element, node.generators)]
    return [part for child in ast.iter_child_nodes(node) for part in _parts(child)]
