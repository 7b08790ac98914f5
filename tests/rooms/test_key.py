"""The scheme `hormesis.v1`, held by golden vectors: a changed number here is another scheme."""

import hashlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hormesis import key as k
from hormesis.errors import RowIdError
from hormesis.frames import open_table
from hormesis.noise.base import draw_of

K = k.key(0, "gaussian", "age")
LANES = k.lane(np.arange(4))


@pytest.fixture(autouse=True, params=[float("inf"), 0], ids=["numpy", "compiled"])
def engine(request, monkeypatch):
    """Hold NumPy and the compiled loops to the same numbers."""
    if request.param == 0:
        pytest.importorskip("numba", reason="numba, the extra `fast`, is not installed")
    monkeypatch.setattr(k, "ENGINE", k.Engine(request.param))


def hexed(words):
    return [f"{int(w):016x}" for w in words]


@pytest.mark.parametrize(
    ("path", "golden"),
    [
        ((0,), "3824c066e0ae1f7f"),
        ((0, "gaussian", "age"), "2b72086da9bda626"),
        ((42, "mask", 3), "35866837032b65dd"),
        ((-1, "a", "é"), "d604c73211e729d7"),
    ],
)
def test_keys(path, golden):
    assert f"{k.key(*path):016x}" == golden


def test_keys_are_typed_ordered_and_cannot_run_together():
    paths = [(0, "ab", "c"), (0, "a", "bc"), (0, "abc"), (0, 3), (0, "3"), (0, "c", "ab"), (3,), (0,)]
    assert len({k.key(*p) for p in paths}) == len(paths)
    assert k.key(np.int64(3), np.int32(4)) == k.key(3, 4)


def test_lanes_of_integers():
    assert hexed(LANES) == ["3ba9a87a30442dfc", "1955b4decce1e8ec", "c3b69c02ddcf5e3e", "a2875f47d38f61b1"]
    assert hexed(k.lane(np.array([2**32, -1]))) == ["1b459509823aa446", "95ee12e9608fe6db"]
    assert hexed(k.lane(np.array([2**63], np.uint64))) == ["eed6a7421bbc5408"]


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "u4", "i8", "u8", ">i4", ">i8"])
def test_lanes_do_not_depend_on_the_integer_type(dtype):
    assert hexed(k.lane(np.arange(4, dtype=dtype))) == hexed(LANES)


def test_bits_uniforms_normals_integers_and_child_keys():
    golden = ["14cb8a4e38617116", "3bb192440c6e41f3", "01c9b8b219563e85", "c23d581cc9880483"]
    assert hexed(k.bits(LANES, K)) == golden
    uniforms = ["0x1.4cb8a4e386178p-4", "0x1.dd8c922063724p-3", "0x1.c9b8b21956380p-8"]
    assert [u.hex() for u in k.uniform(LANES[:3], K).tolist()] == uniforms
    normals = [
        "0x1.65975621d93ecp+0",
        "0x1.74f3766272f22p-1",
        "0x1.3aa21322639e2p+1",
        "-0x1.4b5ee706f0b9ap-1",
    ]
    assert [z.hex() for z in k.normal(LANES, K).tolist()] == normals
    assert k.integers(LANES, K, 1000).tolist() == [81, 233, 6, 758]
    assert hexed(k.fold(K, [0, 1, 2])) == ["8076d427e8dfdd51", "cb261b74162729af", "930d35c73ea619bb"]


def test_the_table_of_the_normal_distribution():
    start, _ = k._normal_table()
    assert hashlib.blake2b(start.tobytes(), digest_size=8).hexdigest() == "e981c5f48611aef7"


def test_draws_of_a_long_column_do_not_depend_on_chunks():
    lanes = k.lane(np.arange(3 * k.CHUNK + 5))
    for draw in (k.bits, k.uniform, k.normal):
        np.testing.assert_array_equal(draw(lanes, K)[k.CHUNK - 2 :], draw(lanes[k.CHUNK - 2 :].copy(), K))


def test_mirrored_draws_are_exact_complements():
    lanes = k.lane(np.arange(50_000))
    np.testing.assert_array_equal(k.uniform(lanes, K) + k.uniform(lanes, K, mirror=True), 1.0)
    np.testing.assert_array_equal(k.normal(lanes, K), -k.normal(lanes, K, mirror=True))
    for p in (0.1, 0.5, 0.9):
        mirrored = k.below(lanes, K, p, mirror=True)
        np.testing.assert_array_equal(mirrored, k.uniform(lanes, K) > 1 - p)


def test_below_is_uniform_below_and_takes_one_probability_or_one_for_each_row():
    draw = k.Draw(k.lane(np.arange(50_000)), 3).within("a")
    for p in (0.0, 1e-3, 0.5, 1.0):
        np.testing.assert_array_equal(draw.below(p, "hit"), draw.uniform("hit") < p)
        np.testing.assert_array_equal(draw.below(p, "hit"), draw.below(np.full(50_000, p), "hit"))


