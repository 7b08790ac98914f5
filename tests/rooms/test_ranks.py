"""Fragile features: no harmless one is said to matter, true ranks and drops lie in their intervals."""

import numpy as np
import pytest
from scipy.stats import binom, false_discovery_control

from hormesis.errors import DataError
from hormesis.statistics import Sample, drop_of
from hormesis.statistics.ranks import benjamini_hochberg, holm, interactions, rank

RUNS = 300


def flips(r, rows, truth):
    """Draw row drops of accuracy: harmless flips either way, tied together by the row, and real drops with `truth`."""
    chance = np.minimum(0.06 * r.gamma(1.0, size=(rows, 1)), 0.5)
    u = r.random((rows, truth.size))
    harmless = (u < chance).astype(float) - ((u >= chance) & (u < 2 * chance))
    return np.where(r.random((rows, truth.size)) < truth, 1.0, harmless)


def simulated(rows, truth, seed):
    r = np.random.default_rng(seed)
    return [rank(flips(r, rows, truth), 1.0) for _ in range(RUNS)]


@pytest.mark.parametrize("rows", [200, 1000])
def test_all_statements_about_ten_features_hold_together(rows):
    truth = np.append(np.linspace(0.08, 0.01, 5), np.zeros(5))
    found = simulated(rows, truth, seed=rows)
    wrong = sum(f.matters[truth == 0].any() for f in found)
    more, less = (truth[:, None] > truth).sum(axis=0), (truth[:, None] < truth).sum(axis=0)
    ranked = sum(((f.rank_low <= 1 + more) & (f.rank_high >= truth.size - less)).all() for f in found)
    inside = sum(((f.low <= truth) & (truth <= f.high)).all() for f in found)
    alone = np.mean([(f.low_alone <= truth) & (truth <= f.high_alone) for f in found])
    assert wrong <= binom.ppf(1 - 1e-6, RUNS, 0.05)
    assert min(ranked, inside) >= binom.ppf(1e-6, RUNS, 0.95)
    assert 0.93 < alone < 0.99
    assert all(f.rule == "Holm" for f in found)
    assert np.mean([f.matters[truth > 0.05] for f in found]) > (0.3 if rows == 200 else 0.95)


def test_of_many_features_few_of_those_named_are_harmless():
    truth = np.append(np.linspace(0.08, 0.02, 30), np.zeros(30))
    r, runs = np.random.default_rng(7), 60
    found = [rank(flips(r, 500, truth), 1.0) for _ in range(runs)]
    shares = [f.matters[truth == 0].sum() / max(f.matters.sum(), 1) for f in found]
    assert found[0].rule == "Benjamini-Hochberg"
    assert np.mean(shares) <= 0.05 + 4.9 * np.std(shares) / np.sqrt(runs)
    assert np.mean([f.matters[truth > 0.06].mean() for f in found]) > 0.5


def test_an_unchanged_feature_has_no_drop_and_is_no_error():
    drops = np.zeros((300, 3))
    drops[:90, 0] = 1.0
    found = rank(drops, 1.0)
    assert found.drop[1] == 0
    assert found.p[1] == pytest.approx(0.5)
    assert found.low[1] < 0 < found.high[1]
    assert found.matters.tolist() == [True, False, False]
    assert found.rank_low.tolist() == [1, 2, 2]
    assert found.rank_high.tolist() == [1, 3, 3]


@pytest.mark.parametrize("h", [0.0, 1.0])
def test_features_none_of_which_changed_share_all_ranks(h):
    found = rank(np.zeros((300, 4)), h)
    assert found.rank_low.tolist() == [1] * 4
    assert found.rank_high.tolist() == [4] * 4
    assert not found.matters.any()
    assert found.p == pytest.approx(0.5)


