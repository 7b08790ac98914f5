"""Randomness by address: the same key is the same noise, wherever, whenever, in whichever library."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import lawbook as law
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import CATALOGUE, IDS, PROFILE, every_library, every_noise, every_noise_in_place, in_place

from hormesis.frames import changed, open_table
from hormesis.noise.base import draw_of

seeds = st.integers(-(2**63), 2**63)
by_row = {n: k for n, k in in_place.items() if not k().history}
every_noise_by_row = pytest.mark.parametrize("kind", by_row.values(), ids=by_row)


@every_noise
@every_library
def test_level_zero_is_identity(kind, library):
    columns = law.TRAINING | {
        "größe": [-0.0, 5e-324, 1e308, None] * 50,
        "计数": [2**53 + 1, -(2**63), 2**63 - 1, 0] * 50,
    }
    table = law.to_library(columns, library)
    out = law.one(kind, 0.0).apply(table, seed=1, profile=PROFILE)
    assert law.digest(out) == law.digest(table)
    assert law.dtypes(out) == law.dtypes(table)


@every_noise_in_place
@given(data=st.data(), columns=law.tables, seed=seeds)
def test_all_libraries_get_the_same_noise(kind, data, columns, seed):
    noise = data.draw(law.noises(kind))
    results = [
        law.plain(noise.apply(law.to_library(columns, x), seed=seed, profile=PROFILE)) for x in law.LIBRARIES
    ]
    assert results[0] == results[1] == results[2]


@every_noise_by_row
@every_library
@given(data=st.data(), columns=law.tables, seed=seeds)
def test_a_row_keeps_its_noise_in_any_batch_subset_and_order(kind, library, data, columns, seed):
    noise = data.draw(law.noises(kind))
    row_id = "id" if law.needs_order(noise) else data.draw(st.sampled_from(IDS))
    table = law.to_library(columns, library)
    rows = data.draw(st.lists(st.integers(0, len(columns["id"]) - 1), unique=True))
    whole = noise.apply(table, seed=seed, profile=PROFILE, row_id=row_id)
    part = noise.apply(law.rows_of(table, rows), seed=seed, profile=PROFILE, row_id=row_id)
    assert law.plain(part) == law.plain(law.rows_of(whole, rows))


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables, seed=seeds)
def test_column_order_and_other_columns_do_not_matter(kind, library, data, columns, seed):
    noise = data.draw(law.noises(kind))
    other = {name: columns[name] for name in data.draw(st.permutations(list(columns)))} | {
        "extra": columns["id"]
    }
    a = law.plain(noise.apply(law.to_library(columns, library), seed=seed, profile=PROFILE))
    b = law.plain(noise.apply(law.to_library(other, library), seed=seed, profile=PROFILE))
    assert a | {"extra": columns["id"]} == b


@pytest.fixture(scope="module")
def digests_elsewhere():
    """What another process, with other hashes and another global generator, makes of every noise."""
    code = "import json, random, lawbook; random.seed(3); print(json.dumps(lawbook.digests()))"
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    env = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CATALOGUE)
def test_another_process_gets_the_same_noise(name, digests_elsewhere):
    assert law.digests()[name] == digests_elsewhere[name]


@every_noise
def test_another_seed_gives_other_noise(kind):
    table = law.to_library(law.TRAINING, "pandas")
    outcomes = {law.digest(law.one(kind, 0.5).apply(table, seed=seed, profile=PROFILE)) for seed in range(40)}
    assert len(outcomes) == 40 if law.hits_cells(kind) else (len(outcomes) > 1) == kind.random


@every_noise
def test_another_name_gives_other_noise(kind):
    frame = law.to_library(law.TRAINING, "pandas")

    def under(name):
        table = open_table(frame)
        draw = draw_of(table, 0).within(name)
        return law.digest(law.one(kind, 0.5).touch(table, PROFILE, draw)[0].close())

    assert (len({under(f"step-{i}") for i in range(40)}) > 1) == kind.random


@every_noise
def test_global_generators_are_neither_read_nor_moved(kind):
    table, noise = law.to_library(law.TRAINING, "pandas"), law.one(kind, 0.5)
    outcomes = set()
    for start in range(3):
        random.seed(start)
        np.random.seed(start)  # noqa: NPY002
        before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        outcomes.add(law.digest(noise.apply(table)))
        assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002
    assert len(outcomes) == 1


@every_noise_in_place
def test_mirrored_noise_is_the_exact_complement(kind):
    """At level 1/2 a cell is hit either by the draw or by its mirror; other noise goes the other way."""
    frame = law.to_library(law.cells(500, seed=7), "pandas")
    whole, halves = (
        law.alone(kind, 1.0),
        [law.mirrored(law.alone(kind, 0.5), frame, mirror=m) for m in (False, True)],
    )
    if law.hits_cells(kind):
        every = changed(frame, whole.apply(frame, profile=PROFILE))
        first, second = (changed(frame, half) for half in halves)
        assert not (first & second).any()
        assert kind.spares == "chance" or ((first | second) == every).all()
        return
    x, up, down = (f["größe"].to_numpy() for f in (frame, *halves))
    present = ~np.isnan(x)
    if not kind.random:
        np.testing.assert_array_equal(up, down)
    elif not law.grows_in_proportion(kind):
        assert ((up - x) * (down - x) <= 0)[present].all()
    else:
        np.testing.assert_allclose((up - x)[present], (x - down)[present], rtol=1e-10, atol=1e-12)
        assert (up != x)[present].all()
