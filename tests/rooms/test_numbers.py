"""What is particular to one noise of numbers."""

import numpy as np
import pytest
from scipy.stats import binom, norm, rankdata

from hormesis.frames import open_table
from hormesis.noise import (
    Clipping,
    MultiplicativeNoise,
    QuantileNoise,
    UniformNoise,
    UnitChange,
    UnitErrors,
)
from hormesis.noise.base import draw_of
from hormesis.profile import Profile

N = 6000
RNG = np.random.default_rng(0)
X = RNG.normal(5, 2, N)
SKEWED = np.round(RNG.lognormal(2, 1.5, N)).astype(np.int64)
FEW = RNG.choice([0.0, 0.5, 1.0, 2.0, 40.0], N, p=[0.6, 0.2, 0.1, 0.07, 0.03])
EDGES = np.array([0.0, -0.0, 5e-324, -1e-310, 1e308, -1.7e308, 65504.0, 65519.99, 65520.0, 1e-8])
INT64 = np.iinfo(np.int64)


def drawn(noise, purpose, size=N, seed=0):
    """Return what a noise draws for column 0 of an array."""
    draw = draw_of(open_table(np.zeros(size)), seed).within(noise.name, 0)
    return getattr(draw, {"u": "uniform", "z": "normal"}[purpose])(purpose)


def test_uniform_noise_has_the_spread_that_was_asked_for():
    """The variance of a squared uniform gives sd(s) = sigma sqrt((9/5 - 1) / (4 n)); 4.9 of them are 1e-6."""
    moved = (UniformNoise(0.5).apply(X) - X) / Profile.learn(X)[0].spread
    assert abs(moved.std() - 0.5) < 4.9 * 0.5 * np.sqrt(0.2 / N)
    assert abs(moved.mean()) < 4.9 * 0.5 / np.sqrt(N)
    assert np.abs(moved).max() < 0.5 * np.sqrt(3) * (1 + 1e-12)
    np.testing.assert_allclose(moved, 0.5 * np.sqrt(3) * (2 * drawn(UniformNoise(), "u") - 1), atol=1e-12)


def test_multiplicative_noise_is_relative_and_spares_zeros():
    x = np.concatenate([X, [0.0, np.nan, 5e-324]])
    out = MultiplicativeNoise(0.2).apply(x)
    ratio = out[:N] / X - 1
    np.testing.assert_allclose(
        ratio, 0.2 * drawn(MultiplicativeNoise(), "z", x.size)[:N], rtol=1e-9, atol=1e-14
    )
    assert abs(ratio.std() - 0.2) < 4.9 * 0.2 / np.sqrt(2 * N)
    assert out[N] == 0
    assert np.isnan(out[N + 1])


def test_what_passes_the_largest_float_is_held_there():
    x = np.array([1.7e308, -1.7e308, 1.0, np.nan] * 50)
    out = MultiplicativeNoise(3.0).apply(x, profile=Profile.learn(X))
    assert np.isfinite(out[~np.isnan(x)]).all()
    assert np.nanmax(np.abs(out)) == np.finfo(float).max
    assert np.isinf(MultiplicativeNoise(0.1).apply(np.array([np.inf, 1.0]), profile=Profile.learn(X))[0])


@pytest.mark.parametrize("noise", [UnitChange(1.0, factor=1000.0), UnitErrors(1.0, factors=(1000.0,))])
def test_another_unit_makes_no_number_infinite(noise):
    out = noise.apply(np.array([1.7e308, -1.7e308, 2.0, np.inf]), profile=Profile.learn(X))
    assert out.tolist() == [np.finfo(float).max, -np.finfo(float).max, 2000.0, np.inf]


@pytest.mark.parametrize("kind", [UniformNoise, MultiplicativeNoise])
def test_moved_integers_are_the_rounded_values(kind):
    x = SKEWED[:500]
    as_floats = kind(0.3).apply(x.astype(float))
    assert (kind(0.3).apply(x) == np.rint(as_floats)).all()
    small = (x % 250).astype(np.uint8)
    held = np.clip(np.rint(kind(3.0).apply(small.astype(float))), 0, 255)
    assert (kind(3.0).apply(small) == held).all()


@pytest.mark.parametrize(
    "x",
    [SKEWED, SKEWED.astype("u2"), FEW, FEW.astype("f4"), SKEWED % 7],
    ids=["skewed", "u2", "few", "f4", "7"],
)
@pytest.mark.parametrize("level", [0.001, 0.1, 1.0])
def test_quantile_noise_stays_in_the_observed_set(x, level):
    out = QuantileNoise(level).apply(x)
    assert set(out) <= set(x)
    assert out.dtype == x.dtype


def test_quantile_noise_moves_ranks_by_its_formula():
    """Without ties and within 1,024 rows the profile holds all values: ranks are known exactly."""
    x = np.sort(RNG.lognormal(0, 2, 1000))[RNG.permutation(1000)]
    r = (rankdata(x) - 0.5) / x.size
    d = 0.1 * drawn(QuantileNoise(), "z", x.size)
    target = r + d / np.sqrt(1 + (d / np.where(d > 0, 1 - r, r)) ** 2)
    expected = np.interp(target, (np.arange(x.size) + 0.5) / x.size, np.sort(x))
    np.testing.assert_allclose(QuantileNoise(0.1).apply(x), expected, rtol=1e-9)


