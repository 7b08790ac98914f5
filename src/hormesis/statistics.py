"""Intervals for scores, drops and break points, from one influence number per row.

A metric is a value and an influence: one number per row, mean 0, whose mean square gives the standard error.
A drop is paired, clean minus noisy row by row, repeats averaged inside the row; two pseudo-rows (+h, -h) stand for
rows that went wrong and were not sampled, so that no change in few rows does not pass for certainty.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.key import bits, key, lane

Floats = NDArray[np.float64]
ALPHA = 0.05
GROUPS = 50


@dataclass(frozen=True)
class Sample:
    """A score on some rows: its value and the influence of each row (or of each group, for a jackknife)."""

    value: float
    influence: Floats
    rows: int


@dataclass(frozen=True)
class Metric:
    """A score with a known influence.

    `measure` takes the labels and the answers (class labels, the positive class's probability, probabilities of all
    classes, or numbers) and returns value and influence; `unseen` is the influence of one row that went wrong and
    was not sampled; `share` scores lie between 0 and 1 and get Wilson's interval.
    """

    asks: str
    measure: Callable[[Any, Any], tuple[float, Floats]]
    unseen: Callable[[Any, Floats], float]
    share: bool = False


def _mean(g: Floats) -> tuple[float, Floats]:
    value = float(g.mean())
    return value, g - value


def _accuracy(y: Any, labels: Any) -> tuple[float, Floats]:
    return _mean((y == labels).astype(float))


def _balanced_accuracy(y: Any, labels: Any) -> tuple[float, Floats]:
    classes, code, count = np.unique(y, return_inverse=True, return_counts=True)
    right = (y == labels).astype(float)
    recall = np.bincount(code, right) / count
    return float(recall.mean()), (right - recall[code]) * (y.size / count)[code] / classes.size


def _f1(y: Any, labels: Any) -> tuple[float, Floats]:
    both = labels.mean() + y.mean()
    value = 2 * (labels & y).mean() / both if both else 0.0
    return float(value), (2 * (labels & y) - value * (labels.astype(float) + y)) / max(both, 1 / y.size)


def _roc_auc(y: Any, score: Any) -> tuple[float, Floats]:
    positive, negative = np.sort(score[y]), np.sort(score[~y])
    m, k, n = positive.size, negative.size, y.size
    v = np.empty(n)
    v[y] = _middle(negative, score[y]) / k
    v[~y] = 1 - _middle(positive, score[~y]) / m
    value = float(v[y].mean())
    scale = np.where(y, n / np.sqrt(m * max(m - 1, 1)), n / np.sqrt(k * max(k - 1, 1)))
    return value, (v - value) * scale


def _middle(ordered: Floats, values: Floats) -> Floats:
    """Return how many of `ordered` lie below each value, ties counting one half."""
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2


def _log_loss(code: Any, proba: Any) -> tuple[float, Floats]:
    return _mean(np.log(np.clip(proba[np.arange(code.size), code], 1e-6, 1 - 1e-6)))


def _brier(y: Any, score: Any) -> tuple[float, Floats]:
    return _mean(-((y - score) ** 2))


def _r2(y: Any, s: Any) -> tuple[float, Floats]:
    e, q = (y - s) ** 2, (y - y.mean()) ** 2
    m, v = e.mean(), q.mean()
    return float(1 - m / v), (m - e) / v + m * (q - v) / v**2


def _rmse(y: Any, s: Any) -> tuple[float, Floats]:
    e = (y - s) ** 2
    m = e.mean()
    return float(-np.sqrt(m)), (m - e) / max(2 * np.sqrt(m), 1e-300)


def _smaller_class(y: Any) -> float:
    return float(min(y.mean(), 1 - y.mean()))


def _worst_recall(y: Any, _: Floats) -> float:
    counts = np.unique(y, return_counts=True)[1]
    return float(y.size / counts.min() / counts.size)


def _worst(_: Any, f0: Floats) -> float:
    return float(np.quantile(np.abs(f0), 0.99))


METRICS: dict[str, Metric] = {
    "accuracy": Metric("labels", _accuracy, lambda _y, _f: 1.0, share=True),
    "balanced_accuracy": Metric("labels", _balanced_accuracy, _worst_recall, share=True),
    "f1": Metric("positive", _f1, lambda y, _f: 0.5 / y.mean(), share=True),
    "roc_auc": Metric("score", _roc_auc, lambda y, _f: 0.25 / _smaller_class(y), share=True),
    "neg_log_loss": Metric("proba", _log_loss, _worst),
    "neg_brier_score": Metric("score", _brier, _worst),
    "r2": Metric("numbers", _r2, _worst),
    "neg_root_mean_squared_error": Metric("numbers", _rmse, _worst),
    "neg_mean_squared_error": Metric("numbers", lambda y, s: _mean(-((y - s) ** 2)), _worst),
    "neg_mean_absolute_error": Metric("numbers", lambda y, s: _mean(-np.abs(y - s)), _worst),
}


def groups_of(rows: int, seed: int) -> NDArray[np.int64]:
    """Return the fixed jackknife group of each row, at random."""
    order = np.argsort(bits(lane(np.arange(rows)), key(seed, "jackknife")), kind="stable")
    group = np.empty(rows, np.int64)
    group[order] = np.arange(rows) % min(GROUPS, rows)
    return group


def jackknife(score: Callable[[NDArray[np.intp]], float], group: NDArray[np.int64]) -> Sample:
    """Return any score with one influence per group: pseudo-values of leaving each group out."""
    rows = np.arange(group.size)
    whole, k = score(rows), int(group.max()) + 1
    without = np.array([score(rows[group != g]) for g in range(k)])
    pseudo = k * whole - (k - 1) * without
    return Sample(whole, pseudo - pseudo.mean(), group.size)


def pseudo_row(metric: Metric | None, y: Any, clean: Sample) -> float:
    """Return h, the influence of one row like the worst that was not sampled yet."""
    if metric is not None:
        return metric.unseen(y, clean.influence)
    largest = float(np.abs(clean.influence).max()) or abs(clean.value)
    return largest / max(clean.rows / clean.influence.size, 1.0)


def t_quantile(degrees: float, alpha: float = ALPHA) -> float:
    """Return the two-sided critical value of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(max(degrees, 1), 1 - alpha / 2))


