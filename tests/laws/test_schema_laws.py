"""What holds for every noise that changes columns: which are hit, what stays, and that no row or batch decides."""

import lawbook as law
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import PROFILE, every_library

from hormesis.errors import SettingError
from hormesis.frames import changed, open_table, take
from hormesis.noise import CATALOGUE
from hormesis.profile import Profile
from hormesis.step import Step

KINDS = {n: k for n, k in CATALOGUE.items() if k.changes == "schema"}
every_schema_noise = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
LEVELS = st.floats(0.05, 1.0)
FRAME = law.to_pandas(law.cells(30, seed=5, missing=0.2))


def fitting(kind, but=()):
    """Return the columns that a noise can hit."""
    return tuple(c.name for c in PROFILE.columns if c.kind in kind.applies_to and c.name not in but)


def made(kind, level=1.0):
    return kind(level, columns=fitting(kind))


def moved(table, out):
    """Return the columns of a table that its noisy version does not hold at the same place, name, type and value."""
    places = {n: j for j, n in enumerate(open_table(out).names)}
    mask = changed(table, out)
    return {n for j, n in enumerate(open_table(table).names) if places.get(n) != j or mask[:, j].any()}


@every_schema_noise
@every_library
def test_level_zero_is_the_same_table(kind, library):
    table = law.to_library(law.TRAINING, library)
    out = made(kind, 0.0).apply(table, profile=PROFILE)
    assert law.plain(out) == law.plain(table)
    assert law.dtypes(out) == law.dtypes(table)


@every_schema_noise
@given(columns=law.tables, level=LEVELS, seed=st.integers(0, 99))
def test_every_library_gets_the_same_columns_and_values(kind, columns, level, seed):
    noise = made(kind, level)
    outs = [
        law.plain(noise.apply(law.to_library(columns, library), seed=seed, profile=PROFILE))
        for library in law.LIBRARIES
    ]
    assert all(list(out.items()) == list(outs[0].items()) for out in outs)


@every_schema_noise
@every_library
@given(level=LEVELS, seed=st.integers(0, 99), rows=st.lists(st.integers(0, 29), min_size=1, unique=True))
def test_any_batch_of_rows_gets_the_same_columns_and_values(kind, library, level, seed, rows):
    table = law.to_library(law.cells(30, seed=5), library)
    noise = made(kind, level)
    whole = noise.apply(table, seed=seed, profile=PROFILE, row_id="id")
    part = noise.apply(law.rows_of(table, rows), seed=seed, profile=PROFILE, row_id="id")
    assert list(law.plain(part).items()) == list(law.plain(take(whole, np.array(rows))).items())


@every_schema_noise
@given(share=st.floats(0, 1), level=LEVELS, seed=st.integers(0, 99))
def test_columns_hit_at_a_low_level_are_hit_at_a_higher_one(kind, share, level, seed):
    low, high = (
        made(kind, v).apply(FRAME, seed=seed, profile=PROFILE, row_id="id") for v in (level * share, level)
    )
    assert moved(FRAME, low) <= moved(FRAME, high)


@every_schema_noise
@every_library
@given(seed=st.integers(0, 99))
def test_the_full_level_hits_every_chosen_column(kind, library, seed):
    """To swap takes a second column of the same type: a column without one is not counted."""
    table = law.to_library(law.cells(30, seed=5), library)
    out = made(kind).apply(table, seed=seed, profile=PROFILE, row_id="id")
    chosen = set(fitting(kind, but=("id",)))
    if kind.__name__ == "SwappedColumns":
        opened = open_table(table)
        own = {n: opened.dtype(j) for j, n in enumerate(opened.names) if n != "id"}
        chosen = {n for n in own if [*own.values()].count(own[n]) > 1}
    assert chosen <= moved(table, out)


@every_schema_noise
@every_library
@given(level=LEVELS, seed=st.integers(0, 99), name=st.sampled_from(law.IDS))
def test_the_row_id_is_never_touched(kind, library, level, seed, name):
    table = law.to_library(law.cells(20, seed=3), library)
    noise = made(kind, level)
    out = noise.apply(table, seed=seed, profile=PROFILE, row_id=name)
    assert law.plain(out)[name] == law.plain(table)[name]
    assert law.dtypes(out)[name] == law.dtypes(table)[name]


