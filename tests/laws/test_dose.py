"""What the level means: more of it harms a superset of cells, at the rate that was asked for."""

import lawbook as law
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import PROFILE, every_hitting_noise, every_library, every_noise
from scipy.stats import binom

from hormesis.frames import changed

ROWS = 5000
MANY = law.cells(ROWS, seed=11)


@every_noise
@every_library
@given(data=st.data(), columns=law.tables, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_harm_is_nested(kind, library, data, columns, share, seed):
    """Cells hit at a low level are hit at a higher one, with the same new value; added noise grows in proportion."""
    strong = data.draw(law.noises(kind))
    table = law.to_library(columns, library)
    low, high = (
        n.apply(table, seed=seed, profile=PROFILE) for n in (strong.at(strong.level * share), strong)
    )
    if law.hits_cells(kind):
        hit = changed(table, low)
        assert not (hit & ~changed(table, high)).any()
        assert not (hit & changed(low, high)).any()
    else:
        x, a, b = (np.array(law.plain(t)["größe"], dtype=float) for t in (table, low, high))
        np.testing.assert_allclose((b - x) * share, a - x, rtol=1e-9, atol=1e-9)


@every_hitting_noise
@pytest.mark.parametrize("level", [0.005, 0.1, 0.5, 0.9])
def test_the_realised_rate_is_the_level(kind, level):
    """A cell that can change does so with probability `level`: a binomial count, here within 1e-6 (both sides)."""
    frame = law.to_library(MANY, "pandas")
    can = changed(frame, law.one(kind, 1.0).apply(frame, profile=PROFILE))
    hit = changed(frame, law.one(kind, level).apply(frame, profile=PROFILE))
    assert not (hit & ~can).any()
    for j in np.flatnonzero(can.any(axis=0)):
        low, high = binom.ppf([5e-7, 1 - 5e-7], int(can[:, j].sum()), level)
        assert low <= hit[:, j].sum() <= high, frame.columns[j]


@every_noise
def test_at_the_full_level_every_present_cell_changes(kind):
    """Nothing in this table is a fixed point (no zero, no mean), so none of the chosen cells may stay."""
    frame = law.to_library(MANY, "pandas")
    noise = law.one(kind, 1.0)
    mask = changed(frame, noise.apply(frame, profile=PROFILE, row_id="id"))
    for j, name in enumerate(frame.columns):
        present = frame[name].notna().to_numpy()
        expected = present if name in noise.columns and name != "id" else np.zeros(ROWS, bool)
        np.testing.assert_array_equal(mask[:, j], expected, err_msg=name)


@every_hitting_noise
def test_cells_are_hit_independently_of_each_other(kind):
    """Between columns and between neighbours: the number of joint hits is binomial too, within 1e-6."""
    frame = law.to_library(law.cells(ROWS, seed=11, missing=0.0), "pandas")
    hit = changed(frame, law.one(kind, 0.5).apply(frame, profile=PROFILE))
    hit = hit[:, hit.any(axis=0)]
    joint = [hit[1:, j] & hit[:-1, j] for j in range(hit.shape[1])]
    joint += [hit[:, j] & hit[:, j - 1] for j in range(1, hit.shape[1])]
    for both in joint:
        # neighbouring pairs overlap: take every other one, which makes them independent
        low, high = binom.ppf([5e-7, 1 - 5e-7], both[::2].size, 0.25)
        assert low <= both[::2].sum() <= high
