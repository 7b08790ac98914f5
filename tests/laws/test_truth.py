"""Every noise on every dtype of every library: the mask is the real change, the rate is the level, the dtype stays."""

import datetime as dt
import decimal
import functools

import lawbook as law
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import binom

from hormesis.frames import changed, open_table
from hormesis.profile import Profile

ROWS = 400
LEVEL = 0.4
RNG = np.random.default_rng(3)
GONE = RNG.random(ROWS) < 0.1
# no number lies near the mean, where masking would leave it
WHOLE = (RNG.integers(20, 90, ROWS) + 110 * (RNG.random(ROWS) < 0.5)).tolist()
WORDS = [("rot", "grün", "dunkelblau", "Weiß-grau")[i] for i in RNG.integers(0, 4, ROWS)]
START = dt.datetime(2020, 1, 1)


def holed(values):
    return [None if gone else v for v, gone in zip(values, GONE, strict=True)]


FLOATS = holed([n + RNG.random() for n in WHOLE])
INTEGERS = holed(WHOLE)
FLAGS = [n % 3 == 0 for n in WHOLE]
CITIES = holed(WORDS)
NOTES = holed([f"Notiz {i} über {n}" for i, n in enumerate(WHOLE)])
TIMES = holed([START + dt.timedelta(hours=31 * i + n) for i, n in enumerate(WHOLE)])
MONEY = holed([decimal.Decimal(n) / 4 for n in WHOLE])
DAYS = holed([START.date() + dt.timedelta(days=n) for n in WHOLE])
ORDER = ["Weiß-grau", "rot", "grün", "dunkelblau"]
STAMPS = np.array(TIMES, "M8[us]")

PANDAS = {t: pd.Series(FLOATS, dtype=t) for t in ("float16", "float32", "float64", "Float32")}
PANDAS |= {t: pd.Series(WHOLE, dtype=t) for t in ("int64", "uint8")}
PANDAS |= {t: pd.Series(INTEGERS, dtype=t) for t in ("Int64", "UInt8", "int64[pyarrow]")}
PANDAS |= {
    "bool": pd.Series(FLAGS),
    "boolean": pd.Series(holed(FLAGS), dtype="boolean"),
    "str": pd.Series(NOTES, dtype="str"),
    "string": pd.Series(NOTES, dtype="string"),
    "object of str": pd.Series(CITIES, dtype=object),
    "category": pd.Series(CITIES, dtype="category"),
    "ordered category": pd.Series(pd.Categorical(CITIES, ORDER, ordered=True)),
    "datetime": pd.Series(TIMES, dtype="datetime64[us]"),
    "zoned datetime": pd.Series(TIMES, dtype="datetime64[us]").dt.tz_localize("UTC"),
    "Decimal": pd.Series(MONEY, dtype=object),
    "date": pd.Series(DAYS, dtype=object),
}
POLARS = {
    "Float32": pl.Series(FLOATS, dtype=pl.Float32),
    "Float64": pl.Series(FLOATS),
    "Int64": pl.Series(INTEGERS),
    "UInt8": pl.Series(INTEGERS, dtype=pl.UInt8),
    "Boolean": pl.Series(holed(FLAGS)),
    "String": pl.Series(NOTES),
    "Categorical": pl.Series(CITIES, dtype=pl.Categorical),
    "Enum": pl.Series(CITIES, dtype=pl.Enum(ORDER)),
    "Datetime": pl.Series(TIMES),
    "zoned Datetime": pl.Series(TIMES).dt.replace_time_zone("UTC"),
    "Decimal": pl.Series(MONEY, dtype=pl.Decimal(10, 2)),
    "Date": pl.Series(DAYS),
}
ARROW = {
    "float16": pa.array(np.array(FLOATS, "f8").astype("f2"), mask=GONE),
    "float32": pa.array(FLOATS, pa.float32()),
    "float64": pa.array(FLOATS),
    "int64": pa.array(INTEGERS),
    "uint8": pa.array(INTEGERS, pa.uint8()),
    "bool": pa.array(holed(FLAGS)),
    "string": pa.array(NOTES),
    "large string": pa.array(CITIES, pa.large_string()),
    "dictionary": pa.array(CITIES).dictionary_encode(),
    "ordered dictionary": pa.array(CITIES).cast(pa.dictionary(pa.int8(), pa.string(), ordered=True)),
    "timestamp": pa.array(TIMES, pa.timestamp("us")),
    "zoned timestamp": pa.array(TIMES, pa.timestamp("us", "UTC")),
    "decimal": pa.array(MONEY, pa.decimal128(10, 2)),
    "date": pa.array(DAYS),
}
NUMPY = {t: np.array(FLOATS, "f8").astype(t) for t in ("float16", "float32", "float64")}
NUMPY |= {t: np.array(WHOLE, t) for t in ("int64", "uint8")}
NUMPY |= {"bool": np.array(FLAGS), "U": np.array(WORDS), "object of str": np.array(CITIES, object)}
NUMPY |= {"datetime": STAMPS, "Decimal": np.array(MONEY, object), "date": np.array(DAYS, object)}