@every_schema_noise
@every_library
def test_the_input_is_untouched(kind, library):
    table = law.to_library(law.TRAINING, library)
    before = law.plain(table)
    out = made(kind).apply(table, profile=PROFILE)
    if isinstance(out, pd.DataFrame):
        for j in range(out.shape[1]):
            out.iloc[0, j], out.iloc[-1, j] = out.iloc[-1, j], out.iloc[0, j]
    elif isinstance(out, pl.DataFrame) and out.width:
        out[0, 0] = None
    assert list(law.plain(table).items()) == list(before.items())


@every_schema_noise
@pytest.mark.parametrize("level", [0.4, 1.0])
def test_index_attributes_and_the_name_of_the_columns_stay(kind, level):
    frame = FRAME.set_axis(pd.MultiIndex.from_product([["a"], [1] * 30], names=["x", None]))
    frame.attrs["source"] = "survey"
    frame.columns.name = "field"
    out = made(kind, level).apply(frame, profile=PROFILE)
    pd.testing.assert_index_equal(out.index, frame.index)
    assert out.attrs == {"source": "survey"}
    assert out.columns.name == "field"
    assert out.columns.dtype == frame.columns.dtype


@every_schema_noise
@every_library
@pytest.mark.parametrize("rows", [0, 1])
def test_small_and_empty_tables_survive(kind, library, rows):
    table = law.rows_of(law.to_library(law.cells(4, seed=1), library), list(range(rows)))
    out = made(kind).apply(table, profile=PROFILE)
    assert all(len(values) == rows for values in law.plain(out).values())


@every_schema_noise
@every_library
def test_columns_without_any_value_survive(kind, library):
    table = law.to_library(law.cells(12, seed=1, missing=1.0), library)
    out = law.plain(made(kind).apply(table, profile=PROFILE))
    assert all(len(values) == 12 for values in out.values())
    assert sum(v is not None for values in out.values() for v in values) <= 24


@every_schema_noise
def test_read_only_arrays_are_untouched(kind):
    if kind.__name__ == "RenamedColumn":
        with pytest.raises(SettingError, match="no names"):
            kind(1.0).apply(np.ones((3, 2)))
        return
    numbers = np.arange(12.0).reshape(4, 3) + 1
    array = numbers.astype("datetime64[D]") if kind.__name__ == "DateFormat" else numbers
    before = array.copy()
    array.flags.writeable = False
    out = kind(1.0).apply(array)
    assert len(out) == 4
    assert not np.shares_memory(out, array)
    assert changed(array, out).all()
    np.testing.assert_array_equal(array, before)


@every_schema_noise
def test_a_share_of_the_rows_is_refused(kind):
    with pytest.raises(SettingError, match="whole columns"):
        Step(made(kind), probability=0.5).touch(open_table(FRAME), PROFILE, law.draw_of(open_table(FRAME), 0))


@every_schema_noise
def test_the_share_of_columns_hit_is_the_level(kind):
    """Of 600 columns with a coin each, binomial within 1e-6; pairs that share a coin count once."""
    from scipy.stats import binom

    columns = {f"c{i}": [pd.Timestamp(2020, 1, 1 + i % 9)] for i in range(600)}
    if kind.__name__ != "DateFormat":
        columns = {name: [float(i)] for i, name in enumerate(columns)}
    frame = pd.DataFrame(columns)
    hit = len(moved(frame, kind(0.3).apply(frame, profile=Profile.learn(frame))))
    if kind.__name__ == "SwappedColumns":
        low, high = (2 * n for n in binom.ppf([5e-7, 1 - 5e-7], 300, 0.3))
    elif kind.__name__ == "MissingColumn":  # columns behind a lost one move up
        hit = 600 - kind(0.3).apply(frame).shape[1]
        low, high = binom.ppf([5e-7, 1 - 5e-7], 600, 0.3)
    else:
        low, high = binom.ppf([5e-7, 1 - 5e-7], 600, 0.3)
    assert low <= hit <= high


@every_schema_noise
def test_a_noise_says_how_many_columns_it_needs(kind):
    """One column alone goes bad by itself, or only among others: then testing columns alone would show nothing."""
    name = fitting(kind)[0]
    frame, profile = FRAME[[name]], Profile.learn(FRAME[[name]])
    assert bool(moved(frame, kind(1.0, columns=(name,)).apply(frame, profile=profile))) is (kind.least == 1)
    assert moved(FRAME, made(kind).apply(FRAME, profile=PROFILE))
