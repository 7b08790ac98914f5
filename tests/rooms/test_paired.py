"""Two models beside each other: what they share cancels, and nothing is claimed beyond the tested levels."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from hormesis.statistics import Sample, crossings, drop_of, groups_of
from hormesis.statistics.crossing import cross
from hormesis.statistics.paired import BreakDifference, break_difference, condense, drop_difference

TOLERANCE = 0.05
LEVELS = np.linspace(0.1, 1.2, 12)


def accuracy(level, tilt):
    """Accuracy of a linear model whose weights have cosine `tilt` with the truth, in closed form."""
    return 1 - math.acos(tilt / math.sqrt(1.25 * (1 + level * level))) / math.pi


def curves(r, rows, tilts, levels=LEVELS):
    """Drops of linear models under Gaussian noise of the same cells, an antithetic pair each."""
    x, z = r.normal(size=(2, rows, 2))
    y, block = x[:, 0] + r.normal(size=rows) / 2 > 0, groups_of(rows, 0)
    for tilt in tilts:
        w = np.array([tilt, math.sqrt(1 - tilt * tilt)])

        def sample(said, y=y):
            right = (said == y).astype(float)
            return Sample(right.mean(), right - right.mean(), right.size)

        clean = sample(x @ w > 0)
        yield [
            condense(clean, [sample((x + sign * level * z) @ w > 0) for sign in (1, -1)], 1.0, block)
            for level in levels
        ]


def flat(*values, rows=1000):
    clean, block = Sample(0.9, np.zeros(rows), rows), np.arange(rows) % 50
    return [
        v if v is None else condense(clean, [Sample(0.9 - v, np.zeros(rows), rows)], 1.0, block)
        for v in values
    ]


def test_a_condensed_drop_is_the_drop():
    r = np.random.default_rng(0)
    f, g = r.normal(size=(2, 500))
    clean, noisy = Sample(0.8, f - f.mean(), 500), Sample(0.7, g - g.mean(), 500)
    kept = condense(clean, [noisy], 1.0, groups_of(500, 0))
    assert kept.drop == drop_of(clean, [noisy], 1.0)
    assert kept.blocks.size == 50
    assert kept.blocks.sum() == pytest.approx(0, abs=1e-12)
    assert np.sqrt(kept.blocks @ kept.blocks) == pytest.approx(kept.drop.se, rel=0.4)


def test_one_block_per_row_gives_the_paired_error_by_hand():
    r = np.random.default_rng(1)
    f = r.normal(size=(3, 40))
    clean, one, other = (Sample(0.0, row - row.mean(), 40) for row in f)
    pair = [condense(clean, [noisy], 0.5, np.arange(40)) for noisy in (one, other)]
    d = one.influence - other.influence
    found = drop_difference(*pair)
    assert found.se == pytest.approx(np.sqrt(d @ d * 40 / 39 + 2 * 0.25) / 42)
    assert found.degrees == 39


def test_a_draw_that_both_models_share_cancels():
    clean, still, block = Sample(0.9, np.zeros(100), 100), np.zeros(100), np.arange(100) % 50
    drift = np.array([0.1, 0.0, -0.1, 0.02])

    def shared(offset):
        noisy = [Sample(0.8 - offset + d, still, 100) for d in drift]
        return condense(clean, noisy, 1.0, block, shared=True)

    one, other = shared(0.0), shared(0.01)
    assert drop_difference(one, other).se < one.drop.se / 2
    assert drop_difference(one, other).value == pytest.approx(-0.01 * 100 / 102)
    assert one.sources.size == 54
    assert one.sources @ one.sources + one.unseen == pytest.approx(one.drop.se**2)


def test_a_model_does_not_differ_from_itself():
    (curve,) = curves(np.random.default_rng(2), 1000, [1.0])
    assert drop_difference(curve[5], curve[5]).value == 0
    found = break_difference(LEVELS, curve, curve, TOLERANCE)
    assert found.value == 0
    assert found.low <= 0 <= found.high
    assert found.words("a", "b") == "undecided which of a and b breaks later"


def test_the_difference_turns_its_sign_with_the_models():
    one, other = curves(np.random.default_rng(3), 2000, [1.0, 0.7])
    there, back = (break_difference(LEVELS, *pair, TOLERANCE) for pair in ((one, other), (other, one)))
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_a_model_that_holds_to_the_last_level_breaks_later_by_at_least_the_rest():
    holds, breaks = flat(0.0, 0.0, 0.0), flat(0.0, 0.1, 0.2)
    found = break_difference([0.1, 0.2, 0.3], holds, breaks, TOLERANCE)
    b = crossings(np.array([0.1, 0.2, 0.3]), *np.transpose([c.drop.interval() for c in breaks]), TOLERANCE)[1]
    assert found == BreakDifference(None, pytest.approx(0.3 - b), None)
    assert found.words("a", "b") == f"a breaks later than b, by at least {0.3 - b:.3g}"
    assert (
        break_difference([0.1, 0.2, 0.3], breaks, holds, TOLERANCE)
        .words("b", "a")
        .startswith("a breaks later")
    )


def test_two_models_that_hold_are_not_told_apart():
    holds = flat(0.0, 0.0)
    assert break_difference([0.1, 0.2], holds, holds, TOLERANCE) == BreakDifference(None, None, None)


def test_a_break_before_the_first_level_is_not_placed_on_a_line_from_the_clean_end():
    early, later = flat(0.2, 0.3, 0.4), flat(0.0, 0.0, 0.2)
    found = break_difference([0.1, 0.2, 0.3], early, later, TOLERANCE)
    assert found.value is None
    assert -0.3 < found.low < found.high < -0.1


def test_a_level_at_which_a_model_raises_is_an_end_and_no_slope():
    found = break_difference([0.1, 0.2, 0.3], flat(0.0, None, None), flat(0.0, 0.0, 0.2), TOLERANCE)
    assert found.value is None
    assert found.low == pytest.approx(0.1 - 0.3, abs=0.1)
    assert found.high < 0.2 - 0.2 + 1e-9


def covered(rows, sims, seed):
    """Count simulations that cover the difference of drops at three levels, and the difference of break points."""
    from scipy.optimize import brentq

    r, tilts = np.random.default_rng(seed), (1.0, 0.8)
    drops = np.array([[accuracy(0, t) - accuracy(x, t) for x in LEVELS] for t in tilts])
    ends = [brentq(lambda x, t=t: accuracy(0, t) - accuracy(x, t) - TOLERANCE, 0.01, 2) for t in tilts]
    at, breaks = np.zeros(3), 0
    for _ in range(sims):
        one, other = curves(r, rows, tilts)
        for i, j in enumerate((0, 5, 11)):
            low, high = drop_difference(one[j], other[j]).interval()
            at[i] += low <= drops[0, j] - drops[1, j] <= high
        found = break_difference(LEVELS, one, other, TOLERANCE)
        breaks += (found.low is None or found.low <= ends[0] - ends[1]) and (
            found.high is None or ends[0] - ends[1] <= found.high
        )
    return at, breaks


def test_differences_of_drops_and_break_points_are_covered():
    at, breaks = covered(1000, 300, 4)
    lowest = binom.ppf(1e-6, 300, 0.94)
    assert (at >= lowest).all()
    assert breaks >= lowest


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 1000, 5000])
def test_differences_are_covered_at_any_size(rows):
    at, breaks = covered(rows, 1500, rows)
    lowest = binom.ppf(1e-6, 1500, 0.94)
    assert (at >= lowest).all()
    assert (at[1:] <= binom.ppf(1 - 1e-6, 1500, 0.97)).all()
    assert breaks >= lowest


def test_a_crossing_is_that_of_the_monotone_cubic():
    from scipy.interpolate import PchipInterpolator

    r = np.random.default_rng(5)
    for _ in range(50):
        x, v = np.cumsum(r.random((2, 8)) + 0.05, axis=1)
        k = int(r.integers(1, 6))
        height = v[k] + (v[k + 1] - v[k]) * r.random()
        assert PchipInterpolator(x, v)(cross(x, v, k, height)) == pytest.approx(height)


def test_a_crossing_needs_both_ends_and_falls_as_well_as_rises():
    assert cross([0, 1, 2], [0, 1, math.inf], 1, 5.0) is None
    assert cross([0, 1], [0, 1], 0, 0.25) == pytest.approx(0.25)
    assert cross([0, 1, 2], [2, 1, 0], 0, 1.5) == pytest.approx(0.5)
