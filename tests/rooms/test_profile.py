"""What training data look like: kinds, robust spread, observed quantiles, and what is refused."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.errors import DataError
from hormesis.frames import open_table
from hormesis.noise import CategorySwap, GaussianNoise, MissingValues, UnitErrors
from hormesis.profile import POINTS, LazyProfile, Profile
from hormesis.recipe import Recipe


def column(values, **settings):
    return Profile.learn(pd.DataFrame({"x": pd.Series(values, **settings)}))["x"]


@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        ([1.5, None, 2.0], "float64", "number"),
        ([1.5, 2.0], "float32", "number"),
        ([1, 2], "int8", "integer"),
        ([1, None], "Int64", "integer"),
        ([1, None, 3], object, "integer"),
        ([True, False], "bool", "boolean"),
        ([True, None], "boolean", "boolean"),
        ([True, None], object, "boolean"),
        (["a", "b", None], "str", "category"),
        (["a", "b", None], object, "category"),
        ([f"word {i}" for i in range(30)], "str", "text"),
        ([f"word {i}" for i in range(30)], "category", "category"),
        ([dt.datetime(2020, 1, 1)], "datetime64[us]", "datetime"),
        ([dt.datetime(9999, 12, 31)], "datetime64[us]", "other"),
        ([dt.timedelta(1)], "timedelta64[us]", "other"),
        ([pd.Interval(0, 1)], "category", "other"),
        (["a", 1], object, "other"),
        ([None, None], object, "other"),
        ([None, None], "float64", "number"),
    ],
)
def test_kinds(values, dtype, kind):
    assert column(values, dtype=dtype).kind == kind


def test_kinds_of_dates_in_other_libraries():
    days = [dt.date(2020, 1, 1), None]
    assert Profile.learn(pl.DataFrame({"x": days}))["x"].kind == "datetime"
    assert Profile.learn(pa.table({"x": days}))["x"].kind == "datetime"
    assert Profile.learn(pl.DataFrame({"x": [dt.date(9999, 12, 31)]}))["x"].kind == "other"


def test_the_spread_of_a_normal_sample_is_its_standard_deviation_and_outliers_do_not_matter():
    x = np.random.default_rng(0).normal(10, 3, 100_000)
    x[:1000] = 1e9
    assert abs(column(x).spread - 3) < 0.1


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0], 2 / 1.349),
        ([0.0] * 90 + [1.0] * 10, 1 / 3.29),
        ([0.0] * 99 + [1.0], np.std([0.0] * 99 + [1.0])),
        ([7.0] * 100, 0.0),
    ],
)
def test_the_spread_falls_back_until_something_varies(values, spread):
    assert column(values).spread == pytest.approx(spread)


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50))
def test_quantiles_were_really_observed(values):
    profile = column(values, dtype="int64")
    assert profile.quantiles == tuple(sorted(values))
    assert profile.points.tolist() == sorted(values)


def test_many_values_are_told_by_as_many_quantiles_as_are_kept_all_observed():
    values = np.random.default_rng(0).normal(size=100_000)
    quantiles = column(values).quantiles
    assert len(quantiles) == POINTS
    assert set(quantiles) <= set(values.tolist())
    exact = np.quantile(values, (np.arange(POINTS) + 0.5) / POINTS)
    np.testing.assert_allclose(quantiles, exact, atol=0.05)


def test_categories_are_counted_most_frequent_first():
    profile = column(["b", "a", "b", None, "c", "b", "a"])
    assert (profile.categories, profile.counts, profile.missing_rate) == (("b", "a", "c"), (3, 2, 1), 1 / 7)


def test_unsigned_integers_beyond_the_signed_ones_are_kept():
    big = [2**63 + 5, 3, 2**64 - 1]
    profile = column(big, dtype="uint64")
    assert profile.points.tolist() == sorted(big)
    below, upto = profile.span(np.array([3, 2**63 + 5], np.uint64))
    assert (below.tolist(), upto.tolist()) == ([0, 1], [1, 2])


def everything():
    return pd.DataFrame(
        {
            "number": [0.1, 1e-300, None, -1e300, 3.0],
            "integer": [2**62, -(2**62), 0, 1, 2],
            "boolean": [True, False, True, True, False],
            "größe 💶": ["a", "ä", None, "1", ""],
            "times": pd.date_range("2020", periods=5, tz="Europe/Zurich"),
            "codes": pd.Categorical([1, 2, 1, 2, 3]),
            "other": pd.to_timedelta([1, 2, 3, 4, 5], unit="h"),
            7: [1.0, 2.0, 3.0, 4.0, 5.0],
        }
    )


def test_profiles_come_back_from_json(tmp_path):
    profile = Profile.learn(everything())
    text = profile.to_json(tmp_path / "profile.json")
    assert Profile.from_json(text) == profile
    assert Profile.from_json((tmp_path / "profile.json").read_text(encoding="utf-8")) == profile
    types = [[type(v) for v in c.quantiles + c.categories] for c in profile.columns]
    assert [[type(v) for v in c.quantiles + c.categories] for c in Profile.from_json(text).columns] == types


def test_infinite_values_are_refused_by_name_and_number():
    with pytest.raises(DataError, match="Column `x` holds 2 infinite values"):
        column([1.0, np.inf, -np.inf])


@given(
    st.lists(st.integers(-3, 3) | st.integers(-(2**62), 2**62), min_size=1, max_size=40),
    st.sampled_from(["int64", "uint64", "int8", "float32", "float64"]),
)
def test_medians_counts_and_spread_are_those_of_numpy(values, dtype):
    values = np.asarray(values, np.int64).astype(dtype)
    found, plain = column(values), values.astype(np.float64)
    q5, q25, q75, q95 = np.quantile(plain, [0.05, 0.25, 0.75, 0.95])
    spread = (q75 - q25) / 1.349 or (q95 - q5) / 3.29 or plain.std()
    distinct, counts = np.unique(values, return_counts=True)
    assert found.quantiles == tuple(np.sort(values).tolist())
    assert (found.center, found.spread) == (np.median(values), spread if len(distinct) > 1 else 0.0)
    assert dict(zip(found.categories, found.counts, strict=True)) == dict(
        zip(distinct.tolist(), counts.tolist(), strict=True)
    )


@pytest.mark.parametrize("dtype", ["str", object, "string[python]", "category"])
def test_of_many_words_the_most_frequent_are_kept_and_the_first_of_equals(dtype):
    words = [f"{i:05}" for i in range(2000)]
    found = column([*words[::-1], *words[1500:1510], None], dtype=dtype)
    assert found.categories == (*words[1500:1510], *words[:990])
    assert found.counts == (2,) * 10 + (1,) * 990


def test_a_lazy_profile_says_what_the_whole_one_says():
    frame = everything()
    lazy, whole = LazyProfile(open_table(frame)), Profile.learn(frame)
    assert [lazy.kind(name) for name in frame] == [c.kind for c in whole.columns]
    assert (lazy.columns, lazy.rows) == (whole.columns, whole.rows)
    assert "number" in lazy
    assert "nmber" not in lazy
    with pytest.raises(DataError, match="Did you mean `number`"):
        lazy["nmber"]


def test_a_noise_without_a_profile_asks_for_its_own_columns_alone():
    frame = pd.DataFrame({"x": [1.0, 2.0], "odd": [np.inf, 1.0]})
    assert GaussianNoise(1.0, columns="x").apply(frame).odd.tolist() == [np.inf, 1.0]
    assert MissingValues(1.0).apply(frame).isna().all(axis=None)
    with pytest.raises(DataError, match="Column `odd` holds 1 infinite values"):
        GaussianNoise(1.0).apply(frame)


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_cells_that_a_step_lost_are_missing_for_the_next_one(dtype):
    frame = pd.DataFrame({"word": pd.Series(["left", "right"] * 50, dtype=dtype)})
    out = Recipe([MissingValues(0.5), CategorySwap(1.0)]).apply(frame, seed=1).word
    lost = MissingValues(0.5).apply(frame, seed=1).word.isna()
    assert lost.equals(out.isna())
    assert (out != frame.word).all()


def test_later_steps_are_scaled_by_the_table_as_it_came():
    frame = pd.DataFrame({"x": np.arange(100.0)})
    recipe = Recipe([UnitErrors(1.0, factors=(1000.0,)), GaussianNoise(1.0)])
    assert recipe.apply(frame).equals(recipe.apply(frame, profile=Profile.learn(frame)))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ],
)
def test_repeated_columns_are_refused(table):
    with pytest.raises(DataError, match="Column `a` appears 2 times"):
        Profile.learn(table)


@pytest.mark.parametrize("name", [("a", "b"), None, 1.5, pd.Timestamp(2020, 1, 1)])
def test_column_names_that_cannot_address_noise_are_refused(name):
    frame = pd.DataFrame({"x": [1]})
    frame.columns = pd.Index([name], dtype=object, tupleize_cols=False)
    with pytest.raises(DataError, match="is not text or a whole number"):
        Profile.learn(frame)


@pytest.mark.parametrize("table", [pd.DataFrame({"x": []}), pd.DataFrame(index=range(3)), np.empty((0, 2))])
def test_nothing_is_learnt_from_nothing(table):
    with pytest.raises(DataError, match="teaches nothing"):
        Profile.learn(table)


@pytest.mark.parametrize(
    "table", [[[1, 2]], {"a": [1]}, "a.csv", pl.LazyFrame({"a": [1]}), np.zeros((2, 2, 2))]
)
def test_what_is_no_table_is_refused(table):
    with pytest.raises(DataError, match="table"):
        Profile.learn(table)


def test_a_lazy_frame_is_told_to_collect():
    with pytest.raises(DataError, match="collect"):
        Profile.learn(pl.LazyFrame({"a": [1]}))


def test_an_unknown_column_is_refused_with_the_nearest_name():
    with pytest.raises(DataError, match="Did you mean `number`"):
        Profile.learn(everything())["nmber"]
