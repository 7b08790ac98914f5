"""What a noise leaves alone: its input, the kind of the table, dtypes, index, column order."""

import copy

import lawbook as law
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import PROFILE, every_library, every_noise_in_place

from hormesis.frames import changed

INDEXES = {
    "duplicated": lambda n: pd.Index([0] * n, name="größe"),
    "text": lambda n: pd.Index([f"r{i}" for i in range(n)], name=("a", 1)),
    "two levels": lambda n: pd.MultiIndex.from_product([["a"], range(n)], names=["x", None]),
    "times": lambda n: pd.date_range("2020", periods=n, tz="Europe/Zurich"),
    "reversed": lambda n: pd.RangeIndex(n, 0, -1),
}


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables, level=st.sampled_from([None, 0.0]))
def test_the_input_is_untouched_and_shares_nothing_with_the_output(kind, library, data, columns, level):
    noise = data.draw(law.noises(kind))
    table = law.to_library(columns, library)
    before = copy.deepcopy(law.plain(table))
    out = (
        noise.apply(table, profile=PROFILE)
        if level is None
        else noise.at(level).apply(table, profile=PROFILE)
    )
    assert law.plain(table) == before
    scribble(out)
    assert law.plain(table) == before


def scribble(frame):
    """Swap the ends of every column in place."""
    if isinstance(frame, pd.DataFrame):
        for j in range(frame.shape[1]):
            first, last = frame.iloc[0, j], frame.iloc[-1, j]
            frame.iloc[0, j], frame.iloc[-1, j] = last, first
    elif isinstance(frame, pl.DataFrame):
        for name, dtype in frame.schema.items():
            if dtype != pl.Categorical:  # older polars cannot write into one
                frame[0, name] = None


@every_noise_in_place
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("order", ["C", "F"])
def test_read_only_arrays_are_untouched(kind, level, order):
    for array in law.arrays(kind, order):
        before = array.copy()
        array.flags.writeable = False
        out = kind(level).apply(array)
        assert type(out) is np.ndarray
        assert out.shape == array.shape
        assert not np.shares_memory(out, array)
        out[...] = out[::-1].copy()
        np.testing.assert_array_equal(array, before)


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables)
def test_dtypes_and_column_order_stay(kind, library, data, columns):
    noise = data.draw(law.noises(kind))
    table = law.to_library(columns, library)
    out = noise.apply(table, profile=PROFILE)
    assert type(out) is type(table)
    before, after = law.dtypes(table), law.dtypes(out)
    assert list(before) == list(after)
    wider = {n for n in before if before[n] != after[n]}
    assert all(law.blanks(kind) and after[n] == law.NULLABLE[str(before[n])] for n in wider)


@every_noise_in_place
def test_arrays_keep_their_dtype_or_become_wide_enough_for_missing_values(kind):
    for array in law.arrays(kind):
        out = kind(0.5).apply(array)
        wide = {"i": "f", "u": "f", "b": "f", "U": "O"}.get(array.dtype.kind, array.dtype.kind)
        assert out.dtype.kind == (wide if law.blanks(kind) else array.dtype.kind)
        if array.dtype.kind not in "U" and not law.blanks(kind):
            assert out.dtype == array.dtype


@every_noise_in_place
@pytest.mark.parametrize("index", INDEXES)
def test_the_index_and_the_attributes_stay(kind, index):
    frame = law.to_library(law.cells(30), "pandas")
    plain = law.one(kind, 0.5).apply(frame)
    frame.index = INDEXES[index](30)
    frame.columns.name = "spalte"
    frame.attrs = {"source": "test"}
    out = law.one(kind, 0.5).apply(frame)
    pd.testing.assert_index_equal(out.index, frame.index, exact=True)
    pd.testing.assert_index_equal(out.columns, frame.columns, exact=True)
    assert out.attrs == frame.attrs
    assert law.plain(out) == law.plain(plain)


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables, seed=st.integers(0, 99))
def test_the_mask_of_changes_is_what_a_comparison_cell_by_cell_finds(kind, library, data, columns, seed):
    table = law.to_library(columns, library)
    out = data.draw(law.noises(kind)).apply(table, seed=seed, profile=PROFILE)
    after = law.plain(out)
    brute = [
        [old != new for old, new in zip(values, after[name], strict=True)] for name, values in columns.items()
    ]
    assert changed(table, out).T.tolist() == brute


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables)
def test_missing_cells_stay_missing(kind, library, data, columns):
    out = law.plain(data.draw(law.noises(kind)).apply(law.to_library(columns, library), profile=PROFILE))
    assert all(out[n][i] is None for n, values in columns.items() for i, v in enumerate(values) if v is None)


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables)
def test_no_cell_is_lost_or_infinite_unless_the_noise_is_about_that(kind, library, data, columns):
    noise = data.draw(law.noises(kind))
    if law.blanks(kind):
        return
    out = law.plain(noise.apply(law.to_library(columns, library), profile=PROFILE))
    for name, values in columns.items():
        kept = [new for new, old in zip(out[name], values, strict=True) if old is not None]
        assert all(
            v is not None and abs(v) != float("inf") if isinstance(v, float) else v is not None for v in kept
        )
