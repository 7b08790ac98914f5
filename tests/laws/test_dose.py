"""What the level means: more of it harms a superset of cells, at the rate that was asked for."""

import lawbook as law
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import PROFILE, every_hitting_noise, every_library, every_noise_in_place
from scipy.stats import binom

from hormesis.frames import changed

ROWS = 5000
MANY = law.cells(ROWS, seed=11)


@every_noise_in_place
@every_library
@given(data=st.data(), columns=law.tables, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_harm_is_nested(kind, library, data, columns, share, seed):
    """Cells hit at a low level are hit at a higher one, with the same new value; other noise moves them further."""
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
        if law.grows_in_proportion(kind):
            np.testing.assert_allclose((b - x) * share, a - x, rtol=1e-9, atol=1e-9)
        present = ~np.isnan(x)
        assert (((a - x) * (b - x) >= 0) & (np.abs(b - x) >= np.abs(a - x) - 1e-9))[present].all()


@every_hitting_noise
@pytest.mark.parametrize("level", [0.005, 0.1, 0.5, 0.9])
def test_the_realised_rate_is_the_level(kind, level):
    """A cell that can change does so with probability `level`: a binomial count, here within 1e-6 (both sides)."""
    frame = law.to_library(MANY, "pandas")
    can = changed(frame, law.alone(kind, 1.0).apply(frame, profile=PROFILE))
    hit = changed(frame, law.alone(kind, level).apply(frame, profile=PROFILE))
    assert not (hit & ~can).any()
    for j in np.flatnonzero(can.any(axis=0)):
        low, high = binom.ppf([5e-7, 1 - 5e-7], int(can[:, j].sum()), level)
        assert low <= hit[:, j].sum() <= high, frame.columns[j]


@every_noise_in_place
def test_at_the_full_level_every_present_cell_changes(kind):
    """Nothing in this table is a fixed point (no zero, no mean): only values that a noise says it cannot change stay."""
    frame = law.to_library(MANY, "pandas")
    noise = law.alone(kind, 1.0)
    mask = changed(frame, noise.apply(frame, profile=PROFILE, row_id="id"))
    again = changed(frame, noise.apply(frame, seed=1, profile=PROFILE, row_id="id"))
    for j, name in enumerate(frame.columns):
        present = frame[name].notna().to_numpy()
        expected = present if name in noise.columns and name != "id" else np.zeros(ROWS, bool)
        if kind.spares == "values":
            np.testing.assert_array_equal(mask[:, j], again[:, j], err_msg=name)
        if kind.spares == "none":
            np.testing.assert_array_equal(mask[:, j], expected, err_msg=name)
        assert not (mask[:, j] & ~expected).any()


@every_noise_in_place
def test_the_reach_is_the_share_of_cells_that_can_change(kind):
    frame, noise = law.to_library(MANY, "pandas"), law.alone(kind, 0.3)
    mask = changed(frame, noise.at(1.0).apply(frame, profile=PROFILE))
    shares = dict(zip(frame.columns, mask.mean(axis=0), strict=True))
    assert noise.reach(frame, profile=PROFILE) == {n: shares[n] for n in frame.columns if n in noise.columns}


@every_hitting_noise
def test_cells_are_hit_independently_of_each_other(kind):
    """Between columns and between neighbours: the number of joint hits is binomial too, within 1e-6."""
    frame = law.to_library(law.cells(ROWS, seed=11, missing=0.0), "pandas")
    can, hit = (changed(frame, law.alone(kind, x).apply(frame, profile=PROFILE)) for x in (1.0, 0.5))
    can, hit = can[:, can.any(axis=0)], hit[:, can.any(axis=0)]
    pairs = [(x[1:, j], x[:-1, j]) for x in (can, hit) for j in range(hit.shape[1])]
    pairs = [*zip(pairs[: hit.shape[1]], pairs[hit.shape[1] :], strict=True)]
    pairs += [((can[:, j], can[:, j - 1]), (hit[:, j], hit[:, j - 1])) for j in range(1, hit.shape[1])]
    for able, both in pairs:
        # neighbouring pairs overlap: take every other one, which makes them independent
        possible = (able[0] & able[1])[::2]
        low, high = binom.ppf([5e-7, 1 - 5e-7], possible.sum(), 0.25)
        assert low <= (both[0] & both[1])[::2].sum() <= high
