"""What makes a class a noise: a frozen record whose types are its checks, listed in the catalogue."""

import dataclasses
import functools
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from hormesis.errors import SettingError, listed, nearest
from hormesis.noise.units import unit_of

CATALOGUE: dict[str, type[Any]] = {}
T = TypeVar("T")


class Mistakes(SettingError):  # noqa: N818 (one error, several mistakes)
    """Settings with one mistake or several; `said` holds a sentence for each."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(" ".join(said))
        self.said = said


@dataclass_transform(frozen_default=True)
def noise(kind: type[T]) -> type[T]:
    """Make a class a noise: a frozen record, checked by its types, listed in the catalogue."""
    made: Any = dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))(kind)
    check = made.__init__

    @functools.wraps(check)
    def checked(self: Any, *level: float, **settings: Any) -> None:
        try:
            if len(level) > 1:
                raise SettingError(
                    f"`{kind.__name__}{level!r}`: only the level is positional; name the other settings."
                )
            check(self, *level, **settings)
        except ValidationError as error:
            mistakes = list(dict.fromkeys(explain(kind, e) for e in error.errors()))
            raise Mistakes(mistakes) from None

    made.__init__ = checked
    CATALOGUE[kind.__name__] = made
    return made  # type: ignore[no-any-return]


_TYPES = {"str", "int", "float", "bool", "function-after"}


def explain(kind: type[Any], error: Any) -> str:
    """Say one mistake of a noise's settings: what was given, the rule, the mend."""
    path = [p for p in error["loc"] if not (isinstance(p, str) and ("[" in p or p in _TYPES))]
    field = str(path[0]) if path else "settings"
    given = f"`{kind.__name__}({'.'.join(map(str, path))}={error['input']!r})`: "
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        owner = _owner(kind, path)
        known = [f.name for f in dataclasses.fields(owner)]
        return f"{given}no such setting; {owner.__name__} has {listed(known)}.{nearest(path[-1], known)}"
    if field in ("0", "level"):
        value = error["input"]
        given = f"`{kind.__name__}(level={value!r})`: "
        mend = f" Did you mean {value / 100:g}?" if _percent(kind, value) else ""
        return f"{given}level is {unit_of(kind).rule}.{mend}"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return (
        f"{given}{'.'.join(map(str, path)) or 'settings'}: expected {message}."
        if path
        else f"{given}{message}."
    )


def _owner(kind: Any, path: list[Any]) -> Any:
    """Return the record that the last word of a path was meant for."""
    for word in path[:-1]:
        kind = next((f.type for f in dataclasses.fields(kind) if f.name == word), kind)
    return kind


def _percent(kind: type[Any], value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and unit_of(kind).name == "fraction" and 1 < float(value) <= 100  # type: ignore[arg-type]
