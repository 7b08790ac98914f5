"""Where a curve through measured points crosses a height, on a smooth line that never overshoots the points."""

from collections.abc import Sequence

import numpy as np

from hormesis.statistics.intervals import Floats

HALVINGS = 50


def cross(x: Sequence[float] | Floats, v: Sequence[float] | Floats, k: int, height: float) -> float | None:
    """Return where the curve crosses a height between points k and k + 1, None where one of the two is not finite.

    The curve is the monotone cubic of Fritsch and Butland: a straight line reads the crossing of a bent curve (R2 falls with
    the square of a shift) too early, by more than the interval is wide once rows are many.

    Source: Fritsch and Butland (1984), SIAM Journal on Scientific and Statistical Computing 5.

    >>> x = np.array([0.0, 0.1, 0.2, 0.3])
    >>> round(cross(x, x**2, 2, 0.0625), 3), round(cross(x, x, 2, 0.25), 3)
    (0.251, 0.25)
    """
    x, v = np.asarray(x, float), np.asarray(v, float)
    if not (np.isfinite(v[k]) and np.isfinite(v[k + 1])):
        return None
    step, rise = float(x[k + 1] - x[k]), float(v[k + 1] - v[k])
    first, last = _slope(x, v, k) * step, _slope(x, v, k + 1) * step
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        t = (low + high) / 2
        at = v[k] + t * (first + t * (3 * rise - 2 * first - last + t * (first + last - 2 * rise)))
        low, high = (t, high) if (at <= height) == (rise > 0) else (low, t)
    return float(x[k] + step * high)


def _slope(x: Floats, v: Floats, k: int) -> float:
    """Return the slope at a point: a harmonic mean of those on both sides, 0 at a turn, a parabola's at an end."""
    before, after = _secant(x, v, k - 1), _secant(x, v, k)
    if before is None or after is None:
        inner = _secant(x, v, k - 2) if after is None else _secant(x, v, k + 1)
        return _end(before or after or (1.0, 0.0), inner)
    (h, s), (g, t) = before, after
    if s * t <= 0:
        return 0.0
    return (3 * h + 3 * g) / ((h + 2 * g) / s + (2 * h + g) / t)


def _end(outer: tuple[float, float], inner: tuple[float, float] | None) -> float:
    (h, s), (g, t) = outer, inner or outer
    slope = s + h * (s - t) / (h + g)
    return min(max(slope, min(3 * s, 0.0)), max(3 * s, 0.0))


def _secant(x: Floats, v: Floats, k: int) -> tuple[float, float] | None:
    """Return length and slope between points k and k + 1, None where one is missing."""
    if not 0 <= k < len(x) - 1 or not (np.isfinite(v[k]) and np.isfinite(v[k + 1])):
        return None
    step = float(x[k + 1] - x[k])
    return step, float(v[k + 1] - v[k]) / step
