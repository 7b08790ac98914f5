"""Attacks run at the floor of passes, and compute no gradient but the input's."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hormesis.torch.attacks.apgd import APGD
from hormesis.torch.attacks.gradient import FGSM, PGD


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(2)
    return torch.randn(7, 6, generator=drawn), torch.randint(3, (7,), generator=drawn)


class Counted(nn.Module):
    """Counts passes."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.forwards, self.backwards = inner, 0, 0

    def forward(self, x):
        self.forwards += 1
        return Tick.apply(self.inner(x), self)


class Tick(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, owner):
        ctx.owner = owner
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.owner.backwards += 1
        return gradient, None


FLOORS = [(FGSM(), 1, 1), (PGD(steps=10), 10, 10), (PGD(steps=3, norm="l2"), 3, 3), (APGD(steps=9), 9, 9)]


@pytest.mark.parametrize(("attack", "forwards", "backwards"), FLOORS, ids=repr)
def test_passes_are_at_the_floor(attack, forwards, backwards):
    model = Counted(net())
    attack.perturb(model, *batch())
    assert (model.forwards, model.backwards) == (forwards, backwards)


@pytest.mark.parametrize(("attack", "forwards", "backwards"), FLOORS, ids=repr)
def test_an_evaluation_takes_a_pass_before_and_a_pass_after(attack, forwards, backwards):
    model = Counted(nn.Linear(6, 3))
    x, _ = batch()
    found = attack.run(model, x, model.inner(x).argmax(1), epsilons=[1e-9])
    assert (model.forwards, model.backwards) == (forwards + 2, backwards)
    assert (found.queries == forwards + 2).all()
    assert (found.gradients == backwards).all()


class Products(TorchDispatchMode):
    """Counts matrix products: a linear layer takes one forward, one for its input's gradient, one for its weights'."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("attack", "forwards", "backwards"), FLOORS, ids=repr)
def test_no_weight_gradients_are_computed(attack, forwards, backwards):
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    x, y = batch()
    with Products() as made:
        attack.perturb(model, x, y)
    assert made.count == 2 * (forwards + backwards)
