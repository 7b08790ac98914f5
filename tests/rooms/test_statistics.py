"""Intervals cover, influences add up, break points are read in unbroken runs."""

import numpy as np
import pytest
from scipy.stats import binom

from hormesis import statistics
from hormesis.statistics import (
    METRICS,
    Sample,
    crossings,
    difference,
    jackknife,
    mean_difference,
    runs,
    score_interval,
)


def sample(name, y, said):
    value, influence = METRICS[name].measure(y, said)
    return Sample(value, influence, y.size)


def test_values_are_those_of_scikit_learn():
    from sklearn import metrics

    r = np.random.default_rng(0)
    y, s = r.random(300) < 0.3, np.round(r.random(300), 1)
    x, p = r.normal(size=300), r.normal(size=300)
    assert METRICS["roc_auc"].measure(y, s)[0] == pytest.approx(metrics.roc_auc_score(y, s))
    assert METRICS["f1"].measure(y, s > 0.5)[0] == pytest.approx(metrics.f1_score(y, s > 0.5))
    assert METRICS["balanced_accuracy"].measure(y, s > 0.5)[0] == pytest.approx(
        metrics.balanced_accuracy_score(y, s > 0.5)
    )
    assert METRICS["r2"].measure(x, p)[0] == pytest.approx(metrics.r2_score(x, p))
    assert METRICS["neg_root_mean_squared_error"].measure(x, p)[0] == pytest.approx(
        -metrics.root_mean_squared_error(x, p)
    )
    assert METRICS["neg_mean_absolute_error"].measure(x, p)[0] == pytest.approx(
        -metrics.mean_absolute_error(x, p)
    )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_influence_has_mean_zero_and_the_size_of_the_jackknife(name):
    r = np.random.default_rng(1)
    n = 400
    x, p = r.normal(size=n), r.normal(size=n)
    y, s = x > 0.5, 1 / (1 + np.exp(-p))
    asked = {
        "labels": (y, s > 0.5),
        "positive": (y, s > 0.5),
        "score": (y, s),
        "proba": (y.astype(int), np.column_stack([1 - s, s])),
        "numbers": (x, x + p),
    }
    truth, said = asked[METRICS[name].asks]
    value, f = METRICS[name].measure(truth, said)
    assert abs(f.mean()) < 1e-9
    leave_one = np.array(
        [METRICS[name].measure(np.delete(truth, i, 0), np.delete(said, i, 0))[0] for i in range(n)]
    )
    pseudo = n * value - (n - 1) * leave_one
    assert np.std(f) == pytest.approx(np.std(pseudo), rel=0.03)


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
    assert value - low == pytest.approx(statistics.t_quantile(49) * np.sqrt(d @ d + 2) / 52)


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
    a, b = crossings(levels, np.array([0.0, 0.04, 0.08]), np.array([0.03, 0.07, 0.12]), 0.05)
    assert a == pytest.approx(0.15)
    assert b == pytest.approx(0.225)
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