def test_the_law_of_large_numbers_holds_within_one_in_a_million():
    """Mean of n uniforms and normals, and share of 5 sigma: 4.9 standard errors are 1e-6."""
    lanes = k.lane(np.arange(1_000_000))
    u, z = k.uniform(lanes, K), k.normal(lanes, K)
    assert abs(u.mean() - 0.5) < 4.9 * np.sqrt(1 / 12 / u.size)
    assert abs(z.mean()) < 4.9 / np.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 4.9 * np.sqrt(2 / z.size)
    assert abs((z > 1.6448536269514722).mean() - 0.05) < 4.9 * np.sqrt(0.05 * 0.95 / z.size)
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 4.9 / np.sqrt(z.size)


GOLDEN_STRINGS = {"": "3ba9a87a30442dfc", "a": "e62c2a9d2ad3f665", "user_0000001": "19b33fec81e604a9"}


def lanes_of(data, name="id"):
    return draw_of(open_table(data), 0, name).lanes


def test_lanes_of_strings_in_every_library():
    ids = list(GOLDEN_STRINGS)
    for data in (
        pd.DataFrame({"id": ids}),
        pd.DataFrame({"id": pd.Series(ids, dtype=object)}),
        pd.DataFrame({"id": pd.Series(ids, dtype="string[python]")}),
        pd.DataFrame({"id": pd.Categorical(ids)}),
        pl.DataFrame({"id": ids}),
        pl.DataFrame({"id": pl.Series(ids, dtype=pl.Categorical)}),
        pa.table({"id": ids}),
        pa.table({"id": pa.array(ids, pa.large_string())}),
        pa.table({"id": pa.array(ids).dictionary_encode()}),
    ):
        assert hexed(lanes_of(data)) == list(GOLDEN_STRINGS.values())
    for array in (np.array(ids)[:, None], np.array(ids, object)[:, None]):
        assert hexed(lanes_of(array, 0)) == list(GOLDEN_STRINGS.values())


def test_lanes_of_strings_survive_slices_chunks_and_unicode():
    ids = [f"größe-{i}-{'東' * (i % 9)}" for i in range(100)]
    whole = lanes_of(pl.DataFrame({"id": ids}))
    chunks = pa.chunked_array([pa.array(ids[:7]), pa.array([], pa.string()), pa.array(ids[7:])])
    np.testing.assert_array_equal(lanes_of(pa.table({"id": chunks})), whole)
    np.testing.assert_array_equal(lanes_of(pa.table({"id": ids}).slice(13, 50)), whole[13:63])
    np.testing.assert_array_equal(lanes_of(pa.table({"id": chunks}).slice(5, 20)), whole[5:25])
    np.testing.assert_array_equal(lanes_of(pl.DataFrame({"id": ids}).slice(13, 50)), whole[13:63])
    np.testing.assert_array_equal(lanes_of(pd.DataFrame({"id": ids}).iloc[::-3]), whole[::-3])
    assert np.unique(whole).size == 100


@pytest.mark.parametrize("empty", [[], [[]]])
def test_a_table_without_rows_has_no_lanes(empty):
    table = pa.table({"id": pa.chunked_array(empty, pa.string())})
    assert lanes_of(table).size == 0


def test_integer_ids_are_the_same_in_every_library_and_type():
    ids = [5, -3, 0, 2**40]
    expected = k.lane(np.array(ids))
    for data in (
        pd.DataFrame({"id": ids}),
        pd.DataFrame({"id": pd.Series(ids, dtype="Int64")}),
        pd.DataFrame({"id": pd.Series(ids, dtype=object)}),
        pl.DataFrame({"id": ids}),
        pa.table({"id": ids}),
    ):
        np.testing.assert_array_equal(lanes_of(data), expected)
    np.testing.assert_array_equal(lanes_of(np.array(ids)[:, None], 0), expected)
    np.testing.assert_array_equal(lanes_of(np.array(ids, object)[:, None], 0), expected)


@pytest.mark.parametrize(
    ("ids", "word"),
    [
        ([1.0, 2.0], "integers or strings"),
        ([True, False], "integers or strings"),
        (["a", None], "missing"),
        ([1, 1], "repeats 1 ids"),
        (["a", "a"], "repeats 1 ids"),
    ],
)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, None])
def test_ids_that_do_not_name_rows_are_refused(ids, word, make):
    data = np.array(ids, object)[:, None] if make is None else make({"id": ids})
    with pytest.raises(RowIdError, match=word):
        lanes_of(data, 0 if make is None else "id")


def test_missing_integer_ids_are_refused():
    for data in (pl.DataFrame({"id": [1, None]}), pd.DataFrame({"id": pd.Series([1, None], dtype="Int64")})):
        with pytest.raises(RowIdError, match="missing"):
            lanes_of(data)


def test_duplicate_ids_get_the_same_lane_where_they_are_allowed():
    lanes = draw_of(open_table(pl.DataFrame({"id": [7, 8, 7]})), 0, "id", allow_duplicate_ids=True).lanes
    assert lanes[0] == lanes[2] != lanes[1]


def test_an_unknown_id_column_is_refused_with_the_nearest_name():
    with pytest.raises(RowIdError, match="Did you mean `customer`"):
        lanes_of(pd.DataFrame({"customer": [1]}), "custmer")


def test_floats_and_booleans_have_no_lane():
    for ids in ([0.5], [True]):
        with pytest.raises(RowIdError):
            k.lane(ids)
