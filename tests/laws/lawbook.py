"""What the laws are tried on: every noise in any settings, and one table in every library."""

import dataclasses
import datetime as dt
import hashlib
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from hormesis.frames import open_table, take
from hormesis.noise import CATALOGUE, Noise, Where
from hormesis.noise.base import ColumnNoise, draw_of, unit_of
from hormesis.profile import Profile

every_noise = pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
in_place = {n: k for n, k in CATALOGUE.items() if k.changes in ("cells", "labels") and not k.whole}
every_noise_in_place = pytest.mark.parametrize("kind", in_place.values(), ids=in_place)
hitting = {
    n: k
    for n, k in in_place.items()
    if unit_of(k).of in ("cells", "labels") and not issubclass(k, ColumnNoise)
}
every_hitting_noise = pytest.mark.parametrize("kind", hitting.values(), ids=hitting)
every_library = pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])

CITIES = ["Zürich", "Genève", "Bern", "Łódź", "東京", "Z"]
IDS = ("id", "schlüssel")
LABEL, NUMBER = "stadt", "größe"
DTYPES: dict[str, tuple[Any, Any]] = {
    "id": (pl.Int64, pa.int64()),
    "schlüssel": (pl.String, pa.string()),
    "größe": (pl.Float64, pa.float64()),
    "计数": (pl.Int64, pa.int64()),
    "bezahlt 💶": (pl.Boolean, pa.bool_()),
    "stadt": (pl.String, pa.string()),
    "farbe": (pl.Categorical, pa.dictionary(pa.int32(), pa.string())),
    "notiz": (pl.String, pa.string()),
    "seit": (pl.Datetime("us"), pa.timestamp("us")),
    "extra": (pl.Int64, pa.int64()),
}


def cells(rows: int, seed: int = 0, missing: float = 0.2) -> dict[str, list[Any]]:
    """Return the columns of a table as plain lists; ids are never missing."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(rows).tolist()
    columns: dict[str, list[Any]] = {
        "größe": rng.normal(170, 10, rows).tolist(),
        "计数": (rng.integers(1, 1000, rows) * 1000 + 7).tolist(),
        "bezahlt 💶": (rng.random(rows) < 0.3).tolist(),
        "stadt": [CITIES[i] for i in rng.integers(0, 6, (2, rows)).min(axis=0)],
        "farbe": [("rot", "grün", "blau")[i] for i in rng.integers(0, 3, rows)],
        "notiz": [f"Notiz {i} über {c}" for i, c in enumerate(rng.integers(0, 10**9, rows).tolist())],
        "seit": [
            dt.datetime(2020, 1, 1) + dt.timedelta(hours=h) for h in rng.integers(0, 9999, rows).tolist()
        ],
    }
    for name, values in columns.items():
        gone = rng.random(rows) < missing
        columns[name] = [None if lost else v for v, lost in zip(values, gone, strict=True)]
    return {
        "id": [3 * i - 5 for i in ids],
        "schlüssel": [f"kundin-{i}" * (i % 4) + str(i) for i in ids],
    } | columns


def to_pandas(columns: dict[str, list[Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(index=range(len(columns["id"])))
    for name, values in columns.items():
        classic = {"id": "int64", "extra": "int64", "计数": "int64", "bezahlt 💶": "bool"}.get(name)
        nullable = {"计数": "Int64", "bezahlt 💶": "boolean"}.get(name)
        other = {"größe": "float64", "farbe": "category", "seit": "datetime64[us]"}.get(name, "str")
        frame[name] = pd.Series(values, dtype=(nullable if None in values else classic) or other)
    return frame


def to_library(columns: dict[str, list[Any]], library: str) -> Any:
    if library == "pandas":
        return to_pandas(columns)
    if library == "polars":
        return pl.DataFrame([pl.Series(n, v, dtype=DTYPES[n][0]) for n, v in columns.items()])
    return pa.table({n: pa.array(v).cast(DTYPES[n][1]) for n, v in columns.items()})


def plain(frame: Any) -> dict[str, list[Any]]:
    """Return a frame as plain lists, None where missing, by its own library's means."""
    if isinstance(frame, pd.DataFrame):
        columns = {name: frame[name].tolist() for name in frame.columns}
    else:
        columns = frame.to_pydict() if isinstance(frame, pa.Table) else frame.to_dict(as_series=False)
    return {
        name: [None if v is None or v is pd.NA or v != v else v for v in vs] for name, vs in columns.items()
    }


def digest(frame: Any) -> str:
    return hashlib.blake2b(repr(plain(frame)).encode(), digest_size=8).hexdigest()


def rows_of(frame: Any, rows: list[int]) -> Any:
    return take(frame, np.asarray(rows, dtype=np.int64))


def columns_of(frame: Any, names: list[str]) -> Any:
    return frame.select(names) if isinstance(frame, pl.DataFrame | pa.Table) else frame[names]


TRAINING = cells(200, seed=1)
PROFILE = Profile.learn(to_pandas(TRAINING))