def test_a_feature_alone_has_the_interval_of_its_drop():
    d = np.random.default_rng(1).normal(0.1, 1.0, 400)
    drop = drop_of(Sample(d.mean(), d - d.mean(), 400), [Sample(0.0, np.zeros(400), 400)], 1.5)
    found = rank(d[:, None], 1.5)
    assert (found.drop[0], found.se[0]) == pytest.approx((drop.value, drop.se))
    assert (found.low_alone[0], found.high_alone[0]) == pytest.approx(drop.interval())
    assert found.rank_low[0] == found.rank_high[0] == 1


def test_ranks_are_those_of_all_pairs_compared_one_by_one():
    r = np.random.default_rng(2)
    drops = r.normal(np.linspace(0, 0.5, 6), 1.0, (400, 6))
    found = rank(drops, 0.5)
    apart = np.zeros((6, 6), bool)
    for j in range(6):
        for k in range(6):
            pair = rank((drops[:, j] - drops[:, k])[:, None], 0.5)
            apart[j, k] = pair.low_alone[0] > 0
    assert (found.rank_low <= 1 + apart.sum(axis=0)).all()
    assert (found.rank_high >= 6 - apart.sum(axis=1)).all()
    assert found.rank_low[0] > 1
    assert found.rank_high[5] < 6


def test_wide_intervals_hold_narrow_ones_and_order_of_columns_is_no_matter():
    drops = np.random.default_rng(3).normal(np.linspace(0, 0.3, 5), 1.0, (300, 5))
    found, turned = rank(drops, 1.0), rank(drops[:, ::-1], 1.0)
    assert (found.low < found.low_alone).all()
    assert (found.high > found.high_alone).all()
    assert turned.p[::-1] == pytest.approx(found.p)
    assert turned.low[::-1] == pytest.approx(found.low, abs=0.01)


def test_adjusted_p_values_are_those_of_others():
    p = np.random.default_rng(4).random(40) ** 3
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    by_hand, highest = np.empty(40), 0.0
    for step, k in enumerate(np.argsort(p)):
        highest = max(highest, min(1.0, p[k] * (40 - step)))
        by_hand[k] = highest
    assert holm(p) == pytest.approx(by_hand)


@pytest.mark.parametrize(("rows", "rate"), [(200, 0.01), (1000, 0.05)])
def test_pairs_that_only_add_up_do_not_interact(rows, rate):
    r, pairs = np.random.default_rng(5), 6
    claimed = covered = 0
    for _ in range(RUNS):
        one, other, both = (r.random((rows, pairs)) < share for share in (rate, rate, 2 * rate))
        added = interactions(both.astype(float), one.astype(float), other.astype(float), 1.0)
        together = interactions((one | other).astype(float), one.astype(float), other.astype(float), 1.0)
        claimed += added.surely.any()
        covered += ((together.low <= -(rate**2)) & (-(rate**2) <= together.high)).all()
    assert claimed <= binom.ppf(1 - 1e-6, RUNS, 0.05)
    assert covered >= binom.ppf(1e-6, RUNS, 0.95)


def test_a_spare_column_shows_as_an_interaction():
    r = np.random.default_rng(6)
    lost = r.random((1000, 2, 3)) < 0.3
    joint = lost.all(axis=1).astype(float)  # wrong only where both are lost
    found = interactions(joint, np.zeros((1000, 3)), np.zeros((1000, 3)), 1.0)
    assert found.surely.all()
    assert found.excess == pytest.approx(joint.mean(axis=0), abs=1e-3)
    twice = interactions(lost[:, 0] * 1.0, lost[:, 0] * 1.0, lost[:, 0] * 1.0, 1.0)
    assert (twice.high < 0).all()  # the same harm, counted twice


def test_what_cannot_be_ranked_is_said():
    with pytest.raises(DataError, match="at least 2 rows"):
        rank(np.zeros((1, 3)), 1.0)
    with pytest.raises(DataError, match="1 of 3 drops are not numbers"):
        rank(np.array([[0.0, np.nan, 0.0], [1.0, 0.0, 0.0]]), 1.0)
    with pytest.raises(DataError, match="shapes"):
        interactions(np.zeros((5, 2)), np.zeros((5, 2)), np.zeros((5, 3)), 1.0)
