"""What is true of every noise that repeats or drops rows: each row decides for itself, and keeps what it is."""

import copy

import lawbook as law
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import CATALOGUE, PROFILE, every_library
from scipy.stats import binom

from hormesis import Recipe, Step
from hormesis.frames import take
from hormesis.noise import GaussianNoise, Where
from hormesis.noise.base import unit_of

ROWS = {n: k for n, k in CATALOGUE.items() if k.changes == "rows"}
HITTING = {n: k for n, k in ROWS.items() if unit_of(k).of == "rows"}
every_row_noise = pytest.mark.parametrize("kind", ROWS.values(), ids=ROWS)
every_hitting_row_noise = pytest.mark.parametrize("kind", HITTING.values(), ids=HITTING)

COLUMNS = {
    "PriorShift": (law.LABEL,),
    "CovariateShift": ("größe",),
    "DuplicateRows": (
        "größe",
        "计数",
        "stadt",
        "farbe",
        "notiz",
    ),  # near copies keep the ids that tests go by
}
WHERE = st.one_of(
    st.just(Where()),
    st.builds(Where, st.just("MAR"), driver=st.sampled_from(["größe", "stadt"]), strength=st.floats(-4, 4)),
    st.builds(Where, burst=st.integers(2, 9)),
    st.builds(Where, group=st.sampled_from(["farbe", "计数"])),
)
SETTINGS = {
    "where": WHERE,
    "copies": st.integers(1, 3),
    "near": st.sampled_from([0.0, 0.5, 1.0]),
    "toward": st.sampled_from([None, "Bern", {"Bern": 1.0, "Z": 2.0}]),
    "direction": st.sampled_from(["up", "down"]),
}


def one(kind, level, **settings):
    return kind(level, columns=COLUMNS.get(kind.__name__, "any"), **settings)


def noises(kind):
    drawn = {n: s for n, s in SETTINGS.items() if n in kind.__dataclass_fields__}
    return st.fixed_dictionaries({"level": st.floats(0.01, 1.0)} | drawn).map(lambda s: one(kind, **s))


def counts(table, out):
    """Return how often each row of a table is there, by its id."""
    found = law.plain(out)["id"]
    return np.array([found.count(i) for i in law.plain(table)["id"]])


def rows(table):
    """Return a table as a list of rows."""
    return list(zip(*law.plain(table).values(), strict=True))


@every_row_noise
@every_library
@pytest.mark.parametrize("seed", [0, 1])
def test_level_zero_is_identity(kind, library, seed):
    table = law.to_library(law.TRAINING, library)
    out = one(kind, 0.0).apply(table, seed=seed, profile=PROFILE)
    assert law.plain(out) == law.plain(table)
    assert law.dtypes(out) == law.dtypes(table)


@every_row_noise
@given(data=st.data(), columns=law.tables, seed=st.integers(0, 99))
def test_all_libraries_get_the_same_rows(kind, data, columns, seed):
    noise = data.draw(noises(kind))
    results = [
        law.plain(noise.apply(law.to_library(columns, x), seed=seed, profile=PROFILE)) for x in law.LIBRARIES
    ]
    assert results[0] == results[1] == results[2]


@every_row_noise
@given(data=st.data(), columns=law.tables, seed=st.integers(0, 99))
def test_a_row_has_the_same_fate_in_any_batch_subset_and_order(kind, data, columns, seed):
    noise = data.draw(noises(kind))
    table = law.to_library(columns, "pandas")
    some = data.draw(st.lists(st.integers(0, len(table) - 1), unique=True))
    whole = noise.apply(table, seed=seed, profile=PROFILE, row_id="id")
    part = noise.apply(law.rows_of(table, some), seed=seed, profile=PROFILE, row_id="id")
    found = whole["id"].tolist()
    expected = [j for i in some for j in range(len(found)) if found[j] == columns["id"][i]]
    assert law.plain(part) == law.plain(law.rows_of(whole, expected))


