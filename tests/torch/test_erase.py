"""Laws of erasing, and the defects of the libraries that erase."""

import random

import numpy as np
import pytest
import torch

from hormesis.errors import DataError, SettingError
from hormesis.torch.batches.erase import cutout, random_erasing

erasers = pytest.mark.parametrize(
    "erase",
    [
        lambda x, **k: random_erasing(x, k.pop("p", 0.7), **k),
        lambda x, **k: cutout(x, 4, p=k.pop("p", 0.7), **k),
    ],
    ids=["random_erasing", "cutout"],
)
shapes = pytest.mark.parametrize("shape", [(40, 3, 9, 12), (41, 2, 20)], ids=["images", "series"])
modes = pytest.mark.parametrize("mode", ["zero", "mean", "noise"])


def batch(shape, dtype=torch.float32):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 1).to(dtype)


@erasers
@shapes
@modes
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_input_untouched_and_the_rest_is_kept_bit_by_bit(erase, shape, mode, dtype):
    """timm erases in place."""
    x = batch(shape, dtype)
    kept = x.clone()
    noisy = erase(x, mode=mode, generator=0)
    assert x.equal(kept)
    assert noisy.dtype == dtype
    assert noisy.isfinite().all()
    where = erase(x, mode="zero", generator=0) == 0
    assert noisy[~where].equal(x[~where])
    assert not noisy[where].equal(x[where])


@erasers
@shapes
def test_one_box_per_row_over_all_channels(erase, shape):
    """torchvision erases the same box in all images of a batch."""
    lost = erase(batch(shape), p=1.0, generator=0) == 0
    assert lost.all(dim=1).equal(lost.any(dim=1))
    assert lost.flatten(1).any(dim=1).all()
    assert len(lost.unique(dim=0)) > len(lost) / 3
    if len(shape) == 4:
        tall, wide = lost[:, 0].any(dim=2), lost[:, 0].any(dim=1)
        assert (tall[:, :, None] & wide[:, None, :]).equal(lost[:, 0])


