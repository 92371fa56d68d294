"""What a configuration key takes, in words: from the annotation of its field."""

import dataclasses
import inspect
import re
import types
import typing
from typing import Annotated, Any, Literal

WORDS = {bool: "true or false", int: "whole number", float: "number", str: "word", Any: "anything"}


def type_and_rule(hint: Any) -> tuple[str, str]:
    """The type of a value and what it must satisfy."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kind, rule = type_and_rule(arguments[0])
        rules = [rule, *map(_rule, arguments[1:])]
        return kind, "; ".join(dict.fromkeys(filter(None, rules)))
    if origin is Literal:
        return " or ".join(dict.fromkeys(WORDS[type(value)] for value in arguments)), _choices(arguments)
    if origin is types.UnionType:
        kinds, rules = zip(*map(type_and_rule, arguments), strict=True)
        return " or ".join(dict.fromkeys(kinds)), "; ".join(filter(None, rules))
    if origin is tuple:
        kind, rule = type_and_rule(arguments[0])
        return f"list: {kind}", rule and f"each {rule}"
    return ("mapping", "") if origin is dict else (WORDS.get(hint, "mapping"), "")


def members(hint: Any) -> list[type]:
    """The dataclasses that a section may be; none where the value is no section."""
    if typing.get_origin(hint) is Annotated:
        return members(typing.get_args(hint)[0])
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return list(options) if all(map(dataclasses.is_dataclass, options)) else []


def _rule(validator: Any) -> str:
    """The text of `within`, `one_of` or `short`; of another validator its name."""
    if (function := getattr(validator, "func", None)) is None:
        return ""
    known = inspect.getclosurevars(function).nonlocals
    if "text" in known:
        text: str = known["text"]
        return _choices(text[10:].split(", ")) if text.startswith("be one of ") else _short(text)
    if "most" in known:
        return f"at most {known['most']:,} {known['what']}"
    return str(function.__name__).removeprefix("require_")


def _short(rule: str) -> str:
    """Without the words that the type says already."""
    return re.sub(r"^(be a whole number (of )?|be |lie )", "", rule)


def _choices(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in values)
