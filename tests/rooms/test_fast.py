"""Compiled loops draw the bits that NumPy draws: in every octave, for any array, and where nothing can be kept on disk."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from hormesis import key as k
from hormesis.noise import CATALOGUE
from hormesis.profile import Profile

pytest.importorskip("numba", reason="numba, the extra `fast`, is not installed")

K = k.key(0, "gaussian", "age")
LANES = k.lane(np.arange(200_003))
NEVER = float("inf")
DRAWS = {
    "bits": lambda x: k.bits(x, K),
    "uniform": lambda x: k.uniform(x, K),
    "uniform, mirrored": lambda x: k.uniform(x, K, mirror=True),
    "below 0.1": lambda x: k.below(x, K, 0.1),
    "below 1 - 2**-53": lambda x: k.below(x, K, 1 - 2.0**-53),
    "below 0.5, mirrored": lambda x: k.below(x, K, 0.5, mirror=True),
    "below 2**-64": lambda x: k.below(x, K, 2.0**-64),
    "below 2**-65": lambda x: k.below(x, K, 2.0**-65),
    "integers": lambda x: k.integers(x, K, 1000),
    "normal": lambda x: k.normal(x, K),
    "normal, mirrored": lambda x: k.normal(x, K, mirror=True),
    "lane": k.lane,
}


@pytest.fixture
def both(monkeypatch):
    """Return what NumPy and the compiled loops make of the same work."""

    def made(work):
        out = []
        for pays in (NEVER, 0):
            monkeypatch.setattr(k, "ENGINE", k.Engine(pays))
            out.append(work())
        return out

    return made


def equal_bits(one, other):
    assert one.dtype == other.dtype
    assert one.tobytes() == other.tobytes()


def unshifted(x, by):
    """Return the word that its own shift by `by`, added without carry, made `x`."""
    y = x
    for _ in range(64 // by):
        y = x ^ (y >> by)
    return y


def lanes_of_bits(words):
    """Return the lanes whose bits under K are these words: the mix backwards."""
    back, out = pow(int(k._MIX), -1, 1 << 64), []
    for word in words:
        x = unshifted(word, 29)
        for by in (32, 29, 32):
            x = unshifted(x * back % (1 << 64), by)
        out.append(x ^ K)
    return np.array(out, np.uint64)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_bits_are_equal(draw, both):
    equal_bits(*both(lambda: draw(LANES)))


def edges():
    """Return words around every power of two, and their complements."""
    near = [(1 << b) + d for b in range(64) for d in (-1, 0, 1)]
    return sorted({w ^ flip for w in near for flip in (0, (1 << 64) - 1)})


def test_the_mix_backwards():
    assert k.bits(lanes_of_bits(edges()), K).tolist() == edges()


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_bits_are_equal_in_every_octave_of_the_tail(draw, both):
    equal_bits(*both(lambda: draw(lanes_of_bits(edges()))))


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_any_array_of_lanes_will_do(draw, both):
    frozen = LANES[:1000].copy()
    frozen.flags.writeable = False
    for lanes in (LANES[:0], LANES[:1], LANES[5:5000:7], LANES[::-1], frozen):
        equal_bits(*both(lambda lanes=lanes: draw(lanes)))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u8", "i8", ">i4", ">i8"])
def test_any_integers_are_row_ids(dtype, both):
    ids = np.arange(-50, 50) if dtype[-2] == "i" else np.arange(100)
    equal_bits(*both(lambda: k.lane(ids.astype(dtype))))
    equal_bits(*both(lambda: k.lane(ids.astype(dtype)[::-3])))


def test_lanes_of_strings_are_equal(both):
    words = ["x" * n for n in range(40)] + ["größe", "東京" * 5, "\x00", "\x00" * 9, "", "user_0000001"]
    data = np.frombuffer("".join(words).encode(), np.uint8)
    ends = np.cumsum([len(w.encode()) for w in words])
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    equal_bits(*both(lambda: k.text_lane(offsets, data)))
    equal_bits(*both(lambda: k.text_lane(offsets[7:30], data)))
    equal_bits(*both(lambda: k.text_lane(offsets[:1], data[:0])))


def table(rows):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=rows), "n": rng.integers(0, 50, rows)})
    data["word"] = np.array(["north", "south", "east", "west"], object)[rng.integers(0, 4, rows)]
    data.loc[data.index % 7 == 3, "x"] = np.nan
    return data


@pytest.mark.parametrize("name", ["GaussianNoise", "MissingValues", "SwapNoise", "CategorySwap", "Typos"])
def test_noisy_tables_are_equal(name, both):
    data = table(3000)
    profile = Profile.learn(data)
    noise = CATALOGUE[name](0.3)
    one, other = both(lambda: noise.apply(data, seed=3, profile=profile))
    assert not one.equals(data)
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_threads_draw_the_same(both):
    def together():
        with ThreadPoolExecutor(4) as pool:
            return np.concatenate(list(pool.map(lambda key: k.normal(LANES[:5000], key), range(16))))

    equal_bits(*both(together))


def run(code, **environment):
    """Return what a fresh process prints."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            f"import sys\nimport numpy as np\nfrom hormesis import key as k\n{code}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_loops_are_loaded_once_enough_values_were_drawn():
    code = """
k.ENGINE.pays = 2500
for _ in range(3):
    k.uniform(k._U(0) * np.ones(1000, k._U), 1)
    print('numba' in sys.modules)
"""
    assert run(code) == ["False", "False", "True"]


def test_few_values_never_load_numba():
    assert run("k.normal(k.lane(np.arange(1_000_000)), 1); print('numba' in sys.modules)") == ["False"]


GOLDEN = "k.ENGINE.pays = 0; print(k.normal(k.lane([0]), k.key(0, 'gaussian', 'age'))[0].hex())"


def test_numpy_draws_where_numba_is_not_installed():
    assert run(f"sys.modules['numba'] = None; {GOLDEN}") == ["0x1.65975621d93ecp+0"]


def test_loops_work_where_nothing_can_be_kept_on_disk(tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("a file is no folder")
    kept = {
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "NUMBA_CACHE_DIR": str(nowhere / "cache"),
    }
    assert run(f"{GOLDEN}; print('hormesis.fast' in sys.modules)", **kept) == ["0x1.65975621d93ecp+0", "True"]
