"""The door: whatever dtype comes in goes out again, in every library."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hormesis.errors import DataError
from hormesis.frames import changed, is_frame, known_categories, open_table, stack, take
from hormesis.noise import CATALOGUE, MissingValues, Typos
from hormesis.noise.base import draw_of
from hormesis.profile import Profile

N = 40
COUNT = np.arange(N)
WORDS = ["a", "b", None, "ç"] * 10
DAYS = [dt.date(2020, 1, 1 + i % 20) for i in range(N)]
TIMES = [dt.datetime(2020, 1, 1 + i % 20, 7) for i in range(N)]
MONEY = [decimal.Decimal(i) / 4 for i in range(N)]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]

PANDAS = {
    t: pd.Series(COUNT, dtype=t)
    for t in (*INTEGERS, "float16", "float32", "float64", "Int64", "UInt8", "Float32")
}
PANDAS |= {
    "bool": pd.Series(COUNT % 2 == 0),
    "boolean": pd.Series([True, False, None, True] * 10, dtype="boolean"),
    "str": pd.Series(WORDS, dtype="str"),
    "object": pd.Series(WORDS, dtype=object),
    "string[python]": pd.Series(WORDS, dtype="string[python]"),
    "string[pyarrow]": pd.Series(WORDS, dtype="string[pyarrow]"),
    "object of integers": pd.Series([1, 2, None, 5] * 10, dtype=object),
    "object of booleans": pd.Series([True, False, None, True] * 10, dtype=object),
    "object of many things": pd.Series(["a", 1, None, 2.5] * 10, dtype=object),
    "object of decimals": pd.Series(MONEY, dtype=object),
    "object of lists": pd.Series([[1], [2, 3]] * 20, dtype=object),
    "category": pd.Series(WORDS, dtype="category"),
    "ordered category": pd.Series(pd.Categorical(WORDS, categories=["ç", "b", "a"], ordered=True)),
    "category of integers": pd.Series(COUNT % 3, dtype="category"),
    "category of intervals": pd.Series(pd.cut(COUNT, 4)),
    "naive times": pd.Series(TIMES),
    "times in seconds": pd.Series(TIMES).dt.as_unit("s"),
    "zoned times": pd.Series(TIMES).dt.tz_localize("Europe/Zurich"),
    "times beyond nanoseconds": pd.Series([dt.datetime(9999, 12, 31)] * N),
    "durations": pd.Series(pd.to_timedelta(COUNT, unit="h")),
    "periods": pd.Series(pd.period_range("2020", periods=N, freq="D")),
    "arrow integers": pd.Series(COUNT, dtype=pd.ArrowDtype(pa.int64())),
    "arrow strings": pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())),
    "arrow times": pd.Series(TIMES).astype(pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    "arrow days": pd.Series(DAYS, dtype=pd.ArrowDtype(pa.date32())),
    "arrow decimals": pd.Series(MONEY, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
    "arrow dictionary": pd.Series(WORDS, dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
}
POLARS = {t: pl.Series(COUNT.astype(t)) for t in (*INTEGERS, "float32", "float64")}
POLARS |= {
    "booleans": pl.Series([True, False, None, True] * 10),
    "integers with nulls": pl.Series([1, None, 2, 3] * 10, dtype=pl.UInt8),
    "floats with nulls and nan": pl.Series([1.0, None, float("nan"), 3.0] * 10),
    "strings": pl.Series(WORDS),
    "categories": pl.Series(WORDS, dtype=pl.Categorical),
    "enum": pl.Series(WORDS, dtype=pl.Enum(["ç", "b", "a"])),
    "days": pl.Series(DAYS),
    "days beyond nanoseconds": pl.Series([dt.date(9999, 12, 31), dt.date(2020, 1, 1)] * 20),
    "times": pl.Series(TIMES, dtype=pl.Datetime("ms")),
    "zoned times": pl.Series(TIMES).dt.replace_time_zone("Europe/Zurich"),
    "durations": pl.Series([dt.timedelta(hours=i) for i in range(N)]),
    "decimals": pl.Series(MONEY),
    "lists": pl.Series([[1], [2, 3]] * 20),
    "structs": pl.Series([{"a": 1}] * N),
    "bytes": pl.Series([b"a", b"b"] * 20),
    "nulls": pl.Series([None] * N),
}
ARROW = {t: pa.array(COUNT.astype(t)) for t in (*INTEGERS, "float16", "float32", "float64")}
ARROW |= {
    "booleans": pa.array([True, False, None, True] * 10),
    "integers with nulls": pa.array([1, None, 2, 3] * 10, pa.uint8()),
    "floats with nulls and nan": pa.array([1.0, None, float("nan"), 3.0] * 10),
    "strings": pa.array(WORDS),
    "large strings": pa.array(WORDS, pa.large_string()),
    "dictionary": pa.array(WORDS).dictionary_encode(),
    "small dictionary": pa.array(WORDS).cast(pa.dictionary(pa.int8(), pa.string())),
    "ordered dictionary": pa.array(WORDS).cast(pa.dictionary(pa.int8(), pa.string(), ordered=True)),
    "large dictionary": pa.array(WORDS, pa.large_string()).dictionary_encode(),
    "dictionary of integers": pa.array([5, 6, None, 7] * 10).dictionary_encode(),
    "days": pa.array(DAYS),
    "days in milliseconds": pa.array(DAYS, pa.date64()),
    "times": pa.array(TIMES, pa.timestamp("s")),
    "zoned times": pa.array(TIMES, pa.timestamp("us", "Europe/Zurich")),
    "decimals": pa.array(MONEY),
    "lists": pa.array([[1], [2, 3]] * 20),
    "bytes": pa.array([b"a", b"b"] * 20),
    "nulls": pa.nulls(N),
}
TABLES = {f"pandas {n}": pd.DataFrame({"x": c, "untouched": COUNT}) for n, c in PANDAS.items()}
TABLES |= {f"polars {n}": pl.DataFrame({"x": c, "untouched": COUNT}) for n, c in POLARS.items()}
TABLES |= {f"arrow {n}": pa.table({"x": c, "untouched": COUNT}) for n, c in ARROW.items()}
NULLABLE = {t: t.replace("int", "Int").replace("uInt", "UInt") for t in INTEGERS} | {"bool": "boolean"}
features = [kind for kind in CATALOGUE.values() if kind.changes == "cells"]


def dtype_of(table):
    if isinstance(table, pa.Table):
        return table.schema.field("x").type
    dtype = table["x"].dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category", dtype.ordered, dtype.categories.dtype
    return pl.Enum if isinstance(dtype, pl.Enum) else dtype


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_noise_keeps_the_dtype(table):
    for kind in features:
        out = kind(0.5).apply(table)
        before, after = dtype_of(table), dtype_of(out)
        assert type(out) is type(table)
        if kind is MissingValues and str(before) in NULLABLE and isinstance(table, pd.DataFrame):
            before = NULLABLE[str(before)]
        assert after == before, kind.__name__


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_can_lose_its_values(table):
    empty = open_table(table).missing(0)
    empty = np.zeros(N, bool) if empty is None else empty
    out = MissingValues(1.0, columns=["x"]).apply(table)
    assert open_table(out).missing(0) is not None
    np.testing.assert_array_equal(changed(table, out)[:, 0], ~empty)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.array([b"a", b"b"]),
        np.array([1, 2], "m8[s]"),
        np.array([1, 2], "M8[D]"),
        np.array([1j, 2j]),
        np.array([1, None, 2], object),
        np.array(["a", None, "b"], object),
    ],
    ids=repr,
)
def test_arrays_of_any_dtype_and_shape_come_out_as_arrays(array):
    for kind in features:
        assert kind(1.0).apply(array).shape == array.shape
    assert changed(array, MissingValues(1.0).apply(array)).sum() == array.size - sum(
        v is None for v in array.ravel()
    )


@pytest.mark.parametrize("kind", features)
def test_a_series_comes_out_as_a_series(kind):
    for name in ("größe", None, ("a", 1)):
        series = pd.Series([1.5, 2.5, 4.0], index=[3, 3, 1], name=name)
        out = kind(1.0).apply(series)
        assert isinstance(out, pd.Series)
        assert (out.name, out.index.tolist()) == (name, [3, 3, 1])
    assert isinstance(kind(1.0).apply(pl.Series("a", [1.5, 2.5])), pl.Series)


def test_changed_compares_missing_with_missing():
    before = pd.DataFrame({"x": [1.0, None, None, 2.0], "y": ["a", None, "b", None]})
    after = pd.DataFrame({"x": [1.0, None, 3.0, None], "y": ["a", None, "c", "d"]})
    assert changed(before, after).tolist() == [[False, False], [False, False], [True, True], [True, True]]


def test_changed_refuses_tables_of_other_rows():
    with pytest.raises(DataError, match="differ"):
        changed(pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1, 2]}))
    with pytest.raises(DataError, match="differ"):
        changed(pd.DataFrame({"x": [1]}), pd.DataFrame({"y": [1, 2]}))


def test_widened_columns_are_told():
    table = open_table(pd.DataFrame({"n": [1, 2], "b": [True, False], "x": [1.0, 2.0]}))
    noise = MissingValues(1.0)
    noise.touch(table, Profile.of(table), draw_of(table, 0))
    assert table.widened == {"n": "int64 -> Int64", "b": "bool -> boolean"}


def test_a_sparse_column_is_refused_with_the_mend():
    with pytest.raises(DataError, match="to_dense"):
        MissingValues(1.0).apply(pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.0])}))


@pytest.mark.parametrize(
    "table", [TABLES["pandas category"], TABLES["polars enum"], TABLES["arrow dictionary"]]
)
def test_stacked_tables_are_those_that_were_taken(table):
    parts = [take(table, np.array(rows)) for rows in ([3, 1], [0, 5, 7], [])]
    whole = take(table, np.array([3, 1, 0, 5, 7]))
    assert not changed(whole, stack(parts)).any()


def test_stacking_unites_categories():
    a, b = (pd.DataFrame({"x": pd.Categorical(list(v))}) for v in ("ab", "bc"))
    united = stack([a, b])["x"]
    assert (united.tolist(), list(united.cat.categories)) == (["a", "b", "b", "c"], ["a", "b", "c"])


@pytest.mark.parametrize(
    "name", ["pandas category", "polars categories", "polars enum", "arrow large dictionary"]
)
def test_categories_that_a_model_has_not_learnt_become_missing(name):
    learnt = take(TABLES[name], np.array([0, 1, 2]))
    dirty = Typos(0.5, columns=["x"]).apply(take(TABLES[name], np.arange(12)))
    held = known_categories(dirty, learnt)
    before, after = (
        t["x"].to_pylist() if isinstance(t, pa.Table) else t["x"].to_list() for t in (dirty, held)
    )
    lost = [b for b, a in zip(before, after, strict=True) if isinstance(b, str) and not isinstance(a, str)]
    assert lost
    assert not set(lost) & {"a", "b"}
    stack([learnt, held])


def test_frames_are_told_from_other_things():
    assert all(is_frame(t) for t in (pd.DataFrame(), pl.DataFrame(), pa.table({"a": [1]})))
    assert not any(is_frame(t) for t in (np.zeros((1, 1)), [[1]], {"a": [1]}, pl.LazyFrame()))


def test_a_slice_of_an_arrow_table_loses_cells_like_a_table():
    """Arrow 17 makes columns of strings that cannot be read when it loses cells of a slice."""
    table = pa.table({"c": [f"word {i % 7}" for i in range(97)]})
    for noise in (MissingValues(0.4), Typos(0.4)):
        part, whole = noise.apply(table.slice(40)), noise.apply(pa.table({"c": table["c"].to_pylist()[40:]}))
        assert part["c"].to_pylist() == whole["c"].to_pylist()
        part["c"].combine_chunks().validate(full=True)
