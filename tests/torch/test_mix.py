"""Laws of mixed batches, and the defects of the libraries that mix."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hormesis.errors import DataError, ModelError, SettingError
from hormesis.torch.batches.mix import cutmix, manifold_mixup, mixup
from hormesis.torch.batches.targets import label_smoothing
from hormesis.torch.dice import symmetric_beta

SHAPES = [(9, 7), (9, 3, 12), (9, 3, 8, 10), (9, 2, 4, 5, 6)]
both = pytest.mark.parametrize("mix", [mixup, cutmix])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{len(s)}d")


def rows(shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def classes(n, k=4):
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(2))


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@both
@shapes
def test_callers_batch_is_untouched(mix, shape):
    """timm mixes in place."""
    x, y = rows(shape), classes(shape[0])
    kept = x.clone(), y.clone()
    mixed, target = mix(x, y, generator=0)
    assert x.equal(kept[0])
    assert y.equal(kept[1])
    assert mixed.data_ptr() != x.data_ptr()
    assert mixed.shape == x.shape
    assert target.first is y


@both
@pytest.mark.parametrize("n", [0, 1, 2, 3, 31])
def test_odd_batches_and_batches_of_one(mix, n):
    """timm asserts that the batch is even."""
    x, y = rows((n, 3, 8, 8)), classes(n)
    mixed, target = mix(x, y, generator=0)
    assert mixed.shape == x.shape
    assert target.soft(4).shape == (n, 4)
    if n == 1:
        assert mixed.allclose(x)


@both
@shapes
def test_seeded_by_an_explicit_generator(mix, shape):
    """timm draws from NumPy's global generator, so that torch.manual_seed does not repeat it."""
    x, y = rows(shape), classes(shape[0])
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    a, b, c = mix(x, y, generator=gen(0)), mix(x, y, generator=gen(0)), mix(x, y, generator=gen(1))
    assert a[0].equal(b[0])
    assert a[1].weight.equal(b[1].weight)
    assert not a[0].equal(c[0])
    assert not mix(x, y)[0].equal(mix(x, y)[0])
    assert torch.get_rng_state().equal(before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


@both
def test_a_generator_moves_on_and_an_integer_stays(mix):
    x, y, source = rows((9, 4)), classes(9), gen()
    assert not mix(x, y, generator=source)[1].weight.equal(mix(x, y, generator=source)[1].weight)
    assert mix(x, y, generator=5)[0].equal(mix(x, y, generator=5)[0])


@both
@shapes
def test_alpha_zero_is_identity(mix, shape):
    x, y = rows(shape), classes(shape[0])
    mixed, target = mix(x, y, 0.0)
    assert mixed is x
    assert target.soft(4).equal(F.one_hot(y, 4).float())


@both
@shapes
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_each_row_is_made_of_itself_and_its_partner(mix, shape, dtype):
    x, y = rows(shape, dtype), classes(shape[0])
    mixed, target = mix(x, y, generator=0)
    other = x[target.partner]
    assert mixed.dtype == dtype
    assert target.second.equal(y[target.partner])
    assert target.partner.sort().values.equal(torch.arange(len(x)))
    if mix is mixup:
        weight = target.weight.to(dtype).view(-1, *[1] * (x.ndim - 1))
        assert mixed.equal(torch.lerp(other, x, weight))
    else:
        assert ((mixed == x) | (mixed == other)).all()


@shapes
def test_cutmix_weight_is_exactly_the_share_that_stays(shape):
    """The share of a box that was cut at the border is not lambda."""
    x = torch.arange(float(shape[0])).view(-1, *[1] * (len(shape) - 1)).expand(shape).contiguous()
    for seed in range(20):
        mixed, target = cutmix(x, x.flatten(1)[:, 0], generator=seed)
        stays = (mixed == x).flatten(1).double().mean(dim=1)
        own = target.partner == torch.arange(len(x))
        assert target.weight[~own].sub(stays[~own]).abs().max() < 1e-6


def test_cutmix_pastes_one_box_over_all_channels():
    x = torch.arange(30.0)[:, None, None, None].expand(30, 3, 9, 11).contiguous()
    mixed, _ = cutmix(x, classes(30), generator=0)
    cut = mixed != x
    assert cut.all(dim=1).equal(cut.any(dim=1))
    tall, wide = cut[:, 0].any(dim=2), cut[:, 0].any(dim=1)
    assert (tall[:, :, None] & wide[:, None, :]).equal(cut[:, 0])
    for line in (tall, wide):
        assert (line.int().diff(dim=1) == 1).sum(dim=1).max() <= 1


def test_weight_is_per_sample():
    """timm's batch mode has one lambda for all rows."""
    assert len(mixup(rows((64, 2)), classes(64), generator=0)[1].weight.unique()) > 60


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.4, 1.0, 2.0, 8.0])
def test_weight_is_beta_distributed(alpha):
    """kornia's is uniform whatever alpha is."""
    from scipy.stats import beta

    n = 20_000
    lam = symmetric_beta(alpha, n, gen(3)).numpy()
    at = np.linspace(0.001, 0.999, 101)
    seen = np.searchsorted(np.sort(lam), at) / n
    assert np.abs(seen - beta.cdf(at, alpha, alpha)).max() < (np.log(2e6) / (2 * n)) ** 0.5
    assert np.isfinite(lam).all()
    assert lam.min() >= 0
    assert lam.max() <= 1


