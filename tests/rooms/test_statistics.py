"""Intervals cover, influences add up, break points are read in unbroken runs."""

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from hormesis import statistics
from hormesis.statistics import (
    METRICS,
    Drop,
    Sample,
    crossings,
    difference,
    drop_of,
    jackknife,
    mean_difference,
    runs,
    score_interval,
)


def sample(name, y, said):
    value, influence = METRICS[name].measure(y, said)
    return Sample(value, influence, y.size)


NUMBERS = sorted(name for name, metric in METRICS.items() if metric.asks == "numbers")
PAIRED = sorted(name for name, metric in METRICS.items() if metric.asks in ("positive", "score"))
CASES = [(name, 2) for name in sorted(METRICS.keys() - set(NUMBERS))]
CASES += [(name, 3) for name in sorted(METRICS.keys() - set(NUMBERS) - set(PAIRED))]
CASES += [(name, 0) for name in NUMBERS]


class Fixed(ClassifierMixin, BaseEstimator):
    """A model that answers what it is told."""

    def __init__(self, labels=None, proba=None, classes=None):
        self.labels, self.proba, self.classes_ = labels, proba, classes

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return self.labels

    def predict_proba(self, X):
        return self.proba


class FixedNumbers(RegressorMixin, BaseEstimator):
    def __init__(self, labels=None):
        self.labels = labels

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return self.labels


def world(classes, n, seed=0):
    """Labels and answers with many ties; rare classes, no column of probabilities with a zero."""
    r = np.random.default_rng(seed)
    if not classes:
        x = r.normal(size=n)
        return x + 2, FixedNumbers(np.round(x + 2 + r.normal(size=n), 1))
    code = r.choice(classes, n, p=[0.7, 0.3] if classes == 2 else [0.5, 0.3, 0.2])
    tilt = np.where(np.eye(classes)[code] > 0, 2.0, 1.0)
    proba = np.array([r.multinomial(6, t / t.sum()) for t in tilt]) + 0.5
    return code, Fixed(proba.argmax(axis=1), proba / proba.sum(axis=1, keepdims=True), np.arange(classes))


def asked(name, y, model):
    """Return truth and answers as a metric wants them."""
    return {
        "labels": lambda: (y, model.labels),
        "numbers": lambda: (y, model.labels),
        "positive": lambda: (y == 1, model.labels == 1),
        "score": lambda: (y == 1, model.proba[:, 1]),
        "proba": lambda: (y, model.proba),
    }[METRICS[name].asks]()


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_values_are_those_of_scikit_learn(name, classes):
    y, model = world(classes, 300)
    value, influence = METRICS[name].measure(*asked(name, y, model))
    if (name, classes) == ("neg_brier_score", 3):  # scikit-learn 1.6 has it for two classes only
        expected = -((np.eye(3)[y] - model.proba) ** 2).sum(axis=1).mean()
    else:
        expected = get_scorer(name)(model, np.zeros((300, 1)), y)
    assert value == pytest.approx(expected, abs=1e-12)
    assert abs(influence.mean()) < 1e-9


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_influences_are_derivatives(name, classes):
    """All weights (1 - eps), and eps on row i, by copies: 200 of each row and one more of row i."""
    n, copies = 90, 200
    y, model = world(classes, n, seed=1)
    truth, said = asked(name, y, model)
    value, influence = METRICS[name].measure(truth, said)
    eps = 1 / (n * copies + 1)

    def more_of(i):
        rows = np.append(np.tile(np.arange(n), copies), i)
        return (METRICS[name].measure(truth[rows], said[rows])[0] - value) / eps

    found = np.array([more_of(i) for i in range(0, n, 6)])
    fewest = np.unique(y, return_counts=True)[1].min() if classes else np.inf
    exact = 0.51 / (fewest - 1) if name.startswith("roc_auc") else 0.0  # DeLong divides by one row less
    assert influence[::6] == pytest.approx(
        found, rel=exact + 1e-3, abs=(exact / 3 + 1e-3) * np.abs(influence).max()
    )


@pytest.mark.parametrize(("name", "classes"), [c for c in CASES if METRICS[c[0]].share])
def test_one_row_gone_wrong_weighs_about_the_unseen_row(name, classes):
    """h is a row misranked by a quarter of the others, or mislabelled: up to a fourth of one that is put last."""
    y, _ = world(classes, 400, seed=2)
    right = np.where(np.eye(classes)[y] > 0, 0.8, 0.2 / (classes - 1))
    model = Fixed(y.copy(), right, np.arange(classes))
    truth, said = asked(name, y, model)
    value, influence = METRICS[name].measure(truth, said)
    h = METRICS[name].unseen(truth, influence)
    worst = 0.0
    for i in range(0, 400, 5):
        wrong = said.copy()
        wrong[i] = said[np.flatnonzero(truth != truth[i])[i % 50]]
        worst = max(worst, 400 * (value - METRICS[name].measure(truth, wrong)[0]))
    assert worst / 5 < h < worst * 5


