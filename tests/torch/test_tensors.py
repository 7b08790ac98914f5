"""Tensors as tables: the noise of the same NumPy array, in shape, dtype and device; on a GPU made there."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hormesis import Profile, Recipe
from hormesis.errors import DataError
from hormesis.frames import changed, open_table, stack, take
from hormesis.key import Draw, lane
from hormesis.noise import (
    CATALOGUE,
    GaussianNoise,
    Masking,
    MissingValues,
    Outliers,
    Shift,
    SwapNoise,
    UnitErrors,
    Where,
)
from hormesis.torch.doors import device
from hormesis.torch.doors.tensors import TensorTable

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
FLOATS = [torch.float16, torch.float32, torch.float64]
MADE = [
    GaussianNoise(0.3),
    Shift(0.5),
    Shift(0.5, direction="down"),
    MissingValues(0.3),
    Masking(0.3),
    Masking(0.3, fill="zero"),
    Masking(0.3, fill=-7.5),
    Outliers(0.3),
    UnitErrors(0.3),
    SwapNoise(0.7),
    SwapNoise(1.0),
]


def numbers(rows=200, columns=6, seed=0):
    """Return columns of many values, few values, one value, and with missing ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) * 10
    x[:, 1] = rng.integers(0, 3, rows)
    x[:, 2] = 4.0
    x[rng.random(rows) < 0.2, 3] = np.nan
    x[:, 4] = np.round(x[:, 4])
    return x