def test_beta_of_tiny_alpha_is_a_coin():
    lam = symmetric_beta(1e-4, 1000, gen())
    assert lam.isfinite().all()
    assert ((lam < 1e-3) | (lam > 1 - 1e-3)).double().mean() > 0.99


@both
def test_float_regression_targets_stay_numbers(mix):
    """timm turns them into classes, torchvision raises."""
    x, y = rows((33, 5)), rows((33,))
    _, target = mix(x, y, generator=0)
    want = target.weight * y + (1 - target.weight) * y[target.partner]
    assert target.blended.allclose(want)
    out = rows((33,)) * 2
    for loss in (nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(reduction="sum"), F.mse_loss):
        assert target.loss(loss, out).allclose(loss(out, want))
    assert target.loss(nn.MSELoss(), out[:, None]).allclose(F.mse_loss(out, want))  # (n, 1) is no (n, n)
    with pytest.raises(DataError, match="not classes"):
        target.soft(10)


@both
def test_two_dimensional_inputs(mix):
    """kornia and torchvision raise."""
    x, y = rows((12, 5)), classes(12)
    mixed, target = mix(x, y, generator=0)
    assert not mixed.equal(x)
    assert target.loss(nn.CrossEntropyLoss(), rows((12, 4))).ndim == 0


def test_masks_are_mixed_and_pasted():
    x, y = rows((6, 3, 5, 7)), torch.randint(3, (6, 5, 7), generator=gen())
    out = rows((6, 3, 5, 7))
    _, target = mixup(x, y, generator=0)
    assert target.loss(nn.CrossEntropyLoss(), out).allclose(F.cross_entropy(out, target.soft(3)))
    mixed, target = cutmix(x, y, generator=0)
    other = mixed[:, 0] == x[target.partner][:, 0]
    assert target.first.equal(torch.where(other, y[target.partner], y))
    assert target.loss(nn.CrossEntropyLoss(), out).allclose(F.cross_entropy(out, target.first))


def test_gradients_flow_through_the_mix_and_the_loss():
    for mix in (mixup, cutmix):
        x = rows((9, 3, 8, 8)).requires_grad_()
        mixed, target = mix(x, classes(9), generator=0)
        target.loss(nn.CrossEntropyLoss(), mixed.flatten(1)[:, :4]).backward()
        assert x.grad.abs().sum() > 0
        assert mixed.detach().equal(mix(x.detach(), classes(9), generator=0)[0])


