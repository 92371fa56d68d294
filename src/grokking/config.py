"""Strict loading of parsed YAML into frozen dataclasses that live beside the things they configure."""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

PARAMS_PREFIX = "params/"  # of the columns of trials.parquet that hold hyperparameters, by dotted key
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

T = TypeVar("T")


class ConfigError(ValueError):
    """A mistake in the configuration, in one line: the key, the value, the rule, the way out."""


def load(kind: type[T], mapping: object, where: str) -> T:
    """Build the dataclass `kind` from parsed YAML; unknown, missing and mistyped keys raise ConfigError.

    The detour over JSON gives pydantic's strict mode with lists accepted for tuples.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(mapping, default=str), strict=True)
    except TypeError:  # a list or a date is no key in JSON
        raise ConfigError(f"`{where}` has a key that is not a word; write a word") from None
    except ValidationError as error:
        raise ConfigError(_one_line(kind, where, error)) from None


def one_of(choices: Mapping[str, object]) -> AfterValidator:
    """A validator for a name that must be a key of `choices`."""
    return satisfying(choices.__contains__, f"be one of {', '.join(choices)}")


def satisfying(
    rule: Callable[[Any], bool], text: str, found: Callable[[Any], str] = "got {!r}".format
) -> AfterValidator:
    """A validator for a value that must satisfy `rule`; its error says that the value must `text`."""

    def check(value: Any) -> Any:
        if not rule(value):
            raise ValueError(f"must {text}, but {found(list(value) if isinstance(value, tuple) else value)}")
        return value

    return AfterValidator(check)


def whole_number(low: int, high: int) -> AfterValidator:
    """A validator for a whole number from `low` to `high`."""
    return satisfying(lambda x: low <= x <= high, f"be a whole number from {low} to {high}")


def at_most(most: int, what: str) -> AfterValidator:
    """A validator for a list of at most `most` values, which it counts and does not print."""
    text = f"list at most {most:,} {what}"
    return satisfying(lambda values: len(values) <= most, text, lambda values: f"has {len(values):,}")


Fraction = Annotated[float, satisfying(lambda x: 0 < x < 1, "lie in (0, 1)")]
UnitInterval = Annotated[float, satisfying(lambda x: 0 <= x < 1, "lie in [0, 1)")]
NonNegative = Annotated[float, satisfying(lambda x: x >= 0, "be at least 0")]
Positive = Annotated[float, satisfying(lambda x: x > 0, "be above 0")]
NonNegativeInt = Annotated[int, satisfying(lambda x: x >= 0, "be a whole number of at least 0")]
PositiveInt = Annotated[int, satisfying(lambda x: x >= 1, "be a whole number of at least 1")]
LayerWidth = Annotated[int, whole_number(1, 16384)]
Depth = Annotated[int, whole_number(1, 100)]  # in layers
Steps = Annotated[int, whole_number(1, 10**9)]
Seed = Annotated[int, satisfying(lambda x: 0 <= x < 2**31, "lie in [0, 2^31)")]


def _one_line(kind: Any, where: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    path, _ = _walk(kind, first["loc"])
    key = f"`{'.'.join([where, *path])}`"
    match first["type"]:
        case "missing" | "union_tag_not_found":
            return f"{key} is missing or incomplete; add it"
        case "unexpected_keyword_argument":
            _, owner = _walk(kind, first["loc"][:-1])
            known = ", ".join(field.name for field in dataclasses.fields(owner))
            return f"{key} is unknown; known keys here: {known}"
        case "union_tag_invalid":
            return f"{key} must be one of {first['ctx']['expected_tags']}, but got {first['ctx']['tag']!r}"
        case "dict_type" | "dataclass_type":
            return f"{key} must be a mapping of keys, but got {first['input']!r}"
        case "list_type" | "tuple_type":
            return f"{key} must be a list, such as [{first['input']!r}], but got {first['input']!r}"
        case "value_error":
            return f"{key} {first['msg'].removeprefix('Value error, ')}"
    return f"{key} {first['msg'].replace('Input should', 'should')}, but got {first['input']!r}"


def _walk(kind: Any, location: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """Follow an error's location through the dataclasses: the keys a user wrote, and the type found there.

    For a union pydantic adds the chosen member's tag to the location; the user never wrote that step.
    """
    path = []
    for key in location:
        if typing.get_origin(kind) is Annotated:
            kind = typing.get_args(kind)[0]
        if isinstance(kind, types.UnionType):
            kind = next(member for member in typing.get_args(kind) if key in _tags(member))
            continue
        path.append(str(key))
        if typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
            continue
        members = typing.get_args(kind) if isinstance(key, int) else ()
        kind = members[0] if members else _hints(kind).get(str(key))
    return path, kind


def _tags(member: Any) -> tuple[str, ...]:
    """The values of the first field of a union's member, by convention its tag."""
    return typing.get_args(next(iter(_hints(member).values())))


def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True) if dataclasses.is_dataclass(kind) else {}
