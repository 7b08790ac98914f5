"""What is particular to one noise layer: rates, expectations, scales, mistakes."""

import numpy as np
import pytest
import torch
from torch import nn

from hormesis.errors import DataError, SettingError
from hormesis.torch.dice import coins, normals
from hormesis.torch.layers.cells import FeatureDropout, GaussianDropout, GaussianNoise, Masking, SwapNoise
from hormesis.torch.layers.paths import DropBlock, StochasticDepth, linear_depth


def within(count, n, p, z=4.9):
    """Whether a binomial count is within its band of 1e-6."""
    return abs(count - n * p) <= z * (n * p * (1 - p)) ** 0.5 + 1


def batch(shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(7)) + 1


@pytest.mark.parametrize("p", [1e-5, 0.01, 0.3, 0.99999, 1.0])
def test_coins_have_their_rate(p):
    hits = coins((1000, 300), p, torch.Generator().manual_seed(0))
    assert within(hits.sum().item(), 300_000, p)


def test_rate_below_a_step_of_sixteen_bits_is_exact():
    p, source = 1.5 / 65536, torch.Generator().manual_seed(0)
    count = sum(coins((1000, 1000), p, source).sum().item() for _ in range(40))
    # beside the cells, 40 roundings of the threshold, each by up to one step
    sigma = (40e6 * p + 40 * (1e6 / 65536) ** 2 / 4) ** 0.5
    assert abs(count - 40e6 * p) < 4.9 * sigma


@pytest.mark.parametrize("cells", [100_000, 1_000_001])
def test_normals_are_normal(cells):
    z = normals((cells,), torch.Generator().manual_seed(1)).double()
    n = len(z)
    assert abs(z.mean()) < 4.9 / n**0.5
    assert abs(z.var() - 1) < 4.9 * (2 / n) ** 0.5
    assert abs((z**4).mean() - 3) < 4.9 * (96 / n) ** 0.5
    at = torch.linspace(-4, 4, 33, dtype=torch.float64)
    share = torch.searchsorted(z.sort().values, at) / n
    assert (share - torch.special.ndtr(at)).abs().max() < (
        np.log(2e6) / (2 * n)
    ) ** 0.5  # Dvoretzky-Kiefer-Wolfowitz


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_realised_rates(level):
    x = torch.randn(2000, 10, generator=torch.Generator().manual_seed(0))
    for layer in (Masking(level, value=99.0, generator=0), SwapNoise(level, generator=0)):
        assert within((layer(x) != x).sum().item(), x.numel(), level)
    lost = FeatureDropout(level, generator=0)(x.unsqueeze(-1).expand(-1, -1, 4)) == 0
    assert within(lost[..., 0].sum().item(), x.numel(), level)
    assert lost.all(dim=2).equal(lost.any(dim=2))
    lost = StochasticDepth(level, generator=0)(x) == 0
    assert within(lost[:, 0].sum().item(), len(x), level)
    assert lost.all(dim=1).equal(lost.any(dim=1))


@pytest.mark.parametrize("level", [0.1, 0.5])
@pytest.mark.parametrize(("shape", "b"), [((9,), 4), ((7, 9), 3), ((2, 9), 5), ((3, 4, 5), 2)])
def test_dropblock_rate_is_exact_at_each_cell_and_at_the_border(level, shape, b):
    lost = DropBlock(level, block_size=b, generator=1)(torch.ones(6000, 1, *shape)) == 0
    counts = lost.sum(dim=0).flatten().tolist()
    assert all(within(c, 6000, level, z=5.5) for c in counts)


def test_dropblock_drops_blocks():
    lost = DropBlock(0.02, block_size=4, generator=2)(torch.ones(400, 1, 12)) == 0
    inner = lost[:, 0].int().diff(dim=1)
    assert lost.any()
    for row in lost[:, 0][(inner == 1).sum(1) == 1].tolist():
        run = "".join("x" if v else "." for v in row).strip(".")
        assert len(run) >= 4 or row[0] or row[-1]


