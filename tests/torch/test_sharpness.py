"""SAM and AWP: the right ascent, the weights back to the bit, in any training loop."""

import copy
import math

import pytest
import torch
from torch import nn

from hormesis.errors import ModelError, SettingError
from hormesis.torch.weights.noise import weight_noise
from hormesis.torch.weights.sharpness import AWP, SAM

BOTH = pytest.mark.parametrize("climb", [lambda m: SAM(m, 0.05), lambda m: SAM(m, 0.5, adaptive=True), AWP])
x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
y = torch.randint(0, 3, (16,), generator=torch.Generator().manual_seed(2))


def net(*, norm=False, dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU(), nn.Linear(8, 3)]
        return nn.Sequential(*layers).to(dtype)


def loss_of(model):
    return nn.functional.cross_entropy(model(x), y)


def bits(model):
    return [v.detach().clone() for v in model.state_dict().values()]


def same(model, before):
    return all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), before, strict=True))


def close(model, other):
    return all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


class SkipsBranch(nn.Module):
    """Stochastic depth that drops its branch in every second pass."""

    def __init__(self):
        super().__init__()
        self.stem, self.branch, self.calls = nn.Linear(4, 4), nn.Linear(4, 4), 0
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        self.calls += 1
        x = self.stem(x)
        return self.head(x + self.branch(x) if self.calls % 2 else x)


def test_sam_climbs_rho_along_the_gradient():
    model = net(dtype=torch.float64)
    nn.functional.cross_entropy(model(x.double()), y).backward()
    before, grads = bits(model), [p.grad for p in model.parameters()]
    length = math.sqrt(sum(float(g.square().sum()) for g in grads))
    with SAM(model, rho=0.3).ascended():
        for p, w, g in zip(model.parameters(), before, grads, strict=True):
            assert torch.allclose(p, w + 0.3 * g / length)


def test_asam_measures_the_ball_in_units_of_each_weight():
    model = net(dtype=torch.float64)
    nn.functional.cross_entropy(model(x.double()), y).backward()
    before, grads = bits(model), [p.grad for p in model.parameters()]
    units = [w.abs() + 0.01 if w.ndim > 1 else torch.ones_like(w) for w in before]
    with SAM(model, rho=0.3, adaptive=True).ascended():
        moves = [p.detach() - w for p, w in zip(model.parameters(), before, strict=True)]
    assert math.isclose(sum(float((m / t).square().sum()) for m, t in zip(moves, units, strict=True)), 0.09)
    along = units[0] ** 2 * grads[0]
    assert torch.allclose(moves[0] / moves[0].norm(), along / along.norm())


def test_awp_moves_each_matrix_by_a_share_of_its_length():
    model = net(dtype=torch.float64)
    before = bits(model)
    with AWP(model, gamma=0.1).ascended(nn.functional.cross_entropy(model(x.double()), y)):
        for p, w in zip(model.parameters(), before, strict=True):
            wanted = 0.1 * w.norm() if w.ndim > 1 else torch.zeros(())
            assert torch.allclose((p - w).norm(), wanted.double())
            assert p.ndim == 1 or not torch.equal(p, w)


@BOTH
def test_the_loss_is_higher_up_there(climb):
    model = net()
    low = loss_of(model)
    with climb(model).ascended(low):
        assert loss_of(model) > low


@BOTH
def test_a_branch_unused_in_the_second_pass_does_not_drift(climb):
    model = SkipsBranch()
    before = bits(model)
    sgd = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in range(20):
        climb(model).step(lambda: _backward(loss_of(model)), sgd)
    assert model.branch.weight.grad is None
    assert same(model, before)


def _backward(loss):
    loss.backward()
    return loss


@BOTH
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_second_pass_restores_weights_and_gradients(climb, error):
    model = net(norm=True)
    _backward(loss_of(model))
    before, grads = bits(model), [p.grad for p in model.parameters()]
    with pytest.raises(error), climb(model).ascended():
        _second_pass_fails(model, error)
    assert same(model, before)
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))


def _second_pass_fails(model, error):
    _backward(loss_of(model))
    raise error


@BOTH
def test_running_statistics_are_updated_once(climb):
    model, once = net(norm=True), net(norm=True)
    once(x)
    climb(model).step(lambda: _backward(loss_of(model)), torch.optim.SGD(model.parameters(), lr=0.1))
    assert torch.equal(model[1].running_mean, once[1].running_mean)
    assert torch.equal(model[1].running_var, once[1].running_var)
    assert model[1].num_batches_tracked == 1


@pytest.mark.parametrize("make", [SAM, AWP])
def test_running_statistics_of_both_passes_on_request(make):
    model = net(norm=True)
    with make(model, update_statistics=True).ascended(loss_of(model)):
        loss_of(model)
    assert model[1].num_batches_tracked == 2


def test_gradients_accumulated_over_batches_are_those_of_the_whole():
    whole, parts = net(), net()
    SAM(whole).step(lambda: _backward(loss_of(whole)), torch.optim.SGD(whole.parameters(), lr=0.1))

    def closure():
        for rows in (slice(8), slice(8, 16)):
            (nn.functional.cross_entropy(parts(x[rows]), y[rows]) / 2).backward()

    SAM(parts).step(closure, torch.optim.SGD(parts.parameters(), lr=0.1))
    assert close(whole, parts)