@erasers
@shapes
@modes
def test_seeded_and_global_generators_untouched(erase, shape, mode):
    x = batch(shape)
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    gen = [torch.Generator().manual_seed(s) for s in (0, 0, 1)]
    a, b, c = (erase(x, mode=mode, generator=g) for g in gen)
    assert a.equal(b)
    assert not a.equal(c)
    assert not erase(x, mode=mode).equal(erase(x, mode=mode))
    assert torch.get_rng_state().equal(before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


@erasers
@modes
@pytest.mark.parametrize("n", [0, 1, 3])
def test_odd_batches_and_no_change(erase, mode, n):
    x = batch((n, 3, 8, 8))
    assert erase(x, mode=mode).shape == x.shape
    assert erase(x, p=0.0) is x


@erasers
def test_share_of_hit_rows(erase):
    lost = erase(torch.ones(20_000, 1, 6, 6), p=0.3, generator=0) == 0
    assert abs(lost.flatten(1).any(dim=1).sum() - 6000) < 4.9 * (20_000 * 0.3 * 0.7) ** 0.5


@pytest.mark.parametrize("size", [(32, 32), (10, 40), (100, 5), (7, 7)])
def test_area_and_aspect_are_in_their_ranges(size):
    h, w = size
    area, aspect = (0.1, 0.3), (0.5, 2.0)
    lost = random_erasing(torch.ones(3000, 1, h, w), 1.0, area=area, aspect=aspect, generator=0) == 0
    tall, wide = lost[:, 0].any(dim=2).sum(1), lost[:, 0].any(dim=1).sum(1)
    share = (tall * wide) / (h * w)
    slack = (tall.double() * 0.5 + 1e-9) / (h * w)  # the second side is rounded to whole cells
    assert ((share >= area[0] - slack) & (share <= area[1] + slack)).all()
    if h == w:  # elsewhere a box of the area may not lie inside of the image with such an aspect
        tall, wide = tall.double(), wide.double()
        assert ((tall + 0.5) ** 2 / (tall * (wide - 0.5)) >= aspect[0]).all()
        assert ((tall - 0.5) ** 2 / (tall * (wide + 0.5)) <= aspect[1]).all()


def test_area_is_uniform_and_aspect_symmetric():
    lost = random_erasing(torch.ones(4000, 1, 64, 64), 1.0, area=(0.05, 0.25), generator=0) == 0
    share = lost.flatten(1).double().mean(1)
    assert abs(share.mean() - 0.15) < 4.9 * 0.2 / (12 * 4000) ** 0.5 + 1e-3
    lean = (lost[:, 0].any(dim=2).sum(1).log() - lost[:, 0].any(dim=1).sum(1).log()).double()
    assert abs(lean.mean()) < 4.9 * lean.std() / 4000**0.5 + 0.01


def test_every_cell_can_be_lost():
    lost = random_erasing(torch.ones(5000, 1, 8, 8), 1.0, generator=0) == 0
    assert lost[:, 0].any(dim=0).all()


def test_cutout_is_cut_at_the_border():
    """As in the paper: the centre is anywhere, so corner squares are smaller."""
    lost = (cutout(torch.ones(20_000, 1, 10, 10), 4, generator=0) == 0)[:, 0]
    sides = lost.any(dim=2).sum(1)
    assert sides.unique().tolist() == [2, 3, 4]
    share = lost.double().mean(dim=0)
    assert abs(share[5, 5] - 0.16) < 4.9 * (0.16 * 0.84 / 20_000) ** 0.5
    assert cutout(torch.ones(2, 1, 4, 4), 99, generator=0).sum() == 0
    x = torch.ones(2, 1, 4, 4)
    assert cutout(x, 0) is x


def test_fillings():
    x = batch((400, 2, 10, 10)) * torch.tensor([1.0, 50.0]).view(1, 2, 1, 1) + 7
    where = random_erasing(x, 1.0, generator=0) == 0
    mean = x.mean(dim=(2, 3), keepdim=True).expand_as(x)
    assert random_erasing(x, 1.0, mode="mean", generator=0)[where].allclose(mean[where])
    noise = random_erasing(x, 1.0, mode="noise", generator=0)
    spread = x.var(dim=(2, 3), correction=0, keepdim=True).sqrt().expand_as(x)
    z = ((noise - mean) / spread)[where].double()
    assert abs(z.mean()) < 4.9 / len(z) ** 0.5
    assert abs(z.var() - 1) < 4.9 * (2 / len(z)) ** 0.5


def test_pixel_noise_needs_no_cuda():
    """timm's mode='pixel' defaults to device='cuda' and fails on a CPU."""
    assert random_erasing(batch((4, 3, 8, 8)), 1.0, mode="noise").device.type == "cpu"


def test_lost_values_are_erased_and_do_not_leak():
    x = torch.full((6, 1, 8, 8), float("nan"))
    assert (random_erasing(x, 1.0, generator=0) == 0).flatten(1).any(dim=1).all()
    x = torch.ones(50, 1, 8, 8)
    x[:, :, 4, 4] = float("inf")
    assert not random_erasing(x, 1.0, generator=0).isnan().any()


def test_gradients_flow_around_the_box():
    x = batch((20, 3, 8, 8)).requires_grad_()
    noisy = random_erasing(x, 1.0, generator=0)
    noisy.sum().backward()
    assert x.grad.equal((noisy != 0).float())
    assert noisy.detach().equal(random_erasing(x.detach(), 1.0, generator=0))


def test_standardised_values_are_not_clipped():
    x = batch((20, 3, 8, 8)) * 100 - 150
    noisy = random_erasing(x, 1.0, generator=0)
    assert noisy[noisy != 0].equal(x[noisy != 0])


def test_mistakes_are_told():
    x = batch((4, 3, 8, 8))
    with pytest.raises(SettingError, match="probability"):
        random_erasing(x, 50)
    with pytest.raises(SettingError, match="mode is one of"):
        cutout(x, 3, mode="pixel")
    with pytest.raises(SettingError, match="area"):
        random_erasing(x, area=(0.4, 0.1))
    with pytest.raises(SettingError, match="aspect"):
        random_erasing(x, aspect=(0.0, 1.0))
    with pytest.raises(SettingError, match="whole number"):
        cutout(x, -1)
    with pytest.raises(DataError, match="Masking"):
        random_erasing(x[:, 0, 0])
    with pytest.raises(DataError, match=r"x\.float"):
        cutout(x.to(torch.uint8), 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@erasers
@shapes
@modes
def test_same_boxes_on_a_gpu(erase, shape, mode):
    x = batch(shape)
    here, there = erase(x, mode=mode, generator=0), erase(x.cuda(), mode=mode, generator=0).cpu()
    assert (here != x).equal(there != x)
    for device in ("cpu", "cuda"):
        noisy = erase(x.cuda(), mode=mode, generator=torch.Generator(device).manual_seed(0))
        assert noisy.isfinite().all()