# What the types cannot say: which classes and columns a table has.
st.register_type_strategy(float, st.floats(-1e6, 1e6))
WHERE = st.one_of(
    st.just(Where()),
    st.builds(
        Where,
        st.just("MAR"),
        driver=st.sampled_from(["größe", "stadt", "bezahlt 💶"]),
        strength=st.floats(-4, 4),
    ),
    st.builds(Where, st.just("MNAR"), strength=st.floats(-4, 4)),
    st.builds(Where, burst=st.integers(2, 9)),
    st.builds(Where, group=st.sampled_from(["farbe", "计数", "seit", "bezahlt 💶"])),
)
RANKED = WHERE.filter(lambda w: w.mechanism != "MNAR")
UNSAID = {
    ("LabelFlips", "by_class"): st.none() | st.dictionaries(st.sampled_from(CITIES), st.floats(0, 1)),
    ("LabelFlips", "transition"): st.sampled_from([None, "pairs", {"Zürich": {"Bern": 1.0, "Z": 2.0}}]),
    ("LabelFlips", "matrix"): st.none(),
    ("DateFormat", "format"): st.sampled_from(["us", "eu", "epoch seconds", "%d %b %Y"]),
    ("Typos", "misspellings"): st.none() | st.just({"Zürich": ("Zurich", "Zürch"), "über": ("ueber",)}),
    ("DropRows", "where"): RANKED,
    ("DuplicateRows", "where"): RANKED,
    ("PriorShift", "toward"): st.sampled_from([None, "Bern", {"Bern": 1.0, "Z": 2.0}]),
}


def levels(kind: type[Noise]) -> st.SearchStrategy[float]:
    return st.floats(0.01, 1.0 if unit_of(kind).name in ("fraction", "rank") else 3.0)


def columns_for(kind: type[Noise], where: Where | None = None) -> Any:
    """Return all columns that a noise takes: one label for label noises, no text where its rank would decide."""
    if kind.changes == "labels" or kind.__name__ in ("PriorShift", "CovariateShift"):  # they take one column
        return (LABEL if "category" in kind.applies_to else NUMBER,)
    unranked = where is not None and where.mechanism == "MNAR"
    return tuple(
        c.name for c in PROFILE.columns if c.kind in kind.applies_to and not (unranked and c.kind == "text")
    )


def one(kind: type[Noise], level: float, **settings: Any) -> Noise:
    return kind(level, columns=columns_for(kind, settings.get("where")), **settings)


def alone(kind: type[Noise], level: float) -> Noise:
    """Return a noise that hits every cell by itself."""
    return one(kind, level, **singly(kind))


def singly(kind: type[Noise]) -> dict[str, int]:
    """Return settings under which runs of rows that go bad together are one row long."""
    return {"length": 1} if "length" in kind.__dataclass_fields__ else {}


def needs_order(noise: Noise) -> bool:
    """Tell whether a noise needs row ids that have neighbours."""
    return noise.history > 0 or getattr(getattr(noise, "where", None), "burst", 1) > 1


def noises(kind: type[Noise]) -> st.SearchStrategy[Noise]:
    """Draw a noise with any settings that its types allow."""
    said = {"level": levels(kind), "where": WHERE} | {
        n: s for (k, n), s in UNSAID.items() if k == kind.__name__
    }
    fields = {f.name: f.type for f in dataclasses.fields(kind) if f.name != "columns"}
    drawn = {name: said[name] if name in said else st.from_type(hint) for name, hint in fields.items()}
    return st.fixed_dictionaries(drawn).map(lambda settings: one(kind, **settings))


tables = st.builds(cells, st.integers(2, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.8]))


def dtypes(frame: Any) -> dict[str, Any]:
    """Return a comparable dtype of each column; of categories only what stays when new ones come."""
    if isinstance(frame, pa.Table):
        return dict(zip(frame.column_names, frame.schema.types, strict=True))
    if isinstance(frame, pl.DataFrame):
        return dict(frame.schema)
    return {
        name: ("category", t.ordered) if isinstance(t, pd.CategoricalDtype) else t
        for name, t in frame.dtypes.items()
    }


NULLABLE = {"int64": pd.Int64Dtype(), "bool": pd.BooleanDtype()}
LIBRARIES = ("pandas", "polars", "arrow")


def hits_cells(kind: type[Noise]) -> bool:
    """Tell whether the level is the share of cells that are hit, by chance."""
    return kind in hitting.values()


def grows_in_proportion(kind: type[Noise]) -> bool:
    """Tell whether a noise adds its level times something."""
    return unit_of(kind).name in ("sigma", "relative")


def blanks(kind: type[Noise]) -> bool:
    """Tell whether a noise makes missing values, as it does to every cell at its full level."""
    array = np.array([[1.0], [2.0], [3.0]])
    return "number" in kind.applies_to and bool(np.isnan(kind(1.0).apply(array)).all())


def digests() -> dict[str, str]:
    """Return what every noise makes of the training table."""
    frame = to_pandas(TRAINING)
    return {
        name: digest(one(kind, 0.5).apply(frame, seed=42, row_id="id")) for name, kind in CATALOGUE.items()
    }


def mirrored(noise: Noise, frame: Any, *, mirror: bool) -> Any:
    table = open_table(frame)
    draw = draw_of(table, 0, mirror=mirror).within(noise.name)
    return noise.touch(table, PROFILE, draw)[0].close()


def arrays(kind: type[Noise], order: Any = "C") -> list[np.ndarray[Any, Any]]:
    """Return NumPy tables of every dtype that a noise changes; label vectors for label noises."""
    rng = np.random.default_rng(0)
    numbers = np.array(rng.integers(0, 9, (30, 1 if kind.changes == "labels" else 3)), order=order)
    made = []
    if {"number", "integer"} & set(kind.applies_to):
        made += [numbers.astype(t) for t in ("f8", "f4", "i8", "i2", "u1")]
    if "boolean" in kind.applies_to:
        made.append(numbers > 4)
    if "category" in kind.applies_to:
        made += [numbers.astype("U3"), numbers.astype("U3").astype(object)]
    return [a[:, 0].copy() for a in made] if kind.changes == "labels" else made