def test_second_passes_of_several_batches_add_up_when_the_loss_is_given():
    model, wanted = net(), []
    for rows in (slice(8), slice(8, 16)):
        with SAM(model).ascended(nn.functional.cross_entropy(model(x[rows]), y[rows])):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            wanted.append(torch.autograd.grad(loss, model[0].weight, retain_graph=True)[0])
            loss.backward()
    assert torch.allclose(model[0].weight.grad, wanted[0] + wanted[1])


@BOTH
def test_a_loss_scale_does_not_change_the_step(climb):
    plain, scaled = net(), net()
    climb(plain).step(lambda: _backward(loss_of(plain)), torch.optim.SGD(plain.parameters(), lr=0.1))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    sgd = torch.optim.SGD(scaled.parameters(), lr=0.1)
    climb(scaled).step(lambda: _backward(scaler.scale(loss_of(scaled))), sgd, scaler=scaler)
    scaler.update()
    assert close(plain, scaled)


@BOTH
def test_overflowing_gradients_skip_the_step_and_the_next_one_works(climb):
    model = net()
    before = bits(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure():
        return _backward(scaler.scale(loss_of(model) * 8))

    climb(model).step(closure, sgd, scaler=scaler)
    scaler.update()
    assert same(model, before)
    assert scaler.get_scale() == 2.0**126
    for _ in range(20):
        climb(model).step(closure, sgd, scaler=scaler)
        scaler.update()
    assert not same(model, before)
    assert all(p.isfinite().all() for p in model.parameters())


@BOTH
def test_both_passes_in_one_autocast_region(climb):
    model = net()
    before = bits(model)
    with torch.autocast("cpu", torch.bfloat16):
        low = loss_of(model)
        with climb(model).ascended(low):
            high = loss_of(model)
        again = loss_of(model)
    assert high != low
    assert torch.equal(low, again)
    assert same(model, before)


@BOTH
def test_a_checkpoint_in_the_middle_changes_nothing(climb):
    def trained(model, sgd, steps):
        for _ in range(steps):
            climb(model).step(lambda: _backward(loss_of(model)), sgd)

    def fresh(model):
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    one, sgd = fresh(net(norm=True))
    names = list(one.state_dict()), list(sgd.state_dict())
    trained(one, sgd, 3)
    two, other = fresh(net(norm=True))
    two.load_state_dict(one.state_dict())
    other.load_state_dict(copy.deepcopy(sgd.state_dict()))
    assert (list(one.state_dict()), list(sgd.state_dict())) == names
    trained(one, sgd, 3)
    trained(two, other, 3)
    assert same(two, bits(one))


def test_frozen_and_unused_weights_stay_where_they_are():
    model = SkipsBranch()
    model.calls = 1
    model.stem.weight.requires_grad_(requires_grad=False)
    before = model.stem.weight.clone(), model.branch.weight.clone()
    with SAM(model, 0.5).ascended(loss_of(model)):
        assert torch.equal(model.stem.weight, before[0])
        assert torch.equal(model.branch.weight, before[1])
        assert model.branch.weight.grad is None


def test_sparse_gradients():
    model = nn.Sequential(nn.EmbeddingBag(10, 3, sparse=True))
    tokens = torch.tensor([[1, 2], [3, 1]])
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    before = bits(model)
    SAM(model).step(lambda: _backward(model(tokens).square().sum()), sgd)
    assert not same(model, before)


@pytest.mark.parametrize("make", [SAM, AWP])
def test_zero_gradients_move_nothing(make):
    model = net()
    before = bits(model)
    with make(model).ascended(loss_of(model) * 0):
        assert same(model, before)


@BOTH
def test_inside_weight_noise(climb):
    model, grads = net(), []
    before = bits(model)
    for memory in ("copy", "none"):
        model.zero_grad()
        with weight_noise(model, 0.1, seed=0, memory=memory), climb(model).ascended(loss_of(model)):
            loss_of(model).backward()
        grads.append([p.grad for p in model.parameters()])
        assert same(model, before)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_half_precision_weights():
    model = net(dtype=torch.float16)
    before = bits(model)
    with SAM(model, 1.0).ascended(model(x.half()).square().sum()):
        assert not same(model, before)
        assert all(p.isfinite().all() for p in model.parameters())
    assert same(model, before)


def test_random_generators_stay():
    state = torch.random.get_rng_state()
    model = net()
    SAM(model).step(lambda: _backward(loss_of(model)), torch.optim.SGD(model.parameters(), lr=0.1))
    assert torch.equal(state, torch.random.get_rng_state())


def test_sam_finds_a_flatter_minimum():
    def trained(sharp):
        model = net()
        sgd = torch.optim.SGD(model.parameters(), lr=0.3)
        for _ in range(150):
            if sharp:
                sgd.zero_grad()
                _backward(loss_of(model))
                sgd.step()
            else:
                SAM(model, 0.3).step(lambda: _backward(loss_of(model)), sgd)
        low = loss_of(model)
        with SAM(model, 0.3).ascended(low):
            return (loss_of(model) - low).item()

    assert trained(sharp=False) < trained(sharp=True)


@pytest.mark.parametrize(
    "make", [lambda m: SAM(m, -1), lambda m: SAM(m, float("nan")), lambda m: AWP(m, float("inf"))]
)
def test_radii_that_are_none(make):
    with pytest.raises(SettingError, match="0 or more"):
        make(net())


@BOTH
def test_mistakes_are_told(climb):
    model = net()
    before = bits(model)
    with pytest.raises(ModelError, match="first pass"), climb(model).ascended():
        pass
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ModelError, match="after the block"), climb(model).ascended(loss_of(model)):
        _backward(loss_of(model)) and sgd.step()
    assert same(model, before)
