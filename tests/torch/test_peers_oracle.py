"""What the peers answer is the answer of a plain loop: same seed, same robust accuracy to the last digit (no peer needed)."""

import functools

import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from hormesis.torch import FGSM, PGD, Space

EPSILON, STEP = 0.1, 0.025
Data = tuple[nn.Module, Tensor, Tensor]


@pytest.fixture(autouse=True)
def _global_generator():
    with torch.random.fork_rng(devices=[]):
        yield


def fitted(net: nn.Module, x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net.eval()


@functools.cache
def digits(kind: str) -> Data:
    torch.manual_seed(0)
    bunch = load_digits()
    x = torch.tensor(bunch.data / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(bunch.target)
    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    convolution = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()
    net = dense if kind == "dense" else nn.Sequential(*convolution, nn.Flatten(), nn.Linear(72, 10))
    return fitted(net, x[:1000], y[:1000], 20), x[1000:], y[1000:]


@functools.cache
def cancer() -> Data:
    torch.manual_seed(0)
    bunch = load_breast_cancer()
    x = torch.tensor(bunch.data, dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0)
    y = torch.tensor(bunch.target)
    net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2))
    return fitted(net, x[:341], y[:341], 60), x[341:], y[341:]


def loop(net: nn.Module, x: Tensor, y: Tensor, steps: int, seed: int) -> Tensor:
    """Attack as torchattacks, foolbox and the papers do: uniform start, signed steps, back into ball and range."""

    def slope(at: Tensor) -> Tensor:
        at = at.detach().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(net(at), y), at)[0]

    if not steps:
        return torch.clamp(x + EPSILON * slope(x).sign(), 0, 1)
    generator = torch.Generator().manual_seed(seed)
    at = torch.clamp(x + torch.empty_like(x).uniform_(-EPSILON, EPSILON, generator=generator), 0, 1)
    for _ in range(steps):
        moved = at + STEP * slope(at).sign()
        at = torch.clamp(x + torch.clamp(moved - x, -EPSILON, EPSILON), 0, 1)
    return at


def right(net: nn.Module, x: Tensor, y: Tensor) -> int:
    with torch.no_grad():
        return int((net(x).argmax(1) == y).sum())


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
@pytest.mark.parametrize("loss", ["ce", "auto"])
@pytest.mark.parametrize(("steps", "seed"), [(0, 0), (10, 0), (10, 1), (10, 2)])
def test_same_seed_gives_the_robust_accuracy_of_the_plain_loop(kind, loss, steps, seed):
    net, x, y = digits(kind)
    settings = {"steps": steps, "step_size": STEP} if steps else {}
    attack = (PGD if steps else FGSM)(EPSILON, loss=loss, **settings)
    generator = torch.Generator().manual_seed(seed)
    ours = attack.perturb(net, x, y, space=Space.image(), generator=generator)
    assert right(net, ours, y) == right(net, loop(net, x, y, steps, seed), y)
    assert float((ours - x).abs().max()) <= EPSILON + 1e-6


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_the_attack_is_worth_comparing(kind):
    net, x, y = digits(kind)
    assert right(net, x, y) > 0.85 * len(y)
    assert right(net, loop(net, x, y, 10, 0), y) < 0.7 * len(y)


@pytest.mark.parametrize("factor", [1.0, 100.0, 10_000.0])
def test_scaled_logits_change_nothing_where_the_plain_loop_is_fooled(factor):
    net, x, y = cancer()

    def scaled(values: Tensor) -> Tensor:
        return net(values) * factor

    plan = {"steps": 20, "loss": "auto"}
    found = PGD(0.3, **plan).perturb(scaled, x, y, generator=0)
    assert right(net, found, y) == right(net, PGD(0.3, **plan).perturb(net, x, y, generator=0), y)
    fooled = PGD(0.3, steps=20, loss="ce").perturb(scaled, x, y, generator=0)
    assert (right(net, fooled, y) > right(net, found, y) + 0.1 * len(y)) == (factor > 1)
