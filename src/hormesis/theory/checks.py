"""What the closed forms accept: numbers in range, tables of finite numbers."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.errors import DataError, SettingError

Floats = NDArray[np.float64]


def table(X: ArrayLike) -> Floats:
    """Return a table of finite numbers, one row a sample."""
    try:
        values = np.asarray(X, np.float64)
    except (TypeError, ValueError):
        raise DataError("X holds values that are no numbers: encode them first.") from None
    if values.ndim != 2 or not values.size:
        raise DataError(f"X has shape {values.shape}: expected rows and features, at least one of each.")
    if not np.isfinite(values).all():
        raise DataError(
            "X holds NaN or infinite values: a closed form needs finite numbers; impute them first."
        )
    return values


def targets(y: ArrayLike, rows: int) -> NDArray[Any]:
    """Return one target per row."""
    values = np.asarray(y)
    if values.shape != (rows,):
        raise DataError(f"y has shape {values.shape}: expected ({rows},), one target per row of X.")
    return values


def level(name: str, value: float, *, zero: bool = True) -> float:
    """Return a finite number that is not negative (with `zero=False`: above 0)."""
    number = float(value)
    if not np.isfinite(number) or number < 0 or (number == 0 and not zero):
        rule = "0 or more" if zero else "above 0"
        raise SettingError(f"`{name}={value!r}`: {name} is a finite number, {rule}.")
    return number


def levels(name: str, value: ArrayLike, width: int) -> Floats:
    """Return one number per feature, none negative, from one number or one per feature."""
    numbers = np.asarray(value, np.float64)
    if numbers.ndim > 1 or (numbers.ndim == 1 and numbers.size != width):
        raise SettingError(
            f"`{name}` has shape {numbers.shape}: give one number, or one per feature ({width})."
        )
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise SettingError(f"`{name}={value!r}`: {name} is finite and 0 or more.")
    return np.broadcast_to(numbers, (width,)).astype(np.float64)


def rate(name: str, value: float, *, top: float = 1.0) -> float:
    """Return a fraction from 0 to below `top`."""
    number = float(value)
    if not 0 <= number < top:
        mend = f" Did you mean {number / 100:g}?" if 1 < number < 100 else ""
        raise SettingError(f"`{name}={value!r}`: {name} is a fraction, 0 to below {top:g}.{mend}")
    return number