def test_auc_influence_equals_a_count_of_pairs_with_ties():
    y = np.array([1, 1, 0, 0, 0, 1], bool)
    s = np.array([0.5, 0.9, 0.5, 0.1, 0.9, 0.1])
    pairs = [
        np.mean([(s[i] > s[j]) + 0.5 * (s[i] == s[j]) for j in np.flatnonzero(~y)]) for i in np.flatnonzero(y)
    ]
    value, f = METRICS["roc_auc"].measure(y, s)
    assert value == pytest.approx(np.mean(pairs))
    assert f[y] == pytest.approx((np.array(pairs) - value) * 6 / np.sqrt(6))


def test_no_changed_row_still_has_a_width():
    y = np.ones(98, bool)
    clean = sample("accuracy", y, y)
    value, low, high = difference(clean, [clean], 1.0)
    assert value == 0
    assert high == pytest.approx(statistics.t_quantile(97) * np.sqrt(2) / 100)
    assert low == -high


def test_three_repeats_are_averaged_inside_the_row():
    r = np.random.default_rng(2)
    y = r.random(50) < 0.5
    said = [y ^ (r.random(50) < 0.2) for _ in range(3)]
    clean, noisy = sample("accuracy", y, y), [sample("accuracy", y, s) for s in said]
    wrong = np.mean([s != y for s in said], axis=0)
    d = wrong - wrong.mean()
    value, low, _ = difference(clean, noisy, 1.0)
    assert value == pytest.approx(wrong.mean() * 50 / 52)
    h = min(1.0, np.abs(d).max() * max(1.0, 10 * (d**4).sum() / (d**2).sum() ** 2))
    assert value - low == pytest.approx(statistics.t_quantile(49) * np.sqrt(d @ d + 2 * h * h) / 52)


def coverage(n, runs_, seed):
    """Share of simulations whose interval holds the true drop: labels flip with known probability (closed form)."""
    r = np.random.default_rng(seed)
    flips, right, truth = 0.07, 0.85, 0.07 * (2 * 0.85 - 1)
    hits = 0
    for _ in range(runs_):
        y = r.random(n) < 0.5
        said = y ^ (r.random(n) > right)
        noisy = said ^ (r.random(n) < flips)
        _, low, high = difference(sample("accuracy", y, said), [sample("accuracy", y, noisy)], 1.0)
        hits += low <= truth <= high
    return hits


def test_the_drop_of_accuracy_is_covered():
    hits = coverage(1000, 1000, 3)
    assert binom.ppf(1e-6, 1000, 0.95) <= hits <= binom.ppf(1 - 1e-6, 1000, 0.97)


def test_a_drop_is_its_difference_and_a_boundary_widens_it():
    r = np.random.default_rng(6)
    y = r.random(120) < 0.5
    clean, noisy = sample("accuracy", y, y), sample("accuracy", y, y ^ (r.random(120) < 0.1))
    drop = drop_of(clean, [noisy], 1.0)
    assert (drop.value, *drop.interval()) == difference(clean, [noisy], 1.0)
    low, high = drop.interval(2.06)
    assert high - drop.value == pytest.approx((drop.interval()[1] - drop.value) * 2.06 / 1.959964)
    assert drop.value - low == pytest.approx(high - drop.value)


def test_draws_that_all_rows_share_add_the_variance_between_them():
    """By hand: four draws, no change within rows."""
    clean = Sample(1.0, np.zeros(198), 198)
    noisy = [Sample(v, np.zeros(198), 198) for v in (0.95, 0.85, 0.75, 0.65)]
    drop = drop_of(clean, noisy, 1.0, shared=True)
    rows, draws = 2 / 200**2, np.var([0.05, 0.15, 0.25, 0.35], ddof=1) / 4
    assert drop.value == pytest.approx(0.2 * 198 / 200)
    assert drop.se == pytest.approx(np.sqrt(rows + draws))
    assert drop.degrees == pytest.approx((rows + draws) ** 2 / (rows**2 / 197 + draws**2 / 3))
    assert drop_of(clean, noisy[:1], 1.0, shared=True) == drop_of(clean, noisy[:1], 1.0)


def test_equal_draws_say_nothing_and_more_upwards_than_downwards():
    clean = Sample(1.0, np.zeros(100), 100)
    same = [Sample(0.8, np.zeros(100), 100)] * 4
    assert drop_of(clean, same, 1.0, shared=True) == drop_of(clean, same, 1.0)
    assert Drop(0.1, 0.01, 9, above=2.0).interval()[1] - 0.1 == pytest.approx(
        2 * (0.1 - Drop(0.1, 0.01, 9, above=2.0).interval()[0])
    )