@every_row_noise
@given(data=st.data(), columns=law.tables, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_harm_is_nested(kind, data, columns, share, seed):
    """What a low level drops or repeats a higher one does too; a copy is the same at every level."""
    strong = data.draw(noises(kind))
    table = law.to_library(columns, "polars")
    low, high = (
        n.apply(table, seed=seed, profile=PROFILE) for n in (strong.at(strong.level * share), strong)
    )
    before, after = counts(table, low), counts(table, high)
    assert (np.minimum(after, 1) <= before).all()
    assert (before <= np.maximum(after, 1)).all()
    if (after >= before).all():
        assert set(rows(low)) <= set(rows(high))
    else:
        assert set(rows(high)) <= set(rows(low))


@every_hitting_row_noise
@pytest.mark.parametrize("level", [0.005, 0.1, 0.5, 0.9])
def test_the_realised_share_is_the_level(kind, level):
    """A row is hit with probability `level`: a binomial count, here within 1e-6 (both sides)."""
    x = np.arange(5000)
    found = np.bincount(kind(level).apply(x), minlength=x.size)
    low, high = binom.ppf([5e-7, 1 - 5e-7], x.size, level)
    assert low <= (found != 1).sum() <= high


@every_row_noise
@every_library
@given(data=st.data(), columns=law.tables)
def test_the_input_is_untouched_and_dtypes_stay(kind, library, data, columns):
    table = law.to_library(columns, library)
    before = copy.deepcopy(law.plain(table))
    out = data.draw(noises(kind)).apply(table, profile=PROFILE)
    assert type(out) is type(table)
    assert law.dtypes(out) == law.dtypes(table)
    if library == "pandas" and len(out):
        out.iloc[0], out.iloc[-1] = out.iloc[-1].copy(), out.iloc[0].copy()
    assert law.plain(table) == before


@every_row_noise
def test_arrays_are_untouched_and_keep_their_dtype(kind):
    for array in (np.arange(30) % 3, (np.arange(30) % 3).astype("f4")[:, None]):
        before = array.copy()
        array.flags.writeable = False
        out = kind(0.4).apply(array)
        assert out.dtype == array.dtype
        assert not np.shares_memory(out, array)
        out[...] = 7
        np.testing.assert_array_equal(array, before)


@every_row_noise
@pytest.mark.parametrize("index", ["text", "two levels", "duplicated"])
def test_the_index_goes_with_its_row(kind, index):
    frame = law.to_library(law.cells(30), "pandas")
    frame.index = {
        "text": pd.Index([f"r{i}" for i in range(30)], name=("a", 1)),
        "two levels": pd.MultiIndex.from_product([["a"], range(30)], names=["x", None]),
        "duplicated": pd.Index([0] * 30, name="größe"),
    }[index]
    frame.columns.name = "spalte"
    frame.attrs = {"source": "test"}
    out = one(kind, 0.5).apply(frame)
    position = {value: i for i, value in enumerate(frame["id"])}
    source = [position[value] for value in out["id"]]
    pd.testing.assert_index_equal(out.index, frame.index.take(source), exact=True)
    pd.testing.assert_index_equal(out.columns, frame.columns, exact=True)
    assert out.attrs == frame.attrs
    assert source == sorted(source)


@every_row_noise
def test_another_seed_is_other_noise(kind):
    table = law.to_library(law.TRAINING, "pandas")
    outcomes = {law.digest(one(kind, 0.5).apply(table, seed=s, profile=PROFILE)) for s in range(20)}
    assert len(outcomes) == 20


@every_row_noise
def test_mirrored_draws_are_other_draws(kind):
    frame = law.to_library(law.cells(500, seed=7), "pandas")
    first, second = (counts(frame, law.mirrored(one(kind, 0.5), frame, mirror=m)) for m in (False, True))
    assert (first != second).any()
    if kind in HITTING.values():
        assert ((first != 1) ^ (second != 1)).all()


@every_row_noise
@given(data=st.data(), columns=law.tables, seed=st.integers(0, 99))
def test_rows_left_keep_their_later_noise_and_copies_get_their_own(kind, data, columns, seed):
    noise, later = data.draw(noises(kind)), GaussianNoise(1.0, columns=("größe",))
    table = law.to_library(columns, "pandas")
    out = Recipe([noise, later]).apply(table, seed=seed, profile=PROFILE)
    alone = Recipe(later).apply(table, seed=seed, profile=PROFILE).set_index("id")["größe"]
    first = ~out["id"].duplicated()
    own = alone.loc[out["id"]].to_numpy()
    np.testing.assert_array_equal(out.loc[first, "größe"].to_numpy(), own[first])
    present = ~first.to_numpy() & ~np.isnan(own)
    assert (out["größe"].to_numpy()[present] != own[present]).all()


@every_row_noise
@given(data=st.data(), columns=law.tables, seed=st.integers(0, 99))
def test_a_steps_probability_spares_rows(kind, data, columns, seed):
    noise, table = data.draw(noises(kind)), law.to_library(columns, "arrow")
    whole, half = (
        counts(table, Recipe(Step(noise, probability=p)).apply(table, seed=seed, profile=PROFILE))
        for p in (1.0, 0.5)
    )
    assert ((half == 1) | (half == whole)).all()


@every_row_noise
@every_library
def test_no_rows_and_one_row(kind, library):
    table = law.to_library(law.TRAINING, library)
    for some in ([], [3]):
        few = take(table, np.array(some, int))
        out = one(kind, 0.5).apply(few, profile=PROFILE)
        assert type(out) is type(few)
        assert law.dtypes(out) == law.dtypes(few)
        assert len(rows(out)) <= 2 * len(some)
