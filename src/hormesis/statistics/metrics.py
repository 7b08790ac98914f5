"""Metrics as a value and an influence: one number per row, mean 0, whose mean square gives the standard error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hormesis.statistics.auc import one_against_one, one_against_rest, roc_auc, unseen_ovo, unseen_ovr
from hormesis.statistics.intervals import Floats

CLIP = 1e-6


@dataclass(frozen=True)
class Metric:
    """A score with a known influence.

    `measure` takes the labels and the answers (class labels, the positive class's probability, probabilities of all
    classes, or numbers) and returns value and influence; `unseen` is the influence of one row that went wrong and
    was not sampled; `share` scores lie between 0 and 1 and get Wilson's interval; scores that `weigh` classes rest on
    the rows of the rarest one.
    """

    asks: str
    measure: Callable[[Any, Any], tuple[float, Floats]]
    unseen: Callable[[Any, Floats], float]
    share: bool = False
    weighs: bool = False


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


def _matthews(y: Any, labels: Any) -> tuple[float, Floats]:
    """Return the correlation of labels and answers (Gorodkin 2004), its influence by the chain rule."""
    classes, code = np.unique(np.concatenate([y, labels]), return_inverse=True)
    true, said = code[: y.size], code[y.size :]
    t, p = (np.bincount(c, minlength=classes.size) / y.size for c in (true, said))
    right = (true == said).astype(float)
    agreed, spread_t, spread_p = right.mean() - t @ p, 1 - t @ t, 1 - p @ p
    scale = np.sqrt(spread_t * spread_p)
    if not scale > 0:
        return 0.0, np.zeros(y.size)
    covariance = right - right.mean() - (t[said] - t @ p) - (p[true] - t @ p)
    of_t, of_p = -2 * (t[true] - t @ t), -2 * (p[said] - p @ p)
    value = agreed / scale
    return float(value), covariance / scale - value / 2 * (of_t / spread_t + of_p / spread_p)


@dataclass(frozen=True)
class _Ratio:
    """F1, precision or recall: `parts` * right / (`true` * share of the class + `said` * share of the answers)."""

    true: int
    said: int

    @property
    def parts(self) -> int:
        return self.true + self.said

    def positive(self, y: Any, labels: Any) -> tuple[float, Floats]:
        """Return the score of the second class."""
        both = (labels & y).astype(float)
        below = self.true * y.astype(float) + self.said * labels
        value = self.parts * both.mean() / max(below.mean(), 1 / y.size)
        return float(value), (self.parts * both - value * below) / max(below.mean(), 1 / y.size)

    def macro(self, y: Any, labels: Any) -> tuple[float, Floats]:
        """Return the mean over the classes seen or said."""
        return self._averaged(y, labels, weighted=False)

    def weighted(self, y: Any, labels: Any) -> tuple[float, Floats]:
        """Return the mean over classes, weighted by their rows."""
        return self._averaged(y, labels, weighted=True)

    def _averaged(self, y: Any, labels: Any, *, weighted: bool) -> tuple[float, Floats]:
        classes, code = np.unique(np.concatenate([y, labels]), return_inverse=True)
        true, said, k = code[: y.size], code[y.size :], classes.size
        right = (true == said).astype(float)
        t, p = (np.bincount(c, minlength=k) / y.size for c in (true, said))
        below = np.maximum(self.true * t + self.said * p, 1 / y.size)
        each = self.parts * np.bincount(true, right, minlength=k) / y.size / below
        weight = t if weighted else np.full(k, 1 / k)
        per, lost = weight / below, weight * each / below
        value = float(weight @ each)
        influence = self.parts * right * per[true] - self.true * lost[true] - self.said * lost[said]
        return value, influence + (each[true] - value if weighted else 0.0)


F1, PRECISION, RECALL = _Ratio(1, 1), _Ratio(0, 1), _Ratio(1, 0)


def _log_loss(code: Any, proba: Any) -> tuple[float, Floats]:
    return _mean(np.log(np.clip(proba[np.arange(code.size), code], CLIP, 1 - CLIP)))


def _brier(code: Any, proba: Any) -> tuple[float, Floats]:
    """Return minus the squared distance of the probabilities; with two classes of one of them, as is usual."""
    if proba.shape[1] == 2:
        return _mean(-((code - proba[:, 1]) ** 2))
    true = proba[np.arange(code.size), code]
    return _mean(2 * true - 1 - np.einsum("ij,ij->i", proba, proba))


def _r2(y: Any, s: Any) -> tuple[float, Floats]:
    e, q = (y - s) ** 2, (y - y.mean()) ** 2
    m, v = e.mean(), q.mean()
    return float(1 - m / v), (m - e) / v + m * (q - v) / v**2


def _rmse(y: Any, s: Any) -> tuple[float, Floats]:
    e = (y - s) ** 2
    m = e.mean()
    return float(-np.sqrt(m)), (m - e) / max(2 * np.sqrt(m), 1e-300)


def _absolute_share(y: Any, s: Any) -> tuple[float, Floats]:
    return _mean(-np.abs(y - s) / np.maximum(np.abs(y), np.finfo(float).eps))


def _shares(y: Any) -> Floats:
    """Return the share of each class."""
    shares: Floats = np.unique(y, return_counts=True)[1] / y.size
    return shares


def _worst_f1(y: Any, _: Floats) -> float:
    shares = np.sort(_shares(y))
    return float((0.5 / shares[:2]).sum() / shares.size)


def _worst_match(y: Any, _: Floats) -> float:
    return float(1 / (1 - (_shares(y) ** 2).sum()))


def _worst_recall(y: Any, _: Floats) -> float:
    shares = _shares(y)
    return float(1 / shares.min() / shares.size)


def _worst(_: Any, f0: Floats) -> float:
    return float(np.quantile(np.abs(f0), 0.99))


def _one(_y: Any, _f: Floats) -> float:
    return 1.0


METRICS: dict[str, Metric] = {
    "accuracy": Metric("labels", _accuracy, _one, share=True),
    "balanced_accuracy": Metric("labels", _balanced_accuracy, _worst_recall, share=True, weighs=True),
    "matthews_corrcoef": Metric("labels", _matthews, _worst_match, weighs=True),
    "f1": Metric("positive", F1.positive, lambda y, _f: 0.5 / y.mean(), share=True, weighs=True),
    "f1_macro": Metric("labels", F1.macro, _worst_f1, share=True, weighs=True),
    "f1_micro": Metric("labels", _accuracy, _one, share=True),
    "f1_weighted": Metric("labels", F1.weighted, _one, share=True),
    "precision": Metric("positive", PRECISION.positive, lambda y, _f: 1 / y.mean(), share=True, weighs=True),
    "precision_macro": Metric("labels", PRECISION.macro, _worst_recall, share=True, weighs=True),
    "precision_micro": Metric("labels", _accuracy, _one, share=True),
    "precision_weighted": Metric("labels", PRECISION.weighted, _one, share=True),
    "recall": Metric("positive", RECALL.positive, lambda y, _f: 1 / y.mean(), share=True, weighs=True),
    "recall_macro": Metric("labels", RECALL.macro, _worst_recall, share=True, weighs=True),
    "recall_micro": Metric("labels", _accuracy, _one, share=True),
    "recall_weighted": Metric("labels", RECALL.weighted, _one, share=True),
    "roc_auc": Metric("score", roc_auc, unseen_ovr(weighted=False), share=True, weighs=True),
    "roc_auc_ovr": Metric(
        "proba", one_against_rest(weighted=False), unseen_ovr(weighted=False), share=True, weighs=True
    ),
    "roc_auc_ovr_weighted": Metric(
        "proba", one_against_rest(weighted=True), unseen_ovr(weighted=True), share=True, weighs=True
    ),
    "roc_auc_ovo": Metric(
        "proba", one_against_one(weighted=False), unseen_ovo(weighted=False), share=True, weighs=True
    ),
    "roc_auc_ovo_weighted": Metric(
        "proba", one_against_one(weighted=True), unseen_ovo(weighted=True), share=True, weighs=True
    ),
    "neg_log_loss": Metric("proba", _log_loss, _worst),
    "neg_brier_score": Metric("proba", _brier, _worst),
    "r2": Metric("numbers", _r2, _worst),
    "neg_root_mean_squared_error": Metric("numbers", _rmse, _worst),
    "neg_mean_squared_error": Metric("numbers", lambda y, s: _mean(-((y - s) ** 2)), _worst),
    "neg_mean_absolute_error": Metric("numbers", lambda y, s: _mean(-np.abs(y - s)), _worst),
    "neg_mean_absolute_percentage_error": Metric("numbers", _absolute_share, _worst),
}