@pytest.mark.parametrize(
    "layer",
    [
        GaussianNoise(1.0, generator=0),
        GaussianDropout(0.5, generator=0),
        FeatureDropout(0.5, generator=0),
        DropBlock(0.5, block_size=2, generator=0),
        StochasticDepth(0.5, generator=0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_expectation_is_the_input(layer):
    mean = layer(torch.ones(40_000, 1, 2))[:, 0, 0].mean()
    assert abs(mean - 1) < 4.9 / 40_000**0.5  # every one of them has variance 1 here


@pytest.mark.parametrize("kind", [Masking, FeatureDropout, SwapNoise, DropBlock, StochasticDepth])
def test_level_one_hits_everything(kind):
    x = batch((8, 3, 4))
    noisy = kind(1.0, generator=0)(x)
    assert (noisy != x).all()
    assert noisy.isfinite().all()


def test_gaussian_noise_takes_sigma_above_one():
    """Keras refuses more than 1, so that columns that are not standardised cannot be noised."""
    x = torch.full((50_000, 1), 4000.0)
    noise = GaussianNoise(250.0, generator=0)(x) - x
    assert abs(noise.std() / 250 - 1) < 4.9 / (2 * 50_000) ** 0.5


def test_gaussian_noise_never_clips():
    """torchvision clips standardised data to [0, 1]."""
    x = torch.linspace(-9, 9, 1000)[:, None]
    assert (GaussianNoise(1e-3, generator=0)(x) - x).abs().max() < 5e-3


def test_scale_is_per_feature_and_follows_the_device_of_the_model():
    layer = GaussianNoise(0.5, scale=torch.tensor([0.0, 2.0]), generator=0)
    x = torch.zeros(20_000, 2, 2)
    spread = layer(x).std(dim=(0, 2))
    assert spread[0] == 0
    assert abs(spread[1] - 1) < 4.9 / (2 * 40_000) ** 0.5
    assert layer.to("meta").scale.device.type == "meta"
    whole = GaussianNoise(1.0, scale=torch.tensor([[0.0, 1.0], [1.0, 0.0]]), generator=0)(x)
    assert ((whole != 0).any(dim=0) == torch.tensor([[False, True], [True, False]])).all()


def test_masking_of_tokens_and_of_means():
    tokens = torch.arange(12).view(3, 4)
    assert (Masking(1.0, value=103)(tokens) == 103).all()
    means = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert (Masking(1.0, value=means)(tokens.double()) == means).all()


def test_noise_beside_missing_values():
    x = torch.tensor([[float("nan"), 1.0], [2.0, float("inf")]])
    assert Masking(1.0)(x).equal(torch.zeros(2, 2))
    assert GaussianNoise(1.0)(x).isnan().equal(x.isnan())


def test_swap_takes_the_same_feature_of_another_row():
    x = torch.arange(20)[:, None] + 100 * torch.arange(7)
    noisy = SwapNoise(1.0, generator=0)(x)
    assert (noisy // 100 == x // 100).all()
    assert (noisy != x).all()
    one = x[:1].float()
    assert SwapNoise(1.0)(one).equal(one)


def test_swap_donors_are_uniform():
    x = torch.arange(5)[:, None].expand(5, 8000).contiguous()
    counts = torch.stack([torch.bincount(row, minlength=5) for row in SwapNoise(1.0, generator=0)(x)])
    assert counts.diagonal().sum() == 0
    assert all(within(c, 8000, 0.25) for c in counts[~torch.eye(5, dtype=torch.bool)].tolist())


def test_batch_mode_is_one_choice_for_all_rows():
    for layer in (
        FeatureDropout(0.5, mode="batch", generator=0),
        StochasticDepth(0.5, mode="batch", generator=0),
    ):
        for _ in range(10):
            assert len(layer(torch.ones(9, 4)).unique(dim=0)) == 1


def test_linear_depth_rises_to_the_last_branch():
    assert linear_depth(5, 0.5) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert linear_depth(0, 0.5) == []


def test_level_is_checked_whenever_it_is_set():
    with pytest.raises(SettingError, match=r"Masking\(level=20\).*Did you mean 0.2"):
        Masking(20)
    layer = GaussianDropout(0.5)
    with pytest.raises(SettingError, match="0 to below 1"):
        layer.level = 1.0
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="sigma"):
            GaussianNoise(wrong)


def test_other_mistakes_are_told():
    x = torch.zeros(4, 3)
    with pytest.raises(DataError, match="one per feature"):
        GaussianNoise(1.0, scale=torch.ones(2))(x)
    with pytest.raises(DataError, match="int64"):
        GaussianNoise(1.0)(x.long())
    with pytest.raises(DataError, match="Masking"):
        DropBlock(0.1)(x)
    with pytest.raises(DataError, match="axis 1"):
        FeatureDropout(0.1)(x[:, 0])
    with pytest.raises(DataError, match="generator on `cpu`"):
        Masking(0.1, generator=torch.Generator())(x.to("meta"))
    with pytest.raises(SettingError, match="row"):
        StochasticDepth(0.1, mode="rows")
    with pytest.raises(SettingError, match="from training data"):
        GaussianNoise(1.0, scale=torch.tensor([-1.0]))
    with pytest.raises(SettingError, match="whole number"):
        DropBlock(0.1, block_size=0)


def test_representation_shows_the_level():
    assert repr(nn.Sequential(GaussianNoise(0.1), StochasticDepth(0.2))).count("0.") == 2
    assert "always" in repr(Masking(0.1, always=True))
