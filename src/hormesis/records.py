"""Records of settings: frozen dataclasses whose types are their checks, and which refuse a mistake in one sentence."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, dataclass_transform, get_args

import numpy as np
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from hormesis.errors import SettingError, listed, nearest

T = TypeVar("T")
Path = tuple[Any, ...]
_TYPES = {"str", "int", "float", "bool", "function-after"}
_WORDS = {
    "a valid string": "text",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "a valid number": "a number",
    "a valid integer": "a whole number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}
_YES = "a number or text; YAML takes yes, no, on and off for truth values unless they stand in quotes"


class Mistakes(SettingError):  # noqa: N818 (one error, several mistakes)
    """Settings with one mistake or several; `said` holds a sentence for each."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(" ".join(said))
        self.said = said


@dataclass_transform(frozen_default=True)
def record(kind: type[T]) -> type[T]:
    """Make a class a record: frozen, checked by its types, whose mistakes are sentences."""
    made: Any = dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))(kind)
    check = made.__init__
    names = [f.name for f in dataclasses.fields(made)]

    @functools.wraps(check)
    def checked(self: Any, *placed: Any, **settings: Any) -> None:
        if len(placed) > len(names):
            raise SettingError(f"`{_call(kind, placed, settings)}`: {kind.__name__} has {listed(names)}.")
        try:
            check(self, *placed, **settings)
        except ValidationError as error:
            raise Mistakes(_sentences(kind, error, _call(kind, placed, settings))) from None
        given = dict(zip(names, placed, strict=False)) | settings
        wrong = [_said(kind, path, value, [_YES]) for path, value in _coerced(given, self)]
        if wrong:
            raise Mistakes(wrong)

    made.__init__ = checked
    return made  # type: ignore[no-any-return]


def _call(kind: type[Any], placed: Path, settings: Mapping[str, Any]) -> str:
    words = [*map(repr, placed), *(f"{name}={value!r}" for name, value in settings.items())]
    return f"{kind.__name__}({', '.join(words)})"


def _sentences(kind: type[Any], error: ValidationError, call: str) -> list[str]:
    """Say each mistake once: what was given, the rule, the mend."""
    found: dict[tuple[Path, str], tuple[Any, list[str]]] = {}
    said: list[str] = []
    errors = error.errors()
    for one in errors:
        path = _path(kind, one["loc"])
        if one["type"] == "too_short" and any(
            e is not one and e["loc"][:1] == one["loc"][:1] for e in errors
        ):
            continue  # what is wrong inside is said already
        if one["type"] == "missing":
            said.append(f"`{call}`: `{path[-1]}` is missing.")
        elif not path:
            said.append(f"`{call}`: {_message(one)}.")
        elif one["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            said.append(_unknown(kind, path, one["input"]))
        elif one["type"] == "value_error" and dataclasses.is_dataclass(_held(kind, path)):
            said.append(f"{_given(kind, path, one['input'])}{_message(one)}.")
        else:
            found.setdefault((path, repr(one["input"])), (one["input"], []))[1].append(_message(one))
    return [_said(kind, path, value, rules) for (path, _), (value, rules) in found.items()] + said


def _path(kind: type[Any], loc: Path) -> Path:
    """Return the place of a mistake in words of the user: names of settings, without those of types."""
    path = [p for p in loc if not (isinstance(p, str) and ("[" in p or p in _TYPES))]
    if path and isinstance(path[0], int):
        path[0] = dataclasses.fields(kind)[path[0]].name
    return tuple(path)


def _message(error: Any) -> str:
    if error["type"] == "too_short":
        return f"at least {error['ctx']['min_length']} of them"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message.split(", unable to parse")[0]


def _given(kind: type[Any], path: Path, value: Any) -> str:
    return f"`{kind.__name__}({'.'.join(map(str, path))}={value!r})`: "


def _said(kind: type[Any], path: Path, value: Any, rules: list[str]) -> str:
    unit = _unit(kind, path)
    if unit is None:
        return f"{_given(kind, path, value)}{'.'.join(map(str, path))}: expected {' or '.join(rules)}."
    return f"{_given(kind, path, value)}{path[0]} is {unit.rule}.{unit.mend(value)}"


def _unknown(kind: type[Any], path: Path, value: Any) -> str:
    owner = _held(kind, path[:-1])
    known = [f.name for f in dataclasses.fields(owner)]
    said = f"no such setting; {owner.__name__} has {listed(known)}.{nearest(path[-1], known)}"
    return _given(kind, path, value) + said


def _unit(kind: type[Any], path: Path) -> Any:
    """Return what says the rule of a setting in words, where its type carries that."""
    field = next(f for f in dataclasses.fields(kind) if f.name == path[0])
    return next((m for m in getattr(field.type, "__metadata__", ()) if hasattr(m, "rule")), None)


def _held(kind: Any, path: Path) -> Any:
    """Return the type of the setting at the end of a path."""
    for word in path:
        kinds = [k for k in (kind, *get_args(kind)) if dataclasses.is_dataclass(k)]
        kind = next((f.type for k in kinds for f in dataclasses.fields(k) if f.name == word), None)
    return kind


def _coerced(given: Any, held: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Find truth values that were taken for numbers."""
    if isinstance(given, bool | np.bool_):
        if isinstance(held, int | float) and not isinstance(held, bool):
            yield path, given
    elif isinstance(given, Mapping) and isinstance(held, Mapping):  # classes are spelt anew, in order
        for (name, value), kept in zip(given.items(), held.values(), strict=False):
            yield from _coerced(value, kept, (*path, name))
    elif isinstance(given, Mapping) and dataclasses.is_dataclass(held):
        for name, value in given.items():
            yield from _coerced(value, getattr(held, name), (*path, name))
    elif isinstance(given, list | tuple) and isinstance(held, tuple):
        for i, (value, kept) in enumerate(zip(given, held, strict=True)):
            yield from _coerced(value, kept, (*path, i))
