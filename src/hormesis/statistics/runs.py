"""Break points: unbroken runs of passes and failures, where a curve crosses the tolerance, and the area under it."""

from collections.abc import Sequence

import numpy as np

from hormesis.statistics.crossing import cross
from hormesis.statistics.intervals import Floats


def runs(low: Floats, high: Floats, tolerance: float) -> tuple[int, int]:
    """Return how many levels pass in an unbroken run from clean, and where the failures at the top begin."""
    passes = int(np.argmin(np.append(high <= tolerance, False)))
    fails = len(low) - int(np.argmin(np.append((low > tolerance)[::-1], False)))
    return passes, fails


def crossings(levels: Floats, low: Floats, high: Floats, tolerance: float) -> tuple[float, float | None]:
    """Return where the interval's two curves, drawn smoothly through the levels, cross the tolerance."""
    passes, fails = runs(low, high, tolerance)
    x = np.append(0.0, levels)
    top = len(levels)
    a = (
        x[passes]
        if passes in (0, top)
        else _cross(x, np.append(0.0, high), passes, tolerance, beyond=x[passes])
    )
    if fails == top:
        return float(a), None
    if fails == 0:
        return float(a), float(x[1])
    return float(a), _cross(x, np.append(0.0, low), fails, tolerance, beyond=x[fails + 1])


def _cross(x: Floats, v: Floats, k: int, tolerance: float, beyond: float) -> float:
    found = None if v[k + 1] == v[k] else cross(x, v, k, tolerance)
    return float(beyond) if found is None else found


def area(levels: Sequence[float], scores: Sequence[float], clean: float, floor: float | None) -> float | None:
    """Return the area under the score-level curve from 0, as a share of the clean score; None where that is not above 0."""
    if clean <= 0 or not levels:
        return None
    held = np.array([clean, *scores])
    if floor is not None:
        held = np.maximum(held, floor)
    return float(np.trapezoid(held, [0.0, *levels]) / (levels[-1] * clean))
