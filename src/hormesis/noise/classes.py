"""Classes by name: labels of any type, as recipes spell them."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import BeforeValidator

from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.profile import ColumnProfile


def _spelt(label: Any) -> str:
    if isinstance(label, bool | int | float | str | np.generic):
        return str(label)
    raise ValueError("a class: text, a number or a boolean")


Label = Annotated[str, BeforeValidator(_spelt)]  # JSON knows no other kind of name
Rate = Annotated[float, Interval(ge=0, le=1)]


def check_classes(noise: str, column: ColumnProfile, mend: str) -> None:
    """Refuse a column whose values are no classes.

    Raises
    ------
    DataError
        Values that are not whole, or too many.
    """
    if column.count and not all(_whole(c) for c in column.categories or (0.5,)):
        raise DataError(
            f"`{noise}` needs classes; `{column.name}` holds {column.kind} values that are not whole or too "
            f"many to be classes. {mend}"
        )


def class_of(noise: str, label: str, column: ColumnProfile) -> int:
    """Return the position of a class; `1` and `1.0` name the same one.

    Raises
    ------
    SettingError
        The training data have no such class.
    """
    for i, known in enumerate(column.categories):
        if label == str(known) or (isinstance(known, float) and label == f"{known:.0f}"):
            return i
    raise SettingError(
        f"`{noise}` names the class `{label}`; the labels are {listed(column.categories)}."
        f"{nearest(label, column.categories)}"
    )


def per_class(
    noise: str, said: Mapping[str, float], column: ColumnProfile, default: float
) -> NDArray[np.float64]:
    """Return a number for each class: the one said of it, or the default."""
    out = np.full(len(column.categories), default)
    for label, number in said.items():
        out[class_of(noise, label, column)] = number
    return out


def in_order(column: ColumnProfile) -> list[int]:
    """Return the positions of the classes in their natural order: numbers first, by size, then words."""
    words = [(isinstance(c, str), c) for c in column.categories]
    return sorted(range(len(words)), key=words.__getitem__)


def _whole(category: bool | int | float | str) -> bool:  # noqa: FBT001 (labels may be booleans)
    return not isinstance(category, float) or category.is_integer()
