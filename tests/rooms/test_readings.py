"""What is particular to one noise of readings."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import binom

from hormesis.errors import RowIdError
from hormesis.frames import changed, open_table, take
from hormesis.noise import (
    Clipping,
    LowPrecision,
    Placeholders,
    QuantileNoise,
    Rounding,
    SignErrors,
    StuckColumn,
)
from hormesis.noise.base import draw_of
from hormesis.profile import Profile
from hormesis.recipe import Recipe, Step

N = 6000
RNG = np.random.default_rng(0)
X = RNG.normal(5, 2, N)
SKEWED = np.round(RNG.lognormal(2, 1.5, N)).astype(np.int64)
WIDE = np.ldexp(RNG.normal(size=N), RNG.integers(-140, 120, N))
EDGES = np.array([0.0, -0.0, 5e-324, -1e-310, 1e308, -1.7e308, 65504.0, 65519.99, 65520.0, 1e-8])
INT64 = np.iinfo(np.int64)
MOST = np.finfo(np.float64).max


@pytest.mark.parametrize("digits", [1, 2, 3, 7, 15])
def test_rounding_keeps_significant_digits(digits):
    """Printing with so many digits rounds the exact value of a float, halves to even; no finite number becomes infinite."""
    x = np.concatenate(
        [
            WIDE,
            X,
            SKEWED.astype(float),
            EDGES,
            [1e22, 9.99e22, 1e-22, 9.95e-5, 999999.0, 2.675, 1.25, 135.0, 0.285, 1.79e308],
        ]
    )
    expected = np.clip([float(f"{v:.{digits - 1}e}") for v in x], -MOST, MOST)
    with np.errstate(all="raise", under="ignore"):
        out = Rounding(1.0, digits=digits).apply(x, profile=Profile.learn(X))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(Rounding(1.0, digits=digits).apply(out, profile=Profile.learn(X)), out)


@pytest.mark.parametrize("digits", [1, 2, 4, 15])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "i8", "u8"])
def test_rounding_of_integers_is_exact_and_stops_at_the_limits(digits, dtype):
    limits = np.iinfo(dtype)
    some = np.ldexp(RNG.random(300), RNG.integers(0, limits.bits - 1, 300)).astype(dtype)
    x = np.concatenate([some, np.array([limits.min, limits.max, 0, 5, 15, 25, 95, 100, 105, 125], dtype)])
    exact = decimal.Context(prec=digits, rounding=decimal.ROUND_HALF_EVEN)
    expected = [min(max(int(exact.create_decimal(int(v))), limits.min), limits.max) for v in x]
    assert Rounding(1.0, digits=digits).apply(x, profile=Profile.learn(some)).tolist() == expected


@pytest.mark.parametrize("decimals", [-3, -1, 0, 1, 5])
def test_rounding_to_decimals(decimals):
    np.testing.assert_array_equal(
        Rounding(1.0, decimals=decimals).apply(X), [round(v, decimals) for v in X.tolist()]
    )
    expected = [round(v, min(decimals, 0)) for v in SKEWED.tolist()]
    assert Rounding(1.0, decimals=decimals).apply(SKEWED).tolist() == expected
    large = np.array([1e300, -1e300, 2.0**60, 3.0])
    assert (Rounding(1.0, decimals=15).apply(large) == large).all()


def nearest_bfloat16(x):
    """Search the table of all finite bfloat16 numbers, written as the upper half of a float32."""
    words = np.arange(0x7F80, dtype=np.uint32)
    table = (words << np.uint32(16)).view(np.float32).astype(float)
    size = np.minimum(np.abs(x), table[-1])
    above = np.searchsorted(table, size)
    below = np.maximum(above - 1, 0)
    gap = (table[above] - size) - (size - table[below])
    pick = np.where((gap < 0) | ((gap == 0) & (above % 2 == 0)), above, below)
    return np.copysign(table[pick], x)


def test_bfloat16_rounds_to_the_nearest_and_halves_to_even():
    halves = (np.arange(1, 0x7F80, 7, dtype=np.uint32) << np.uint32(16)).view(np.float32).astype(float)
    halves = (halves[1:] + halves[:-1]) / 2
    x = np.concatenate([WIDE, X, EDGES, halves, np.nextafter(halves, 0), np.nextafter(halves, 1e300)])
    out = LowPrecision(1.0, format="bfloat16").apply(x, profile=Profile.learn(X))
    np.testing.assert_array_equal(out, nearest_bfloat16(x))


def test_float16_is_that_of_numpy_and_saturates():
    x = np.concatenate([WIDE, X, EDGES])
    out = LowPrecision(1.0).apply(x, profile=Profile.learn(X))
    with np.errstate(over="ignore"):
        half = x.astype(np.float16).astype(float)
    np.testing.assert_array_equal(out, np.where(np.isinf(half), np.copysign(65504.0, x), half))
    assert LowPrecision(1.0).apply(np.array([INT64.max, INT64.min, 2049])).tolist() == [65504, -65504, 2048]


def test_int8_is_the_nearest_of_256_values_over_the_training_range():
    train, x = X[:1000], np.append(X[1000:], [-1e6, 1e6])
    noise, profile = LowPrecision(1.0, format="int8"), Profile.learn(train)
    out = noise.apply(x, profile=profile)
    grid = np.linspace(train.min(), train.max(), 256)
    nearest = grid[np.abs(x[:, None] - grid).argmin(axis=1)]
    np.testing.assert_allclose(out, nearest, rtol=1e-12)
    np.testing.assert_array_equal(noise.apply(out, profile=profile), out)
    huge = np.array([-1.7e308, 0.0, 1.7e308])
    assert (noise.apply(huge)[[0, 2]] == huge[[0, 2]]).all()
    assert (noise.apply(np.full(3, 7.0)) == 7).all()


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64", "float32", "float64"])
def test_signs_turn_and_stop_at_the_limits_of_a_type(dtype):
    limits = np.finfo(dtype) if dtype[0] == "f" else np.iinfo(dtype)
    x = np.array([0, 1, 100, limits.max, limits.min], dtype)
    expected = [min(max(-v, limits.min), limits.max) for v in x.tolist()]
    assert SignErrors(1.0).apply(x).tolist() == expected
    frame = pd.DataFrame({"x": x})
    assert SignErrors(1.0).apply(frame)["x"].tolist() == expected
    assert SignErrors(1.0).apply(pl.DataFrame({"x": x}))["x"].to_list() == expected
    reach = SignErrors(0.1).reach(frame)
    assert reach == {"x": np.mean([v != w for v, w in zip(x.tolist(), expected, strict=True)])}


def test_nullable_integers_and_decimals():
    frame = pd.DataFrame({"x": pd.array([1234, None, -56], "Int64"), "d": [decimal.Decimal("1.25")] * 3})
    assert SignErrors(1.0).apply(frame)["x"].tolist() == [-1234, pd.NA, 56]
    assert Rounding(1.0).apply(frame)["x"].tolist() == [1200, pd.NA, -56]
    assert LowPrecision(1.0, format="bfloat16").apply(frame)["x"].tolist() == [1232, pd.NA, -56]
    for kind in (SignErrors, Rounding, LowPrecision, Placeholders, StuckColumn, Clipping, QuantileNoise):
        assert kind(0.9).apply(frame)["d"].equals(frame["d"])


TIMES = [dt.datetime(2024, 5, 1, h) for h in (1, 2, 3)]
MIXED = {"n": [1.5, 2.5, 3.5], "i": [1, 2, 3], "t": ["a", "b", "a"], "b": [True, False, True], "s": TIMES}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(("date", "year"), [("1900-01-01", 1900), ("1970-01-01", 1970)])
def test_placeholders_stand_in_for_each_kind(make, date, year):
    out = Placeholders(1.0, number=-1, text="", date=date).apply(make(MIXED))
    columns = out.to_pydict() if isinstance(out, pa.Table) else {n: out[n].to_list() for n in MIXED}
    assert columns["n"] == [-1.0] * 3
    assert columns["i"] == [-1] * 3
    assert columns["t"] == [""] * 3
    assert columns["b"] == MIXED["b"]
    assert columns["s"] == [dt.datetime(year, 1, 1)] * 3


def test_placeholders_extend_the_categories_and_stay_in_a_type():
    frame = pd.DataFrame(
        {
            "c": pd.Categorical(["a", "b", None]),
            "k": pd.Categorical([1, 2, 1]),
            "u": np.array([7, 8, 9], "u1"),
        }
    )
    out = Placeholders(1.0).apply(frame)
    assert out["c"].tolist()[:2] == ["N/A", "N/A"]
    assert out["c"].isna().tolist() == [False, False, True]
    assert list(out["c"].cat.categories) == ["a", "b", "N/A"]
    assert out["k"].tolist() == [-999, -999, -999]
    assert out["u"].tolist() == [0, 0, 0]
    enum = pl.DataFrame({"c": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"]))})
    assert Placeholders(1.0).apply(enum)["c"].dtype.categories.to_list() == ["b", "a", "N/A"]


@pytest.mark.parametrize("date", [pl.Date, pl.Datetime("ms", "Europe/Zurich"), pl.Datetime("us")])
def test_placeholders_of_dates_keep_the_type(date):
    frame = pl.DataFrame({"s": pl.Series(TIMES).cast(date)})
    out = Placeholders(1.0).apply(frame)
    assert out.schema == frame.schema
    assert out["s"].dt.date().to_list() == [dt.date(1900, 1, 1)] * 3


def stuck_by_hand(x, ids, noise, seed=0, missing=()):
    """Walk through the rows one by one, in the order of their ids."""
    draw = draw_of(open_table(pd.DataFrame({"id": ids, "x": x})), seed, "id").within(noise.name, "x")
    runs = draw.bursts(noise.length, "run")
    hit, out = runs.below(noise.level, "hit"), list(x)
    at = {i: k for k, i in enumerate(ids)}
    for k in range(len(ids)):
        members = [j for j in sorted(ids) if runs.lanes[at[j]] == runs.lanes[k]]
        before = at.get(members[0] - 1)
        own = [at[j] for j in members if not np.isnan(x[at[j]])]
        if hit[k] and not np.isnan(x[k]):
            out[k] = x[before] if before is not None and not np.isnan(x[before]) else x[own[0]]
    return np.array(out)


@pytest.mark.parametrize("length", [1, 2, 7, 50])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_stuck_column_repeats_the_last_value(length, gaps):
    ids = RNG.permutation(300)[: 200 if gaps else 300] - 40
    x = np.where(RNG.random(ids.size) < 0.1, np.nan, RNG.normal(size=ids.size))
    noise = StuckColumn(0.5, length=length)
    out = noise.apply(
        pd.DataFrame({"id": ids, "x": x}), row_id="id", profile=Profile.learn(pd.DataFrame({"x": X}))
    )
    np.testing.assert_array_equal(out["x"], stuck_by_hand(x, ids.tolist(), noise))


def test_a_stuck_column_in_pieces_is_that_of_the_whole():
    """A piece that sees `history` rows before its own gets the same noise."""
    frame = pd.DataFrame({"id": np.arange(500), "x": RNG.normal(size=500), "i": SKEWED[:500]})
    frame.loc[RNG.random(500) < 0.1, "x"] = np.nan
    noise, profile = StuckColumn(0.6, length=13, columns=("x", "i")), Profile.learn(frame)
    whole = noise.apply(frame, row_id="id", profile=profile)
    for start in range(0, 500, 61):
        seen = max(start - noise.history, 0)
        piece = noise.apply(take(frame, np.arange(seen, min(start + 61, 500))), row_id="id", profile=profile)
        pd.testing.assert_frame_equal(piece[piece["id"] >= start], whole[start : start + 61])


def test_a_stuck_column_is_hit_at_its_rate_in_runs_of_its_length():
    """Runs are independent: the number of hit ones is binomial, within 1e-6; inside a hit run nothing moves."""
    x = np.arange(20_000.0)
    out = StuckColumn(0.2, length=20).apply(x)
    low, high = binom.ppf([5e-7, 1 - 5e-7], 1001, 0.2)
    held, size = np.unique(out[out != x], return_counts=True)
    assert low <= held.size <= high
    assert (size[1:-1] == 20).all()
    assert all((out[int(v) + 1 : int(v) + 21] == v).all() for v in held[1:-1])


@pytest.mark.parametrize(
    "values", [["a", "b", "c"], [True, False, True], TIMES, [1, 2, 3]], ids=["text", "bool", "time", "int"]
)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_any_kind_of_column_gets_stuck(values, make):
    out = StuckColumn(1.0, length=1, columns="x").apply(make({"x": values}))
    found = out["x"].to_pylist() if isinstance(out, pa.Table) else out["x"].to_list()
    assert found == [values[0], values[0], values[1]]


def test_rows_that_a_step_leaves_out_do_not_get_stuck_but_lend_their_value():
    frame = pd.DataFrame({"x": np.arange(400.0)})
    whole = StuckColumn(1.0, length=8).apply(frame)["x"]
    step = Step(StuckColumn(1.0, length=8), name="stuck-column", probability=0.5)
    part = Recipe([step]).apply(frame, profile=Profile.learn(frame))["x"]
    assert ((part == whole) | (part == frame["x"])).all()
    low, high = binom.ppf([5e-7, 1 - 5e-7], int((whole != frame["x"]).sum()), 0.5)
    assert low <= (part != frame["x"]).sum() <= high


def test_rows_without_an_order_cannot_be_stuck():
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.0, 2.0]})
    with pytest.raises(RowIdError, match="whole numbers"):
        StuckColumn(0.5).apply(frame, row_id="id")


def test_hit_cells_of_each_level_are_a_binomial_count():
    for noise in (Rounding(0.3), LowPrecision(0.3), SignErrors(0.3), Placeholders(0.3)):
        low, high = binom.ppf([5e-7, 1 - 5e-7], N, 0.3)
        assert low <= changed(X, noise.apply(X)).sum() <= high