def test_a_lost_value_does_not_leak_out_of_the_box():
    x = rows((9, 3, 8, 8))
    x[4, :, 2, 2] = float("nan")
    x[5, :, 3, 3] = float("inf")
    for seed in range(20):
        mixed, _ = cutmix(x, classes(9), generator=seed)
        assert mixed.isnan().sum() <= 6
        assert mixed.isinf().sum() <= 6


def test_the_record_mixes_a_second_input():
    x, other = rows((9, 2)), rows((9, 3, 4))
    _, target = mixup(x, classes(9), generator=0)
    lam = target.weight[:, None, None]
    assert target.mix(other).allclose(lam * other + (1 - lam) * other[target.partner])


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4))


@pytest.mark.parametrize("layer", ["", "0", "1", "2"])
def test_manifold_mixup_mixes_at_the_layer(layer):
    model, x, y = net(), rows((9, 5)), classes(9)
    with manifold_mixup(model, [layer], y, generator=0) as target:
        out = model(x)
    before = model[: int(layer) + 1] if layer else nn.Identity()
    after = model[int(layer) + 1 :] if layer else model
    assert out.allclose(after(target.mix(before(x))))
    assert model(x).equal(net()(x))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_manifold_mixup_chooses_among_layers_and_mixes_once():
    model, x, y = net(), rows((9, 5)), classes(9)
    seen = set()
    for seed in range(30):
        with manifold_mixup(model, ["", "1"], y, generator=seed) as target:
            out = model(x)
            clean = model(x)
        assert clean.equal(model(x))
        seen.add(bool(out.allclose(model(target.mix(x)))))
    assert seen == {True, False}


def test_manifold_mixup_takes_its_hook_off_after_an_exception():
    model = net()
    with pytest.raises(RuntimeError), manifold_mixup(model, ["0"], classes(9)):
        model(rows((9, 7)))
    with pytest.raises(ModelError, match="not a tensor of 8 rows"), manifold_mixup(model, ["0"], classes(8)):
        model(rows((9, 5)))
    with pytest.raises(ModelError, match="was not run"), manifold_mixup(model, ["0"], classes(8)):
        pass
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_manifold_mixup_under_autocast():
    model, x, y = net(), rows((9, 5)), classes(9)
    with torch.autocast("cpu", dtype=torch.bfloat16), manifold_mixup(model, ["1"], y, generator=0):
        assert model(x).dtype == torch.bfloat16


def mean_loss(out, y):
    return F.cross_entropy(out, y)


def test_mistakes_are_told():
    x, y = rows((9, 4)), classes(9)
    with pytest.raises(SettingError, match="alpha"):
        mixup(x, y, -1.0)
    with pytest.raises(DataError, match="9 inputs and 8 targets"):
        cutmix(x, y[:8])
    with pytest.raises(DataError, match=r"x\.float"):
        mixup(x.long(), y)
    with pytest.raises(DataError, match="features"):
        cutmix(x[:, 0], y)
    with pytest.raises(DataError, match="num_classes"):
        mixup(x, y)[1].soft(2)
    with pytest.raises(DataError, match="0 to 1"):
        label_smoothing(y)
    with pytest.raises(SettingError, match="fraction"):
        label_smoothing(y, 2.0, num_classes=4)
    with pytest.raises(ModelError, match="per row"):
        mixup(x, y)[1].loss(mean_loss, rows((9, 4)))
    with (
        pytest.raises(SettingError, match="modules are"),
        manifold_mixup(net(), ["conv"], y),
    ):
        pass
    with pytest.raises(SettingError, match="list of names"), manifold_mixup(net(), [], y):
        pass


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@both
@shapes
def test_same_choices_on_a_gpu(mix, shape):
    x, y = rows(shape), classes(shape[0])
    here, there = mix(x, y, generator=0), mix(x.cuda(), y.cuda(), generator=0)
    assert there[0].cpu().allclose(here[0], atol=1e-6)
    assert there[1].weight.cpu().equal(here[1].weight)
    assert there[1].soft(4).device.type == "cuda"
    for source in (gen(), torch.Generator("cuda").manual_seed(0)):
        assert mix(x.cuda(), y.cuda(), generator=source)[0].device.type == "cuda"