def difference(clean: Sample, noisy: Sequence[Sample], h: float) -> tuple[float, float, float]:
    """Return clean minus noisy, with its 95 % interval; `noisy` are repeats on the same rows."""
    n, units = clean.rows, clean.influence.size
    d = clean.influence - np.mean([s.influence for s in noisy], axis=0)
    value = (clean.value - float(np.mean([s.value for s in noisy]))) * n / (n + 2)
    half = t_quantile(units - 1) * np.sqrt(d @ d + 2 * h * h) / (units + 2 if units == n else units)
    return value, float(value - half), float(value + half)


def mean_difference(ours: Sequence[Sample], theirs: Sequence[Sample], h: float) -> tuple[float, float, float]:
    """Return the mean over cells of ours minus theirs, paired by row, with its 95 % interval."""
    rows, units = ours[0].rows, ours[0].influence.size
    mean = [
        Sample(float(np.mean([s.value for s in c])), np.mean([s.influence for s in c], axis=0), rows)
        for c in (ours, theirs)
    ]
    d = mean[0].influence - mean[1].influence
    value = mean[0].value - mean[1].value
    half = t_quantile(units - 1) * np.sqrt(d @ d + 2 * h * h) / units
    return value, float(value - half), float(value + half)


def score_interval(samples: Sequence[Sample], *, share: bool, smallest: int) -> tuple[float, float, float]:
    """Return a score with its 95 % interval: Wilson's with the effective number of rows for shares, else Student's."""
    f = np.mean([s.influence for s in samples], axis=0)
    value = float(np.mean([s.value for s in samples]))
    se = float(np.sqrt(f @ f)) / f.size
    if not share:
        half = t_quantile(f.size - 1) * se
        return value, value - half, value + half
    z = 1.959963984540054
    p = min(max(value, 0.0), 1.0)
    n = p * (1 - p) / se**2 if se > 0 and 0 < p < 1 else smallest
    middle = (p + z * z / 2 / n) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / 4 / n**2)
    return value, float(middle - half), float(middle + half)


def runs(low: Floats, high: Floats, tolerance: float) -> tuple[int, int]:
    """Return how many levels pass in an unbroken run from clean, and where the failures at the top begin."""
    passes = int(np.argmin(np.append(high <= tolerance, False)))
    fails = len(low) - int(np.argmin(np.append((low > tolerance)[::-1], False)))
    return passes, fails


def crossings(levels: Floats, low: Floats, high: Floats, tolerance: float) -> tuple[float, float | None]:
    """Return where the interval's two curves, joined by straight lines, cross the tolerance."""
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
    if not np.isfinite(v[k + 1]) or v[k + 1] == v[k]:
        return float(beyond)
    return float(x[k] + (tolerance - v[k]) / (v[k + 1] - v[k]) * (x[k + 1] - x[k]))


def area(levels: Sequence[float], scores: Sequence[float], clean: float, floor: float | None) -> float | None:
    """Return the area under the score-level curve from 0, as a share of the clean score; None where that is not above 0."""
    if clean <= 0 or not levels:
        return None
    held = np.array([clean, *scores])
    if floor is not None:
        held = np.maximum(held, floor)
    return float(np.trapezoid(held, [0.0, *levels]) / (levels[-1] * clean))
