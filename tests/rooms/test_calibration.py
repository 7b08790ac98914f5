"""Calibration: Guo's error by hand, less bias than the plain estimate, a covered difference between noisy and clean."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from hormesis.errors import DataError
from hormesis.statistics.calibration import calibration, calibration_change, top_label


def answers(r, rows, level, steepness=2.0, temperature=1.0):
    """Return clean and noisy confidence of a logistic model: calibrated where the temperature is 1."""
    x = r.normal(size=rows)
    y = r.random(rows) < expit(steepness * x)
    return [top_label(expit(temperature * steepness * z), y) for z in (x, x + level * r.normal(size=rows))]


def by_hand(confidence, right, bins=15):
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_the_plain_error_is_that_of_guo():
    r = np.random.default_rng(0)
    confidence, right = r.random(5000), r.random(5000) < 0.7
    assert calibration(confidence, right).plain == pytest.approx(by_hand(confidence, right))


def test_probabilities_of_two_classes_are_read_alike_in_both_shapes():
    r = np.random.default_rng(1)
    p, y = r.random(300), r.integers(0, 2, 300)
    one, two = top_label(p, y), top_label(np.column_stack([1 - p, p]), y)
    assert np.array_equal(one, two)
    assert np.array_equal(one[1], (p > 0.5) == y)
    assert (one[0] >= 0.5).all()


def test_many_classes_take_the_largest():
    r = np.random.default_rng(2)
    p, y = r.dirichlet(np.ones(5), 200), r.integers(0, 5, 200)
    confidence, right = top_label(p, y)
    assert np.array_equal(confidence, p.max(axis=1))
    assert np.array_equal(right, p.argmax(axis=1) == y)


def test_a_calibrated_model_shows_a_quarter_of_the_plain_error():
    r = np.random.default_rng(3)
    found = [calibration(*answers(r, 1000, 0.0)[0]) for _ in range(200)]
    plain, unclipped = np.mean([c.plain for c in found]), np.mean([c.sample.value for c in found])
    assert plain > 0.02
    assert abs(unclipped) < 0.35 * plain
    assert min(c.value for c in found) >= 0


def test_a_badly_calibrated_model_keeps_its_error():
    r = np.random.default_rng(4)
    truth = calibration(*answers(r, 500_000, 0.0, temperature=3.0)[0]).plain
    found = [calibration(*answers(r, 1000, 0.0, temperature=3.0)[0]).value for _ in range(200)]
    assert np.mean(found) == pytest.approx(truth, abs=0.05 * truth)


@pytest.mark.parametrize(
    ("level", "temperature"),
    [(0.1, 1.0), (0.5, 1.0), (1.0, 1.0), (0.5, 1.7), (0.5, 0.6)],
    ids=["calibrated, little noise", "calibrated", "much noise", "over-confident", "under-confident"],
)
def test_the_change_is_covered(level, temperature):
    r, runs = np.random.default_rng(5), 400
    clean, noisy = (calibration(*a).plain for a in answers(r, 1_000_000, level, temperature=temperature))
    hits = 0
    for _ in range(runs):
        before, after = (calibration(*a) for a in answers(r, 1000, level, temperature=temperature))
        low, high = calibration_change(before, [after]).interval()
        hits += low <= noisy - clean <= high
    assert hits >= binom.ppf(1e-6, runs, 0.95)


def test_influences_foretell_what_leaving_rows_out_does():
    r = np.random.default_rng(6)
    confidence, right = answers(r, 4000, 0.0, temperature=3.0)[0]
    whole = calibration(confidence, right).sample
    block = np.arange(4000) % 40
    pseudo = [
        40 * whole.value - 39 * calibration(confidence[block != b], right[block != b]).sample.value
        for b in range(40)
    ]
    foretold = [whole.influence[block == b].mean() for b in range(40)]
    assert np.corrcoef(pseudo, foretold)[0, 1] > 0.95
    assert np.std(foretold) == pytest.approx(np.std(pseudo), rel=0.15)


def test_clusters_widen_the_interval_of_tied_rows():
    r = np.random.default_rng(7)
    confidence, right = (np.repeat(a, 10) for a in answers(r, 200, 0.0, temperature=3.0)[0])
    noisy = np.repeat(r.random(200) < 0.6, 10)
    cluster = np.repeat(np.arange(200), 10)
    rows, tied = (
        calibration_change(calibration(confidence, right, c), [calibration(confidence, noisy, c)])
        for c in (None, cluster)
    )
    assert tied.se == pytest.approx(rows.se * np.sqrt(10), rel=0.05)
    assert tied.degrees == 199


def test_nothing_changed_is_no_change_with_a_width():
    c = calibration(np.full(200, 0.9), np.arange(200) % 10 > 0)
    change = calibration_change(c, [c, c])
    assert change.value == 0
    assert change.interval()[1] == pytest.approx(2.77 / 200, rel=0.03)


def test_perfect_answers_have_no_error():
    c = calibration(np.ones(50), np.ones(50, bool))
    assert (c.value, c.plain, c.sample.value) == (0, 0, 0)


@pytest.mark.parametrize("beyond", [1.5, -0.2, np.nan])
def test_what_is_no_probability_is_refused(beyond):
    with pytest.raises(DataError, match="between 0 and 1"):
        top_label(np.array([0.5, beyond]), np.array([0, 1]))
    with pytest.raises(DataError, match="between 0 and 1"):
        top_label(np.array([[0.2, 0.3, 0.5], [beyond, beyond, beyond]]), np.array([0, 1]))


def test_no_rows_and_unequal_lengths_are_said():
    with pytest.raises(DataError, match="2 probabilities for 3 labels"):
        top_label(np.array([0.5, 0.5]), np.array([0, 1, 1]))
    with pytest.raises(DataError, match="No rows"):
        calibration(np.empty(0), np.empty(0, bool))