TABLES = {f"pandas {n}": pd.DataFrame({"x": c}) for n, c in PANDAS.items()}
TABLES |= {f"polars {n}": pl.DataFrame({"x": c}) for n, c in POLARS.items()}
TABLES |= {f"arrow {n}": pa.table({"x": c}) for n, c in ARROW.items()}
TABLES |= {f"numpy {n}": c[:, None] for n, c in NUMPY.items()}
PROFILES = {name: Profile.learn(table) for name, table in TABLES.items()}


def takes(kind, name):
    column = PROFILES[name].columns[0]
    classes = kind.changes == "labels" and "category" in kind.applies_to
    return column.kind in kind.applies_to and not (classes and column.kind not in ("category", "boolean"))


def combinations(noises):
    pairs = [(kind, name) for kind in noises.values() for name in TABLES if takes(kind, name)]
    ids = [f"{kind.__name__}-{name}" for kind, name in pairs]
    return pytest.mark.parametrize(("kind", "name"), pairs, ids=ids)


@functools.cache
def noisy(kind, name, level, seed=0):
    noise = kind(level, columns=(0,) if name.startswith("numpy") else ("x",), **law.singly(kind))
    return noise.apply(TABLES[name], seed=seed, profile=PROFILES[name])


def mask(kind, name, level, seed=0):
    return changed(TABLES[name], noisy(kind, name, level, seed))[:, 0]


def plain(table):
    """Return the column as a list, None where missing, by its own library's means."""
    if isinstance(table, np.ndarray):
        values = table[:, 0].tolist()
    else:
        values = table["x"].to_pylist() if isinstance(table, pa.Table) else table["x"].to_list()
    return [None if v is None or v is pd.NA or v != v else v for v in values]


def dtype(table):
    if isinstance(table, np.ndarray):
        return "U" if table.dtype.kind == "U" else table.dtype
    found = table.schema.field("x").type if isinstance(table, pa.Table) else table["x"].dtype
    if isinstance(found, pd.CategoricalDtype):
        return "category", found.ordered
    return pl.Enum if isinstance(found, pl.Enum) else found


def wide_enough(table):
    """Return the dtype that can lose values: the same but for integers, booleans and texts without missing ones."""
    if isinstance(table, pd.DataFrame):
        classic = {"int64": pd.Int64Dtype(), "uint8": pd.UInt8Dtype(), "bool": pd.BooleanDtype()}
        return classic.get(str(dtype(table)), dtype(table))
    if isinstance(table, np.ndarray):
        return np.dtype({"i": "f8", "u": "f8", "b": "f8", "U": "O"}.get(table.dtype.kind, table.dtype))
    return dtype(table)


def categories(table):
    kept = open_table(table)._series(0).cat.get_categories().to_list() if "cat" in str(dtype(table)) else []
    return list(table["x"].dtype.categories) if dtype(table) is pl.Enum else kept


@combinations(law.in_place)
def test_the_mask_is_what_a_comparison_cell_by_cell_finds(kind, name):
    before, after = plain(TABLES[name]), plain(noisy(kind, name, LEVEL))
    differ = [a != b for a, b in zip(before, after, strict=True)]
    assert mask(kind, name, LEVEL).tolist() == differ
    assert any(differ) == mask(kind, name, 1.0).any()
    assert kind.whole or all(new is None for old, new in zip(before, after, strict=True) if old is None)


@combinations(law.in_place)
def test_the_dtype_stays_or_becomes_wide_enough_for_missing_values(kind, name):
    table, out = TABLES[name], noisy(kind, name, LEVEL)
    assert type(out) is type(table)
    blanks = None in [b for a, b in zip(plain(table), plain(out), strict=True) if a is not None]
    assert dtype(out) == (wide_enough(table) if blanks else dtype(table))
    known = categories(table)
    assert categories(out)[: len(known)] == known


@combinations(law.hitting)
def test_the_level_is_the_rate_among_the_cells_that_can_change(kind, name):
    """A binomial count within 1e-6 on both sides; a noise that spares by chance keeps the upper bound alone."""
    present = np.array([v is not None for v in plain(TABLES[name])])
    can = present if kind.spares == "chance" else mask(kind, name, 1.0)
    hit = mask(kind, name, LEVEL)
    assert not (hit & ~can).any()
    low, high = binom.ppf([5e-7, 1 - 5e-7], int(can.sum()), LEVEL)
    assert (0 if kind.spares == "chance" else low) <= hit.sum() <= high


@combinations(law.hitting)
def test_the_full_level_changes_all_that_can_change(kind, name):
    present = np.array([v is not None for v in plain(TABLES[name])])
    full = mask(kind, name, 1.0)
    if kind.spares == "none":
        np.testing.assert_array_equal(full, present)
    elif kind.spares == "values":
        np.testing.assert_array_equal(full, mask(kind, name, 1.0, seed=1))