def test_quantile_noise_of_discrete_values_moves_mid_ranks_by_its_formula():
    x = SKEWED[:1000]
    r = (rankdata(x) - 0.5) / x.size
    d = 0.2 * drawn(QuantileNoise(), "z", x.size)
    target = r + d / np.sqrt(1 + (d / np.where(d > 0, 1 - r, r)) ** 2)
    expected = np.sort(x)[np.clip((target * x.size).astype(int), 0, x.size - 1)]
    assert (QuantileNoise(0.2).apply(x) == expected).all()


def test_quantile_noise_has_its_spread_where_there_is_room():
    """In the middle half, at a small level, ranks move by level * z up to the shrinkage (d / room)**2 / 2 < 4.2 %."""
    x = RNG.permutation(np.arange(1000.0)) ** 3
    r, out = (rankdata(x) - 0.5) / x.size, QuantileNoise(0.03).apply(x)
    moved = (np.interp(out, np.sort(x), (np.arange(1000) + 0.5) / 1000) - r)[(r > 0.25) & (r < 0.75)]
    assert 0.93 - 4.9 / np.sqrt(2 * moved.size) < moved.std() / 0.03 < 1 + 4.9 / np.sqrt(2 * moved.size)


@pytest.mark.parametrize(
    "x", [X, SKEWED, FEW, np.array([1.0, 1.0, 1.0, 9.0])], ids=["x", "skewed", "few", "tiny"]
)
def test_quantile_noise_moves_further_at_a_higher_level_to_the_same_side(x):
    foreign = np.concatenate([x[:500], [x.min() - 7, x.max() + 7, np.median(x) + 0.25], X[:50]])
    foreign = np.append(foreign, np.nan)
    profile = Profile.learn(x)
    steps = np.array(
        [QuantileNoise(v).apply(foreign, profile=profile) - foreign for v in np.linspace(0.001, 1, 60)]
    )
    assert np.isnan(steps[:, -1]).all()
    assert (np.diff(np.abs(steps[:, :-1]), axis=0) >= 0).all()
    assert (np.sign(steps[:, :-1]) * np.sign(steps[-1, :-1]) >= 0).all()


@pytest.mark.parametrize(
    "x", [X, SKEWED, FEW, RNG.integers(0, 10**9, N)], ids=["x", "skewed", "few", "sparse"]
)
def test_a_tiny_level_does_not_make_a_value_jump(x):
    """Also not a value that is no training quantile, nor one beyond all of them."""
    profile = Profile.learn(x)
    between = np.linspace(float(x.min()) - 3, float(x.max()) + 3, 4001)
    held = np.rint(between).astype(x.dtype) if x.dtype.kind == "i" else between
    out = QuantileNoise(1e-9).apply(held, profile=profile)
    widest = max(np.diff(profile[0].points.astype(float)).max(), 3)
    assert np.abs(out - held).max() <= 2 * 1024 * 6e-9 * widest


def test_quantile_noise_at_the_ends_of_what_floats_hold():
    x = np.concatenate([[-1.7e308, 5e-324], RNG.normal(size=98), [1.7e308]])
    profile = Profile.learn(x)
    with np.errstate(all="raise", under="ignore"):
        out = QuantileNoise(0.5).apply(np.concatenate([x, EDGES]), profile=profile)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.7e308


def test_constant_columns_stay():
    x = np.full(20, 3.5)
    for kind in (QuantileNoise, Clipping, MultiplicativeNoise, UniformNoise):
        assert (kind(0.9).apply(x) == 3.5).all()


@pytest.mark.parametrize(("side", "low", "high"), [("both", 0.1, 0.9), ("low", 0.2, 1), ("high", 0, 0.8)])
def test_clipping_holds_values_at_training_quantiles(side, low, high):
    train, x = X[:1000], np.append(X[1000:], [np.nan, -1e308, 1e308])
    out = Clipping(0.2, side=side).apply(x, profile=Profile.learn(train))
    bounds = np.quantile(train, [low, high], method="hazen")
    expected = np.clip(x, -np.inf if side == "high" else bounds[0], np.inf if side == "low" else bounds[1])
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    own = Clipping(0.2, side=side).apply(train)
    assert (own != train).mean() == pytest.approx(0.2, abs=0.002)


def test_clipping_is_the_same_for_every_seed_and_holds_all_at_the_median_in_the_end():
    assert (Clipping(0.3).apply(X, seed=1) == Clipping(0.3).apply(X, seed=2)).all()
    assert set(Clipping(1.0).apply(np.array([1.0, 2.0, 9.0]))) == {2.0}
    assert Clipping(0.5).apply(np.array([0, 1, 2, 3, INT64.max, INT64.min])).tolist()[1:4] == [1, 2, 3]


def test_ranks_keep_their_normal_law_in_the_middle():
    """The sign of a rank's move is a fair coin, and half of the moves are below the normal's quartile, within 1e-6."""
    x = RNG.permutation(np.arange(1000.0))
    moved = (QuantileNoise(0.01).apply(x) - x)[(x > 200) & (x < 800)] / 10
    low, high = binom.ppf([5e-7, 1 - 5e-7], moved.size, 0.5)
    assert low <= (moved > 0).sum() <= high
    assert low <= (np.abs(moved) < norm.ppf(0.75)).sum() <= high
