"""What makes a class a noise: a record of settings whose first is the level, listed in the catalogue."""

import functools
from typing import Any, TypeVar, dataclass_transform

from hormesis.errors import SettingError
from hormesis.records import Mistakes, record

CATALOGUE: dict[str, type[Any]] = {}
T = TypeVar("T")
__all__ = ["CATALOGUE", "Mistakes", "noise"]


@dataclass_transform(frozen_default=True)
def noise(kind: type[T]) -> type[T]:
    """Make a class a noise: a frozen record, checked by its types, listed in the catalogue."""
    made: Any = record(kind)
    check = made.__init__

    @functools.wraps(check)
    def checked(self: Any, *level: float, **settings: Any) -> None:
        if len(level) > 1:
            raise SettingError(
                f"`{kind.__name__}{level!r}`: only the level is positional; name the other settings."
            )
        check(self, *level, **settings)

    made.__init__ = checked
    CATALOGUE[kind.__name__] = made
    return made  # type: ignore[no-any-return]
