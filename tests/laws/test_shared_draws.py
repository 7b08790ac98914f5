"""Which noises draw once for all rows of a column: what the classes say is held to what their draws do."""

import lawbook as law
import numpy as np
import pytest
from lawbook import CATALOGUE, every_noise
from scipy.stats import chi2

from hormesis.frames import open_table
from hormesis.noise.base import draw_of
from hormesis.profile import Profile

ROWS, SEEDS = 1000, 24
FRAME = law.to_pandas(law.cells(ROWS, seed=3, missing=0.1))
PROFILE = Profile.learn(FRAME)
BEFORE = law.plain(FRAME)
SHARED = {n: k for n, k in CATALOGUE.items() if k.shared}
# Whether a mean over rows varies as one of independent rows does: at most 41 noises of 9 columns are tried.
INDEPENDENT = chi2.isf(1e-6 / (41 * 9), SEEDS - 1) / (SEEDS - 1)


def moved(noise, seed, *, mirror=False):
    """Return -1, 0 or 1 for each cell (down, as it was, up or another); for noises of rows how often each is there."""
    table = open_table(FRAME)
    out, after = noise.touch(table, PROFILE, draw_of(table, seed, mirror=mirror).within(noise.name))
    if noise.changes == "rows":
        return np.bincount(after.origin, minlength=ROWS)[:, None].astype(float)
    new = list(law.plain(out.close()).items())
    cells = [
        [_way(a, b) for a, b in zip(values, new[j][1], strict=True)]
        if j < len(new) and new[j][0] == name
        else [1.0] * ROWS
        for j, (name, values) in enumerate(BEFORE.items())
    ]
    return np.array(cells).T


def _way(before, after):
    if isinstance(before, int | float) and isinstance(after, int | float):
        return float(np.sign(after - before))
    return float(before != after)


def times_as_dependent(noise):
    """Return the variance of each column's mean over seeds, in units of that of independent rows."""
    d = np.array([moved(noise, seed) for seed in range(SEEDS)])
    alone = d.var(axis=0, ddof=1).mean(axis=0) / ROWS
    some = alone > 0
    return d.mean(axis=1).var(axis=0, ddof=1)[some] / alone[some]


@every_noise
def test_a_noise_says_whether_all_rows_share_its_draw(kind):
    """One draw for all rows makes the mean vary as many times as there are rows, present cells at least: 900 here."""
    times = times_as_dependent(law.alone(kind, 0.5))
    if kind.shared:
        assert times.size
        assert times.max() > ROWS / 2
    else:
        assert (times < INDEPENDENT).all()
        assert times.size or not kind.random


def test_a_shift_and_its_mirror_go_opposite_ways():
    shift = law.one(CATALOGUE["Shift"], 0.5)
    ways = [moved(shift, seed) for seed in range(8)]
    assert all((way == -moved(shift, seed, mirror=True)).all() for seed, way in enumerate(ways))
    assert len({way.tobytes() for way in ways}) > 1


@pytest.mark.parametrize("name", sorted(SHARED.keys() - {"Shift"}))
def test_a_column_is_hit_by_the_draw_or_by_its_mirror(name):
    noise = law.one(CATALOGUE[name], 0.5)
    for seed in range(8):
        first, second = (_hit(noise, seed, mirror=mirror) for mirror in (False, True))
        assert not first & second
        if name != "ReorderedColumns":  # a hit column without another one stays
            assert first | second == _hit(noise.at(1.0), seed)


def _hit(noise, seed, *, mirror=False):
    """Return the names of the columns that a table does not hold as before, wherever they stand."""
    table = open_table(FRAME)
    out, _ = noise.touch(table, PROFILE, draw_of(table, seed, mirror=mirror).within(noise.name))
    new = law.plain(out.close())
    if noise.name == "reordered-columns":
        return {a for a, b in zip(BEFORE, new, strict=True) if a != b}
    return {name for name in BEFORE if new.get(name) != BEFORE[name]}