def same(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert torch.equal(torch.nan_to_num(a, nan=1e30), torch.nan_to_num(b, nan=1e30))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", [k for k in CATALOGUE.values() if k.changes == "cells"])
def test_the_noise_is_that_of_the_same_array(kind, dtype):
    noise = kind(0.4)
    x = torch.from_numpy(numbers()).to(dtype)
    if not noise.targets(Profile.learn(x)):
        return
    same(noise.apply(x, seed=3), torch.from_numpy(noise.apply(x.numpy(), seed=3)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize("noise", [GaussianNoise(0.5), MissingValues(0.3), SwapNoise(0.5)])
def test_whole_numbers_and_booleans_as_in_numpy(noise, dtype):
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 2 if dtype == torch.bool else 90, (60, 3))).to(
        dtype
    )
    if noise.targets(Profile.learn(x)):
        same(noise.apply(x), torch.from_numpy(noise.apply(x.numpy())))


@pytest.mark.parametrize("shape", [(8,), (8, 3), (8, 2, 3), (8, 1, 4, 4), (0, 3)])
def test_any_shape_comes_back(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    profile = Profile.learn(torch.randn(20, *shape[1:], generator=torch.Generator().manual_seed(0)))
    out = GaussianNoise(0.5).apply(x, profile=profile)
    assert out.shape == x.shape
    flat = GaussianNoise(0.5).apply(x.reshape(len(x), -1) if x.numel() else x, profile=profile)
    assert torch.equal(out.flatten(), flat.flatten())


def test_bfloat16_stays_bfloat16():
    x = torch.from_numpy(numbers()).to(torch.bfloat16)
    out = Recipe([GaussianNoise(0.3), MissingValues(0.1)]).apply(x)
    assert out.dtype == torch.bfloat16
    assert out.isnan().sum() > x.isnan().sum()


@pytest.mark.parametrize("noise", MADE)
def test_the_input_is_never_written_to_nor_shared(noise):
    x = torch.from_numpy(numbers()).float().requires_grad_()
    before = x.detach().clone()
    out = noise.apply(x)
    assert not out.requires_grad
    out.fill_(7.0)
    level0 = noise.at(0.0).apply(x)
    level0.fill_(7.0)
    same(x.detach(), before)


def drawn(x, seed, *, mirror=False):
    return Draw(lane(np.arange(len(x))), seed, mirror=mirror)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", MADE, ids=repr)
@given(seed=st.integers(0, 2**32), few=st.booleans())
def test_the_device_path_has_the_bits_of_numpy(noise, dtype, mirror, seed, few):
    x = torch.from_numpy(numbers()).to(dtype)
    profile = Profile.learn(torch.from_numpy(numbers(seed=1)).to(dtype))
    only = np.random.default_rng(seed).random(len(x)) < 0.5 if few else None
    there, here = TensorTable(x), open_table(x.numpy().copy())
    draw = drawn(x, seed, mirror=mirror).within(noise.name)
    assert device.made(there, noise, profile, draw, 5, only)
    noise.touch(here, profile, draw, row_id=5, only=only)
    same(there.close(), torch.from_numpy(here.close()))


def test_two_noises_on_the_device_and_one_on_the_host(monkeypatch):
    """Where a noise can only be made by NumPy, the table goes there and back."""
    monkeypatch.setattr(TensorTable, "touch", device.made)
    x = torch.from_numpy(numbers()).float()
    recipe = Recipe([GaussianNoise(0.2), MissingValues(0.2, where=Where("MNAR")), SwapNoise(0.3)])
    there = recipe.apply(x, seed=5)
    monkeypatch.undo()
    same(there, recipe.apply(x, seed=5))


def test_what_the_device_cannot_make_it_says(monkeypatch):
    x = torch.from_numpy(numbers())
    profile, draw = Profile.learn(x), drawn(x, 0)
    for table, noise in [
        (TensorTable(x), MissingValues(0.2, where=Where("MAR", driver=0))),
        (TensorTable(x.nan_to_num().long()), GaussianNoise(0.2)),
    ]:
        assert not device.made(table, noise, profile, draw, None, None)


@no_cuda
@pytest.mark.parametrize("noise", MADE, ids=repr)
def test_on_cuda_the_noise_has_the_bits_of_numpy(noise):
    x = torch.from_numpy(numbers(5000)).float()
    profile = Profile.learn(x)
    there = noise.apply(x.cuda(), seed=2, profile=profile)
    assert there.is_cuda
    same(there.cpu(), noise.apply(x, seed=2, profile=profile))


@no_cuda
def test_on_cuda_nothing_of_the_table_is_copied_to_the_host(monkeypatch):
    x = torch.from_numpy(numbers()).float().cuda()
    profile = Profile.learn(x)
    monkeypatch.setattr(TensorTable, "host", property(lambda _: pytest.fail("copied to the host")))
    assert GaussianNoise(0.1).apply(x, profile=profile).is_cuda


def test_rows_stacks_and_changes_as_for_arrays():
    x = torch.from_numpy(numbers())
    assert torch.equal(take(x, np.array([3, 1]))[:, 0], x[[3, 1], 0])
    assert torch.equal(take(x, np.arange(len(x)) == 4), x[4:5])
    assert stack([x, x]).shape == (400, 6)
    noisy = MissingValues(0.3).apply(x)
    assert np.array_equal(changed(x, noisy), changed(x.numpy(), noisy.numpy()))
    share = open_table(x).share_changed(open_table(noisy), [0, 3])
    assert share == pytest.approx(changed(x, noisy)[:, [0, 3]].mean())


def test_global_generators_stay():
    state = torch.get_rng_state()
    Recipe(MADE[:1]).apply(torch.from_numpy(numbers()))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(2, 2).to_sparse(), "sparse"),
        (torch.tensor(1.0), "rows of real numbers"),
        (torch.zeros(2, 2, dtype=torch.complex64), "complex64"),
    ],
)
def test_other_tensors_are_refused(x, said):
    with pytest.raises(DataError, match=said):
        GaussianNoise(0.1).apply(x)


def test_a_wide_profile_is_that_of_the_array():
    x = torch.from_numpy(np.random.default_rng(0).random((50, 28, 28), np.float32))
    assert Profile.learn(x) == Profile.learn(x.reshape(50, -1).numpy())