@pytest.mark.parametrize(("n", "columns", "level"), [(300, 10, 0.3), (1000, 10, 1.0), (300, 30, 0.5)])
def test_a_shift_of_every_column_is_covered_over_new_rows_and_new_draws(n, columns, level):
    """A linear model, signs of the shift at random, eight draws: rows alone cover 0.1 to 0.6."""
    r = np.random.default_rng(7)
    w = r.normal(size=columns)
    w *= 2 / np.linalg.norm(w)

    def scores(rows, draws):
        x = r.normal(size=(rows, columns)) @ w
        y = r.random(rows) < 1 / (1 + np.exp(-2 * x))
        moved = r.choice([-level, level], (draws, columns)) @ w
        return y, x > 0, [x + z > 0 for z in moved]

    y, before, after = scores(20_000, 2000)
    truth = np.mean(before == y) - np.mean([np.mean(s == y) for s in after])
    hits = alone = 0
    for _ in range(200):
        y, before, after = scores(n, 8)
        clean, noisy = sample("accuracy", y, before), [sample("accuracy", y, s) for s in after]
        low, high = drop_of(clean, noisy, 1.0, shared=True).interval()
        hits += low <= truth <= high
        low, high = drop_of(clean, noisy, 1.0).interval()
        alone += low <= truth <= high
    assert hits >= binom.ppf(1e-6, 200, 0.93)
    assert alone < hits - 10


def test_a_wilson_interval_covers_a_near_perfect_score():
    r = np.random.default_rng(4)
    hits = 0
    for _ in range(1000):
        y = r.random(200) < 0.5
        _, low, high = score_interval(
            [sample("accuracy", y, y ^ (r.random(200) < 0.015))], share=True, smallest=200
        )
        hits += low <= 0.985 <= high
    assert hits >= binom.ppf(1e-6, 1000, 0.93)


def test_a_jackknife_of_any_score_covers_like_the_influence():
    r = np.random.default_rng(5)
    x = r.normal(size=1000)
    group = statistics.groups_of(1000, 0)
    known = sample("neg_mean_absolute_error", x, np.zeros(1000))
    found = jackknife(lambda rows: -float(np.abs(x[rows]).mean()), group)
    assert found.value == pytest.approx(known.value)
    se = np.sqrt(found.influence @ found.influence) / found.influence.size
    assert se == pytest.approx(np.sqrt(known.influence @ known.influence) / 1000, rel=0.5)


def test_equal_models_differ_by_nothing():
    y = np.ones(100, bool)
    same = [sample("accuracy", y, y)] * 3
    value, low, high = mean_difference(same, same, 1.0)
    assert value == 0 == low + high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([0, 0, 0], [0.01, 0.02, 0.03], (3, 3)),
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], (0, 0)),
        ([0, 0, 0.1], [0.01, 0.1, 0.2], (1, 2)),
        ([0, 0.1, 0], [0.01, 0.2, 0.01], (1, 3)),
        ([0, 0, 0], [0.1, 0.01, 0.01], (0, 3)),
    ],
)
def test_passes_and_failures_are_unbroken_runs(low, high, expected):
    assert runs(np.array(low, float), np.array(high, float), 0.05) == expected


def test_continuous_break_points_cross_between_levels():
    levels = np.array([0.1, 0.2, 0.3])
    low, high = np.array([0.0, 0.04, 0.08]), np.array([0.03, 0.07, 0.12])
    a, b = crossings(levels, low, high, 0.05)
    assert 0.1 < a < 0.2 < b < 0.3
    for found, side in ((a, high), (b, low)):
        curve = PchipInterpolator([0.0, *levels], [0.0, *side])
        assert float(curve(found)) == pytest.approx(0.05)
    assert crossings(levels, np.zeros(3), np.full(3, 0.01), 0.05) == (0.3, None)
    assert crossings(levels, np.full(3, 0.1), np.full(3, 0.2), 0.05) == (0.0, 0.1)


def test_a_level_at_which_the_model_raises_is_a_failure_that_stretches_no_interval():
    levels = np.array([0.1, 0.2])
    low, high = np.array([0.0, np.inf]), np.array([0.01, np.inf])
    assert runs(low, high, 0.05) == (1, 1)
    assert crossings(levels, low, high, 0.05) == (0.1, 0.2)


def test_the_area_is_a_share_of_the_clean_score_and_held_at_no_skill():
    assert statistics.area([0.5, 1.0], [0.8, 0.8], 0.8, None) == pytest.approx(1.0)
    assert statistics.area([1.0], [-9.0], 0.8, 0.0) == pytest.approx(0.5)
    assert statistics.area([1.0], [0.1], -1.0, None) is None
