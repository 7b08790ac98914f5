"""Odd tables are survived by every noise: empty, constant, lost, foreign."""

import lawbook as law
import numpy as np
import pandas as pd
import pytest
from lawbook import PROFILE, every_library, every_noise_in_place, in_place

from hormesis.frames import changed
from hormesis.noise.base import SELECTORS
from hormesis.profile import Profile

ODD = {
    "no rows": law.cells(0),
    "one row": law.cells(1, missing=0.0),
    "one missing row": law.cells(1, missing=1.0),
    "constant": {n: [v[0]] * 12 if n not in law.IDS else v for n, v in law.cells(12, missing=0.0).items()},
    "all missing": law.cells(12, missing=1.0),
}


def foreign_columns(kind):
    return [c.name for c in PROFILE.columns if c.kind not in kind.applies_to]


profiles = pytest.mark.parametrize("profile", [None, PROFILE], ids=["own profile", "training profile"])


@every_noise_in_place
@every_library
@profiles
@pytest.mark.parametrize("odd", ODD)
def test_odd_tables_are_survived(kind, library, profile, odd):
    table = law.to_library(ODD[odd], library)
    columns = law.columns_for(kind) if kind.changes == "labels" else "any"
    out = kind(0.9, columns=columns).apply(table, profile=profile, seed=3)
    assert list(law.plain(out)) == list(ODD[odd])
    assert {len(v) for v in law.plain(out).values()} == {len(ODD[odd]["id"])}
    if "missing" in odd:
        assert not changed(table, out)[:, 2:].any()


@every_noise_in_place
@every_library
def test_a_profile_that_saw_only_missing_values_is_survived(kind, library):
    profile = Profile.learn(law.to_library(law.cells(9, missing=1.0), library))
    table = law.to_library(law.cells(50, seed=2), library)
    out = kind(0.9, columns=law.columns_for(kind) if kind.changes == "labels" else "any").apply(
        table, profile=profile
    )
    assert list(law.plain(out)) == list(law.plain(table))


@every_noise_in_place
def test_a_constant_column_has_no_scale_and_no_other_value(kind):
    """Noise scaled by the spread, or drawn from the other values, leaves it alone; the rest still hits it."""
    frame = pd.DataFrame({"a": [5.0] * 30, "b": ["x"] * 30})
    columns = ("b" if "category" in kind.applies_to else "a",) if kind.changes == "labels" else "any"
    out = kind(1.0, columns=columns).apply(frame)
    assert np.isfinite(out["a"].dropna()).all()


@pytest.mark.parametrize(
    "kind", [k for k in in_place.values() if foreign_columns(k) and k.changes != "labels"]
)
@every_library
def test_a_table_without_a_column_of_the_right_kind_stays_as_it_is(kind, library):
    table = law.columns_of(law.to_library(law.TRAINING, library), foreign_columns(kind))
    assert not changed(table, kind(0.9).apply(table, profile=PROFILE)).any()


@every_noise_in_place
@every_library
def test_a_value_never_seen_in_training_is_survived(kind, library):
    columns = law.cells(40, seed=4, missing=0.0)
    columns |= {
        "stadt": ["Nirgendwo"] * 40,
        "farbe": ["ultraviolett"] * 40,
        "größe": [1e9] * 40,
        "计数": [10**12] * 40,
    }
    table = law.to_library(columns, library)
    out = law.one(kind, 1.0).apply(table, profile=PROFILE)
    assert changed(table, out).any()


def test_the_table_of_the_laws_holds_every_kind_of_column():
    assert {c.kind for c in PROFILE.columns} == set(SELECTORS["any"]) - {"other"}
