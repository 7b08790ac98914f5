"""Evaluation noise in torch has the bits of the key scheme, on every device and for every batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hormesis import key as host
from hormesis.errors import RowIdError, SettingError
from hormesis.torch import keyed

K = host.key(0, "gaussian", "age")
CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
)
DEVICES = ["cpu", CUDA]
DRAWS = {"bits": (), "uniform": (), "below": (0.3,), "normal": ()}
WORDS = st.integers(0, 2**64 - 1)
IDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40)


def unsigned(x):
    return [f"{v % 2**64:016x}" for v in x.tolist()]


def on_numpy(name, lanes, k, *more):
    out = getattr(host, name)(lanes.cpu().numpy().view(np.uint64).ravel(), k, *more)
    return torch.from_numpy(out.view(np.int64) if out.dtype == np.uint64 else out)


@pytest.mark.parametrize("device", DEVICES)
def test_golden_vectors(device):
    lanes = keyed.lane(torch.arange(4, device=device))
    assert unsigned(lanes) == [
        "3ba9a87a30442dfc",
        "1955b4decce1e8ec",
        "c3b69c02ddcf5e3e",
        "a2875f47d38f61b1",
    ]
    assert unsigned(keyed.lane(torch.tensor([2**32, -(2**63), -1], device=device))) == [
        "1b459509823aa446",
        "eed6a7421bbc5408",
        "95ee12e9608fe6db",
    ]
    bits = ["14cb8a4e38617116", "3bb192440c6e41f3", "01c9b8b219563e85", "c23d581cc9880483"]
    normals = [
        "0x1.65975621d93ecp+0",
        "0x1.74f3766272f22p-1",
        "0x1.3aa21322639e2p+1",
        "-0x1.4b5ee706f0b9ap-1",
    ]
    uniforms = ["0x1.4cb8a4e386178p-4", "0x1.dd8c922063724p-3", "0x1.c9b8b21956380p-8"]
    for draw in (keyed._HOST if device == "cpu" else keyed._DEVICE, keyed._DEVICE):
        assert unsigned(draw["bits"](lanes, K)) == bits
        assert [v.hex() for v in draw["normal"](lanes, K).tolist()] == normals
        assert [v.hex() for v in draw["uniform"](lanes, K).tolist()[:3]] == uniforms
    assert keyed.integers(lanes, K, 1000).tolist() == [81, 233, 6, 758]
    assert unsigned(keyed.fold(K, torch.arange(3, device=device))) == [
        "8076d427e8dfdd51",
        "cb261b74162729af",
        "930d35c73ea619bb",
    ]


@pytest.mark.parametrize("name", DRAWS)
@given(ids=IDS, k=WORDS)
def test_both_ways_have_the_bits_of_numpy(name, ids, k):
    lanes = keyed.lane(torch.tensor(ids))
    assert np.array_equal(lanes.numpy().view(np.uint64), host.lane(np.array(ids)))
    expected = on_numpy(name, lanes, k, *DRAWS[name])
    for draw in (keyed._HOST[name], keyed._DEVICE[name]):
        assert torch.equal(draw(lanes, k, *DRAWS[name]), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", DRAWS)
def test_a_million_values_have_the_bits_of_numpy(name, device):
    lanes = keyed.lane(torch.arange(1_000_000, device=device))
    expected = on_numpy(name, lanes, K, *DRAWS[name])
    assert torch.equal(keyed._DEVICE[name](lanes, K, *DRAWS[name]).cpu(), expected)
    assert torch.equal(getattr(keyed, name)(lanes, K, *DRAWS[name]).cpu(), expected)


@given(p=st.floats(0, 1), k=WORDS)
def test_below_agrees_at_every_probability(p, k):
    lanes = keyed.lane(torch.arange(50))
    expected = torch.from_numpy(host.below(lanes.numpy().view(np.uint64), k, p))
    assert torch.equal(keyed.below(lanes, k, p), expected)
    assert not 0 < p < 1 or torch.equal(keyed._below(lanes, k, p), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "like",
    [
        lambda x, rows=None: keyed.normal_like(x, 3, "a", rows=rows),
        lambda x, rows=None: keyed.uniform_like(x, 3, "a", rows=rows),
        lambda x, rows=None: keyed.below_like(x, 0.3, 3, "a", rows=rows),
    ],
    ids=["normal", "uniform", "below"],
)
def test_batches_orders_and_devices_change_nothing(like, dtype, device):
    x = torch.zeros(37, 5, 2, dtype=dtype)
    whole = like(x)
    order = torch.from_numpy(np.random.default_rng(0).permutation(37))
    parts = torch.cat([like(x[a:b], torch.arange(a, b)) for a, b in ((0, 1), (1, 20), (20, 37))])
    assert torch.equal(parts, whole)
    assert torch.equal(like(x[order], order), whole[order])
    assert torch.equal(like(x.to(device)).cpu(), whole)
    assert whole.shape == x.shape
    assert whole.dtype in (dtype, torch.bool)


def test_one_feature_is_the_fold_of_the_key():
    x, k = torch.zeros(6, 3), host.key(1, "g")
    lanes = host.lane(np.arange(6))
    for j in range(3):
        child = int(host.fold(k, [j])[0])
        expected = torch.from_numpy(host.normal(lanes, child)).float()
        assert torch.equal(keyed.normal_like(x, 1, "g")[:, j], expected)


def test_chunks_change_nothing(monkeypatch):
    x = torch.zeros(50, 7, dtype=torch.float64)
    whole = keyed.normal_like(x, 0, "g")
    monkeypatch.setitem(keyed.CHUNK, "cpu", 20)
    assert torch.equal(keyed.normal_like(x, 0, "g"), whole)


def test_global_generators_stay():
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    keyed.normal_like(torch.zeros(5, 2), 0, "g")
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4,), (1, 1)])
def test_odd_shapes(shape):
    assert keyed.normal_like(torch.zeros(shape), 0).shape == shape


def test_what_names_no_row_is_refused():
    with pytest.raises(RowIdError, match=r"not torch\.float32"):
        keyed.lane(torch.zeros(3))
    with pytest.raises(RowIdError, match=r"shape \(2,\); 3 rows"):
        keyed.normal_like(torch.zeros(3, 1), 0, rows=torch.tensor([0, 1]))
    with pytest.raises(SettingError, match="whole numbers"):
        keyed.normal_like(torch.zeros(3, 1, dtype=torch.int64), 0)
