"""Laws of every noise layer, and what is particular to one."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn

from hormesis.torch.dice import coins
from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.layers.cells import (
    FeatureDropout,
    GaussianDropout,
    GaussianNoise,
    Masking,
    SwapNoise,
    seed_noise,
)
from hormesis.torch.layers.embedding import EmbeddingNoise
from hormesis.torch.layers.paths import DropBlock, StochasticDepth

SHAPES = {"table": (64, 6), "series": (32, 3, 16), "image": (16, 3, 8, 8)}
EVERY = {
    "gaussian": (lambda **k: GaussianNoise(0.4, **k), SHAPES),
    "gaussian-scaled": (
        lambda **k: GaussianNoise(0.4, scale=torch.tensor([1.0, 2.0, 3.0]), **k),
        ("series", "image"),
    ),
    "gaussian-dropout": (lambda **k: GaussianDropout(0.4, **k), SHAPES),
    "masking": (lambda **k: Masking(0.4, **k), SHAPES),
    "masking-mean": (lambda **k: Masking(0.4, value=torch.arange(6.0) - 9, **k), ("table",)),
    "feature-dropout": (lambda **k: FeatureDropout(0.4, **k), SHAPES),
    "feature-dropout-batch": (lambda **k: FeatureDropout(0.4, mode="batch", **k), SHAPES),
    "swap": (lambda **k: SwapNoise(0.4, **k), SHAPES),
    "drop-block": (lambda **k: DropBlock(0.4, block_size=3, **k), ("series", "image")),
    "stochastic-depth": (lambda **k: StochasticDepth(0.4, **k), SHAPES),
    "embedding": (lambda **k: EmbeddingNoise(4.0, **k), ("series",)),
}
CASES = [pytest.param(make, SHAPES[s], id=f"{name}-{s}") for name, (make, on) in EVERY.items() for s in on]
law = pytest.mark.parametrize(("make", "shape"), CASES)


def batch(shape, dtype=torch.float32):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(7)) + 1).to(dtype)


def twice(make, shape):
    """Return enough noise that two seeds cannot agree by chance: three batches in a row."""
    layer = make
    return torch.cat([layer(batch(shape)) for _ in range(12)])


@law
def test_silent_in_evaluation(make, shape):
    x, layer = batch(shape), make().eval()
    assert layer(x) is x


@law
def test_level_zero_is_identity(make, shape):
    x, layer = batch(shape), make()
    layer.level = 0
    assert layer(x) is x


@law
def test_always_fires_in_evaluation(make, shape):
    x, layer = batch(shape), make(generator=0, always=True).eval()
    assert any(not layer(x).equal(x) for _ in range(12))


@law
def test_train_and_eval_toggle(make, shape):
    x, layer = batch(shape), make(generator=0)
    layer.eval()
    assert layer(x) is x
    layer.train()
    assert any(not layer(x).equal(x) for _ in range(12))


@law
def test_same_seed_same_noise_other_seed_other_noise(make, shape):
    assert twice(make(generator=3), shape).equal(twice(make(generator=3), shape))
    assert not twice(make(generator=3), shape).equal(twice(make(generator=4), shape))
    assert not twice(make(), shape).equal(twice(make(), shape))


@law
def test_global_generators_are_neither_read_nor_moved(make, shape):
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first = twice(make(generator=1), shape)
    assert torch.get_rng_state().equal(before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]
    torch.manual_seed(1)
    assert twice(make(generator=1), shape).equal(first)


@law
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_shape_kept_and_input_untouched(make, shape, dtype):
    x = batch(shape, dtype)
    kept = x.clone()
    noisy = make(generator=0)(x)
    assert noisy.dtype == dtype
    assert noisy.shape == x.shape
    assert x.equal(kept)
    assert noisy.isfinite().all()


@law
def test_gradient_flows(make, shape):
    x = batch(shape).requires_grad_()
    make(generator=0)(x * 1.0).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


@law
def test_under_autocast_no_grad_and_inference_mode(make, shape):
    x, layer = batch(shape), make(generator=0)
    net = nn.Sequential(nn.Linear(shape[-1], shape[-1]), layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(x).dtype == torch.bfloat16
    with torch.no_grad():
        assert layer(x).shape == x.shape
    with torch.inference_mode():
        assert layer(x).shape == x.shape


@law
def test_pickle_and_deepcopy_continue_the_stream(make, shape):
    layer = make(generator=torch.Generator().manual_seed(5))
    twice(layer, shape)
    copies = pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)
    want = twice(layer, shape)
    assert all(twice(c, shape).equal(want) for c in copies)


@law
def test_nothing_in_the_state_dict(make, shape):
    assert not make().state_dict()


@law
def test_memory_layout_changes_nothing(make, shape):
    x = batch(shape)
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    a, b = make(generator=0), make(generator=0)
    assert all(a(x).equal(b(turned)) for _ in range(3))


@law
@pytest.mark.parametrize("rows", [0, 1])
def test_small_batches(make, shape, rows):
    x = batch(shape)[:rows]
    assert make(generator=0)(x).shape == x.shape


@law
def test_seed_noise_reseeds(make, shape):
    layer = make()
    assert seed_noise(layer, 0, "epoch", 1) == [""]
    first = twice(layer, shape)
    seed_noise(layer, 0, "epoch", 1)
    assert twice(layer, shape).equal(first)
    seed_noise(layer, 0, "epoch", 2)
    assert not twice(layer, shape).equal(first)


def test_seed_noise_gives_each_layer_its_own_noise_whatever_wraps_the_model():
    net = nn.Sequential(GaussianNoise(1.0), nn.Sequential(GaussianNoise(1.0), nn.Linear(2, 2)))
    wrapped = nn.ModuleDict({"module": net})
    assert seed_noise(net, 0) == ["0", "1.0"] == seed_noise(wrapped, 0)
    x = torch.zeros(3, 2)
    a, b = net[0](x), net[1][0](x)
    assert not a.equal(b)
    seed_noise(net, 0)
    assert a.equal(net[0](x))
    assert b.equal(net[1][0](x))


@pytest.mark.filterwarnings("ignore")  # dynamo itself warns where a graph is broken
def test_compiled_model_draws_the_same_noise_and_follows_the_level():
    net = nn.Sequential(nn.Linear(4, 4), GaussianNoise(1.0), nn.Linear(4, 2))
    fast, x = torch.compile(net, backend="aot_eager"), torch.ones(3, 4)
    for level in (1.0, 0.5):
        net[1].level = level
        seed_noise(fast, 0)
        got = fast(x)
        seed_noise(net, 0)
        assert got.equal(net(x))
    net[1].level = 1.0
    fast.eval()
    assert fast(x).equal(fast(x))


def test_a_layer_of_your_own_is_held_to_the_same_silence():
    class Flip(NoiseLayer):
        def disturb(self, x, source):
            return torch.where(coins(x.shape, self.level, source), -x, x)

    x = torch.ones(5, 2)
    assert Flip(1.0)(x).equal(-x)
    assert Flip(1.0).eval()(x) is x


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@law
def test_on_a_gpu(make, shape):
    x = batch(shape).cuda()
    a, b, c = (make(generator=s).cuda() for s in (0, 0, 1))
    noisy = torch.cat([a(x) for _ in range(12)])
    assert noisy.device == x.device
    assert noisy.equal(torch.cat([b(x) for _ in range(12)]))
    assert not noisy.equal(torch.cat([c(x) for _ in range(12)]))
    assert a.eval()(x) is x
