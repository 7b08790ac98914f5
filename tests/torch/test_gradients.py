"""Noise in gradients: where, how much and how often."""

import math

import pytest
import torch
from torch import nn

from hormesis.errors import SettingError
from hormesis.torch.weights.gradients import add_gradient_noise, gradient_noise, noise_at
from hormesis.torch.weights.noise import KEYED

SURE = 4.9


def weight(n=100_000, grad=0.0):
    w = nn.Parameter(torch.zeros(n))
    w.grad = torch.full((n,), grad)
    return w


@pytest.mark.parametrize("kind", KEYED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_noise_of_the_asked_deviation_is_added(kind, dtype):
    n = 100_000
    w = nn.Parameter(torch.zeros(n, dtype=dtype))
    w.grad = torch.full((n,), 0.5, dtype=dtype)
    add_gradient_noise([w], 0.2, kind=kind, generator=0)
    noise = w.grad.double() - 0.5
    assert abs(float(noise.mean())) < SURE * 0.2 / math.sqrt(n) + 1e-4
    assert abs(float(noise.square().mean().sqrt()) / 0.2 - 1) < SURE / math.sqrt(2 * n) + 1e-3


def test_relative_noise_is_a_share_of_the_root_mean_square():
    w = weight(grad=3.0)
    add_gradient_noise([w], 0.1, relative=True, generator=0)
    assert abs(float((w.grad - 3).square().mean().sqrt()) / 0.3 - 1) < 0.02


def test_variance_falls_as_published():
    assert [noise_at(0.5, t) ** 2 for t in (0, 9)] == pytest.approx([0.25, 0.25 / 10**0.55])


def test_missing_and_sparse_gradients_are_left_alone():
    none, bag = nn.Parameter(torch.zeros(3)), nn.EmbeddingBag(5, 2, sparse=True)
    bag(torch.tensor([[1, 2]])).sum().backward()
    before = bag.weight.grad.to_dense().clone()
    add_gradient_noise([none, *bag.parameters()], 1.0, generator=0)
    assert none.grad is None
    assert torch.equal(bag.weight.grad.to_dense(), before)


def test_same_generator_same_noise_and_no_global_one():
    state = torch.random.get_rng_state()
    one, two, three = weight(), weight(), weight()
    rng = torch.Generator().manual_seed(3)
    add_gradient_noise([one], 1.0, generator=rng)
    add_gradient_noise([two], 1.0, generator=rng)
    add_gradient_noise([three], 1.0, generator=torch.Generator().manual_seed(3))
    assert torch.equal(one.grad, three.grad)
    assert not torch.equal(one.grad, two.grad)
    assert torch.equal(state, torch.random.get_rng_state())


def test_level_0_changes_nothing():
    w = weight(3, 1.0)
    grad = w.grad
    add_gradient_noise([w], 0.0)
    assert w.grad is grad
    assert torch.equal(grad, torch.ones(3))


def test_an_optimizer_gets_noise_once_per_step_and_falling():
    w = weight()
    sgd, moves = torch.optim.SGD([w], lr=1.0), []
    with gradient_noise(sgd, 0.5, decay=2.0, generator=0):
        for _ in range(3):
            before = w.detach().clone()
            w.grad = torch.zeros_like(w)
            for _ in range(4):
                (w * 0).sum().backward()
            sgd.step()
            moves.append(float((w.detach() - before).square().mean().sqrt()))
    assert moves == pytest.approx([0.5, 0.25, 0.5 / 3], rel=0.03)
    before = w.detach().clone()
    w.grad.zero_()
    sgd.step()
    assert torch.equal(w, before)


def test_a_closure_gets_noise_after_its_gradient():
    w = weight()
    sgd = torch.optim.SGD([w], lr=1.0)

    def closure():
        sgd.zero_grad()
        loss = w.sum()
        loss.backward()
        return loss

    for call in (lambda: sgd.step(closure), lambda: sgd.step(closure=closure)):
        with torch.no_grad():
            w.zero_()
        with gradient_noise(sgd, 0.1, generator=0):
            assert call() == 0
        assert abs(float((w.detach() + 1).square().mean().sqrt()) / 0.1 - 1) < 0.03


def test_a_scaler_gets_noise_in_unscaled_gradients_and_none_when_it_skips():
    w = weight()
    sgd, scaler = torch.optim.SGD([w], lr=1.0), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with gradient_noise(sgd, 0.1, generator=0):
        w.grad = None
        scaler.scale(w.sum() * float("inf")).backward()
        scaler.step(sgd)
        scaler.update()
        assert torch.equal(w, torch.zeros_like(w))
        w.grad = None
        scaler.scale(w.sum()).backward()
        scaler.step(sgd)
    assert abs(float((w.detach() + 1).square().mean().sqrt()) / 0.1 - 1) < 0.03


def test_optimizers_that_unscale_by_themselves():
    w = weight()
    sgd, scaler = torch.optim.SGD([w], lr=1.0, fused=True), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    w.grad = None
    scaler.scale(w.sum()).backward()
    with gradient_noise(sgd, 0.1, generator=0):
        scaler.step(sgd)
    assert abs(float((w.detach() + 1).square().mean().sqrt()) / 0.1 - 1) < 0.03


def test_a_module_gets_noise_at_each_backward_until_the_block_ends():
    model = nn.Linear(300, 300, bias=False)
    frozen = nn.Linear(2, 2).requires_grad_(requires_grad=False)
    with gradient_noise(nn.ModuleList([model, frozen]), 0.1, generator=0):
        for _ in range(2):
            (model.weight * 0).sum().backward()
    spread = float(model.weight.grad.square().mean().sqrt())
    assert abs(spread / (0.1 * math.sqrt(2)) - 1) < 0.03
    before = model.weight.grad.clone()
    (model.weight * 0).sum().backward()
    assert torch.equal(model.weight.grad, before)


def test_hooks_are_gone_after_an_exception():
    w = weight()
    sgd = torch.optim.SGD([w], lr=1.0)
    with pytest.raises(ZeroDivisionError), gradient_noise(sgd, 0.1):
        _ = 1 / 0
    sgd.step()
    assert torch.equal(w, torch.zeros_like(w))


def test_mistakes_are_told():
    with pytest.raises(SettingError, match="0 or more"):
        add_gradient_noise([weight(3)], -1)
    with pytest.raises(SettingError, match="Did you mean `uniform`"):
        add_gradient_noise([weight(3)], 1, kind="unifrom")
    with pytest.raises(SettingError, match="decay=0"), gradient_noise(nn.Linear(2, 2), 0.1, decay=0.55):
        pass
    with pytest.raises(SettingError, match="optimizer"), gradient_noise([weight(3)], 0.1):
        pass
