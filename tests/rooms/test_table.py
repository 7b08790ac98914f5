"""What is particular to one noise of tables."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import binom, chi2

from hormesis.errors import DataError, SettingError
from hormesis.frames import changed
from hormesis.noise import (
    CategorySwap,
    GaussianNoise,
    Masking,
    MissingValues,
    Outliers,
    Shift,
    SwapNoise,
    UnitErrors,
)
from hormesis.profile import Profile
from hormesis.recipe import Recipe

N = 6000
RNG = np.random.default_rng(0)
CITY = pd.Series(RNG.choice(["Bern", "Genf", "Zürich", "Ulm"], N, p=[0.5, 0.3, 0.15, 0.05]), dtype="category")
BIG = 2**53 + 1


def expect(found, share):
    """Compare counts with shares: chi-square at 1e-6."""
    expected = found.sum() * np.asarray(share)
    return found.size == 1 or ((found - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-6, found.size - 1)


@pytest.mark.parametrize(
    "values",
    [
        RNG.integers(0, 4, N),
        RNG.integers(0, 4, N).astype("u1"),
        RNG.integers(0, 4, N) / 4,
        (RNG.integers(0, 4, N) / 4).astype("f4"),
        CITY,
        CITY.astype(str),
        pd.Series(RNG.random(N) < 0.2),
        pd.Series(pd.date_range("2020", periods=3, tz="Europe/Zurich")[RNG.integers(0, 3, N)]),
    ],
    ids=lambda v: str(v.dtype),
)
def test_swapped_cells_take_other_values_by_their_frequency(values):
    frame = pd.DataFrame({"x": values})
    out = SwapNoise(1.0).apply(frame)["x"]
    assert (out.to_numpy() != frame["x"].to_numpy()).all()
    counts = frame["x"].value_counts()
    own = counts.index[0]
    received = out[frame["x"] == own].value_counts().reindex(counts.index[1:], fill_value=0)
    assert expect(received.to_numpy(), counts.iloc[1:] / counts.iloc[1:].sum())


def test_swap_noise_keeps_continuous_values_to_those_seen_in_training():
    x = RNG.normal(size=500)
    out = SwapNoise(1.0).apply(x)
    assert set(out) <= set(x)
    assert (out != x).all()


def test_swap_noise_leaves_a_constant_column():
    assert SwapNoise(1.0).apply(pd.DataFrame({"x": [3.0] * 5, "y": ["a"] * 5})).eq([3.0, "a"]).all().all()


def test_category_swap_takes_any_other_category_alike():
    frame = pd.DataFrame({"x": CITY})
    out = CategorySwap(1.0).apply(frame)["x"]
    for own in CITY.cat.categories:
        received = out[own == CITY].value_counts().drop(own)
        assert expect(received.to_numpy(), [1 / 3] * 3)
    assert out.dtype == CITY.dtype


def test_category_swap_flips_booleans():
    paid = pd.Series([True, False, None], dtype="boolean", name="x")
    assert CategorySwap(1.0).apply(pd.DataFrame({"x": paid}))["x"].tolist() == [False, True, pd.NA]


@pytest.mark.parametrize(("fill", "value"), [("mean", 3.0), ("zero", 0.0), (-1, -1.0)])
def test_masking_writes_its_fill(fill, value):
    assert Masking(1.0, fill=fill).apply(np.array([1.0, 2.0, 6.0])).tolist() == [value] * 3


def test_masking_uses_the_training_mean():
    profile = Profile.learn(np.array([[10.0], [20.0]]))
    assert Masking(1.0).apply(np.array([[1.0], [np.nan]]), profile=profile)[0] == 15


def test_outliers_lie_at_their_magnitude_on_both_sides():
    x = RNG.normal(5, 2, N)
    column = Profile.learn(x)[0]
    out = (Outliers(1.0, magnitude=8).apply(x) - column.center) / column.spread
    np.testing.assert_allclose(np.abs(out), 8)
    low, high = binom.ppf([5e-7, 1 - 5e-7], N, 0.5)
    assert low <= (out > 0).sum() <= high


def test_unit_errors_multiply_by_each_factor_alike():
    x = RNG.uniform(1, 2, N)
    ratio = UnitErrors(1.0, factors=(0.1, 60)).apply(x) / x
    assert set(ratio.round(9)) == {0.1, 60}
    assert expect(np.array([(ratio < 1).sum(), (ratio > 1).sum()]), [0.5, 0.5])


@pytest.mark.parametrize("factors", [(), (0.0,), (-1,)])
def test_factors_that_are_none_are_refused(factors):
    with pytest.raises(SettingError, match="factors"):
        UnitErrors(0.1, factors=factors)


def test_gaussian_noise_has_the_spread_that_was_asked_for():
    """The standard error of a standard deviation is sigma / sqrt(2 n); 4.9 of them are 1e-6."""
    x = RNG.normal(0, 3, N)
    noise = (GaussianNoise(0.5).apply(x) - x) / Profile.learn(x)[0].spread
    assert abs(noise.std() - 0.5) < 4.9 * 0.5 / np.sqrt(2 * N)
    assert abs(noise.mean()) < 4.9 * 0.5 / np.sqrt(N)
    assert abs(np.corrcoef(noise, x)[0, 1]) < 4.9 / np.sqrt(N)


@pytest.mark.parametrize(("direction", "signs"), [("up", {1}), ("down", {-1}), ("random", {-1, 1})])
def test_shift_moves_a_whole_column_to_one_side(direction, signs):
    x = RNG.normal(size=(50, 40))
    moved = Shift(1.0, direction=direction).apply(x) - x
    assert (np.sign(moved) == np.sign(moved[0])).all()
    assert set(np.sign(moved[0])) == signs


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64"])
def test_integers_stop_at_the_limits_of_their_type(dtype):
    limits = np.iinfo(dtype)
    values = np.array([0, limits.max // 2, limits.max, limits.min], dtype=dtype)
    nullable = pd.Series(values, dtype=dtype.replace("u", "U").replace("i", "I"))
    noise = UnitErrors(1.0, factors=(1e25,))
    stopped = [0, limits.max, limits.max, limits.min]
    assert noise.apply(values).tolist() == stopped
    for table in (pd.DataFrame({"x": values}), pd.DataFrame({"x": nullable}), pl.DataFrame({"x": values})):
        assert noise.apply(table)["x"].to_list() == stopped
    assert noise.apply(pa.table({"x": values}))["x"].to_pylist() == stopped


@pytest.mark.parametrize("dtype", ["int64", "Int64", object])
@pytest.mark.parametrize(
    "noise", [GaussianNoise(1e-18), Outliers(0.5), SwapNoise(0.5), MissingValues(0.5), Masking(0.5)], ids=repr
)
def test_integers_beyond_what_floats_can_tell_are_exact_where_they_are_not_hit(noise, dtype):
    values = [BIG + 2 * i for i in range(40)]
    for table in (
        pd.DataFrame({"x": pd.Series(values, dtype=dtype)}),
        pl.DataFrame({"x": values}),
        pa.table({"x": values}),
    ):
        out = noise.apply(table)
        new = out["x"].to_pylist() if isinstance(out, pa.Table) else out["x"].to_list()
        lost = 0 if noise.unit == "sigma" else binom.ppf(1 - 1e-6, 40, 0.5)
        assert sum(a is pd.NA or a != b for a, b in zip(new, values, strict=True)) <= lost


def test_swapped_integers_beyond_what_floats_can_tell_are_those_seen():
    values = pd.Series([BIG + 2 * i for i in range(40)])
    out = SwapNoise(1.0).apply(pd.DataFrame({"x": values}))["x"]
    assert set(out) <= set(values)
    assert (out != values).all()


def test_a_numpy_array_too_large_for_floats_cannot_miss_values():
    with pytest.raises(DataError, match="too large to be floats"):
        MissingValues(1.0).apply(np.array([[BIG], [1]]))


def test_integers_of_an_array_stay_whole_after_values_went_missing():
    x = RNG.integers(0, 1000, (200, 2))
    both = Recipe([MissingValues(0.3), GaussianNoise(1.0)]).apply(x)
    kept = both[~np.isnan(both)]
    np.testing.assert_array_equal(kept, np.rint(kept))


def test_noise_within_the_categories_leaves_an_enum_as_it_is():
    enum = pl.Enum(["Ulm", "Bern", "Genf", "Zürich", "never seen"])
    frame = pl.DataFrame({"x": pl.Series(CITY.tolist(), dtype=enum)})
    for noise in (CategorySwap(0.5), SwapNoise(0.5), MissingValues(0.5)):
        assert noise.apply(frame).schema == frame.schema


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Zurich"])
def test_swapped_times_are_times_of_the_same_zone_and_unit(unit, zone):
    times = pd.Series(pd.date_range("2020-03-29", periods=200, freq="30min", tz=zone)).dt.as_unit(unit)
    frame = pd.DataFrame({"t": times})
    out = SwapNoise(1.0).apply(frame)["t"]
    assert out.dtype == times.dtype
    assert (out != times).all()
    assert set(out) <= set(times)


def test_swapped_times_of_polars_and_arrow():
    times = [dt.datetime(2020, 3, 29) + dt.timedelta(minutes=30 * i) for i in range(100)]
    zoned = (
        pl.Series(times, dtype=pl.Datetime("ms"))
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone("Asia/Tokyo")
    )
    for column in (zoned, pl.Series(times), pl.Series(times).dt.date().unique()):
        frame = pl.DataFrame({"t": column})
        for table in (frame, frame.to_arrow()):
            out = SwapNoise(1.0).apply(table)
            assert changed(table, out).all()
            back = pl.DataFrame(out)["t"]
            assert back.dtype == column.dtype
            assert set(back) <= set(column)


def test_columns_are_chosen_by_name_pattern_or_kind():
    frame = pd.DataFrame({"age": [1.0, 2.0], "age_2": [3.0, 5.0], "wage": [1.0, 9.0], "city": ["a", "b"]})
    for columns, hit in [
        ("age*", {"age", "age_2"}),
        (["wage"], {"wage"}),
        ("numeric", {"age", "age_2", "wage"}),
    ]:
        out = GaussianNoise(1.0, columns=columns).apply(frame)
        assert set(frame.columns[changed(frame, out).all(axis=0)]) == hit


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["agee"], "no such column.*Did you mean `age`"),
        ("numerc", "Did you mean `numeric`"),
        (["city"], "is category"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(columns, message):
    frame = pd.DataFrame({"age": [1.0, 2.0], "city": ["a", "b"]})
    with pytest.raises(SettingError, match=message):
        GaussianNoise(1.0, columns=columns).apply(frame)


def test_a_column_that_changed_its_type_since_training_is_refused():
    profile = Profile.learn(pd.DataFrame({"x": [1.0, 2.0]}))
    with pytest.raises(DataError, match="`x` was number in the training data and holds string"):
        Outliers(1.0).apply(pd.DataFrame({"x": ["a", "b"]}), profile=profile)
