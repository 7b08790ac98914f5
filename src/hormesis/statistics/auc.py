"""The area under the ROC curve, of two classes and of more, by DeLong's placements."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from hormesis.statistics.intervals import Floats


def placements(y: Any, score: Any) -> Floats:
    """Return for each row the share of the other class that it is ranked rightly against, ties counting one half.

    >>> placements(np.array([True, True, False]), np.array([0.9, 0.5, 0.5]))
    array([1.  , 0.5 , 0.75])
    """
    order = np.argsort(score)
    ranked, positive = score[order], y[order]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))  # of each run of equal scores
    edge = np.append(first, y.size)
    below = np.append(0, np.cumsum(positive))[edge]  # positives below each run
    under = edge - below
    rightly = (under[:-1] + under[1:]) / (2 * under[-1])
    wrongly = (below[:-1] + below[1:]) / (2 * below[-1])
    run = np.repeat(np.arange(first.size), np.diff(edge))
    out = np.empty(y.size)
    out[order] = np.where(positive, rightly[run], 1 - wrongly[run])
    return out


def roc_auc(y: Any, score: Any) -> tuple[float, Floats]:
    """Return the AUC of the second class (DeLong et al. 1988); NaN where the rows hold one class."""
    n, m = y.size, int(np.count_nonzero(y))
    if m in (0, n):
        return float("nan"), np.full(n, np.nan)
    placed = placements(y, score)
    value = float(placed[y].mean())
    return value, (placed - value) * np.where(y, _per_class(n, m), _per_class(n, n - m))


def _per_class(rows: int, own: int) -> float:
    """Return the weight of a row of a class, with one row less where a variance is estimated, as DeLong has it."""
    return float(rows / np.sqrt(own * max(own - 1, 1)))


def one_against_rest(*, weighted: bool) -> Callable[[Any, Any], tuple[float, Floats]]:
    """Return the metric: the AUC of each class against the others, averaged over classes or by their shares."""

    def measure(code: Any, proba: Any) -> tuple[float, Floats]:
        classes, count = np.unique(code, return_counts=True)
        if classes.size < 2:
            return float("nan"), np.full(code.size, np.nan)
        value, influence = 0.0, np.zeros(code.size)
        for k, share in zip(classes.tolist(), (count / code.size).tolist(), strict=True):
            own, f = roc_auc(code == k, proba[:, k])
            weight = share if weighted else 1 / classes.size
            value += weight * own
            influence += weight * f + (own * ((code == k) - share) if weighted else 0.0)
        return value, influence

    return measure


def one_against_one(*, weighted: bool) -> Callable[[Any, Any], tuple[float, Floats]]:
    """Return the metric: the AUC of each pair of classes (Hand and Till 2001), averaged over pairs or by their shares."""

    def measure(code: Any, proba: Any) -> tuple[float, Floats]:
        classes, count = np.unique(code, return_counts=True)
        if classes.size < 2:
            return float("nan"), np.full(code.size, np.nan)
        rows = {k: np.flatnonzero(code == k) for k in classes.tolist()}
        share = dict(zip(classes.tolist(), (count / code.size).tolist(), strict=True))
        pairs = list(combinations(classes.tolist(), 2))
        value, influence = 0.0, np.zeros(code.size)
        for a, b in pairs:
            both = share[a] + share[b]
            weight = both / (classes.size - 1) if weighted else 1 / len(pairs)
            own = _pair(rows[a], rows[b], proba[:, a], proba[:, b], influence, weight)
            value += weight * own
            if weighted:
                influence += own * (np.isin(code, (a, b)) - both) / (classes.size - 1)
        return value, influence

    return measure


def _pair(a: Any, b: Any, of_a: Floats, of_b: Floats, influence: Floats, weight: float) -> float:
    """Return the mean of a pair's two AUCs, and add its influence to the rows of the pair."""
    rows, n, total = np.append(a, b), influence.size, 0.0
    first = np.arange(rows.size) < a.size
    per = np.where(first, _per_class(n, a.size), _per_class(n, b.size))
    for y, score in ((first, of_a), (~first, of_b)):
        placed = placements(y, score[rows])
        own = float(placed[y].mean())
        influence[rows] += weight / 2 * (placed - own) * per
        total += own / 2
    return total


def unseen_ovr(*, weighted: bool) -> Callable[[Any, Floats], float]:
    """Return h: the influence of a row of the class that weighs most, a quarter of the ranks away."""

    def unseen(y: Any, _: Floats) -> float:
        p = np.unique(y, return_counts=True)[1] / y.size
        weight = p if weighted else np.full(p.size, 1 / p.size)
        others = weight / (1 - p)
        return float(0.25 * (weight / p + others.sum() - others).max())

    return unseen


def unseen_ovo(*, weighted: bool) -> Callable[[Any, Floats], float]:
    """Return h for pairs of classes, as for one class against the others."""

    def unseen(y: Any, _: Floats) -> float:
        p = np.unique(y, return_counts=True)[1] / y.size
        k = p.size
        scale = (1 + (k - 2) * p) / (k - 1) if weighted else np.full(k, 2 / k)
        return float(0.25 * (scale / p).max())

    return unseen
