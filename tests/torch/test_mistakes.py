"""Mistakes that gave wrong numbers without a word: each gets one clear sentence now, at every door."""

import numpy as np
import pytest
import torch
from torch import nn

from hormesis import stress
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.noise import GaussianNoise
from hormesis.torch import PGD, Smoothed, Square, weight_curve

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def linear(outputs):
    net = nn.Linear(3, outputs, bias=False)
    with torch.no_grad():
        net.weight.copy_(
            torch.tensor([[-3.0, 0, 0], [3.0, 0, 0], [-9.0, 0, 0]])[:outputs] * (-1 if outputs == 1 else 1)
        )
    return net


@pytest.mark.parametrize(
    "door",
    [
        lambda net: PGD(0.1).run(net, X, Y),
        lambda net: Square(0.1, queries=10).run(net, X, Y),
        lambda net: stress(net, X, Y, noises=GaussianNoise(), scoring="accuracy"),
        lambda net: weight_curve(net, X, Y),
        lambda net: Smoothed(net, 0.25, classes=2).certify(X, n=100),
    ],
    ids=["pgd", "square", "stress", "weights", "certificate"],
)
def test_a_net_that_ends_in_a_sigmoid_is_refused(door):
    with pytest.raises(ModelError, match="Sigmoid"):
        door(nn.Sequential(linear(1), nn.Sigmoid()))
    door(linear(1))


@pytest.mark.parametrize("dtype", [torch.long, torch.float32])
def test_one_hot_labels_are_refused(dtype):
    hot = nn.functional.one_hot(Y, 3).to(dtype)
    with pytest.raises(DataError, match="argmax"):
        PGD(0.1).run(linear(3), X, hot)


@pytest.mark.parametrize(
    "labels", [Y.float(), Y[:, None], Y[:, None].float()], ids=["float", "column", "float column"]
)
def test_labels_that_do_not_fit_say_the_mend(labels):
    with pytest.raises(DataError, match="long"):
        PGD(0.1).run(linear(3), X, labels)


def test_nan_is_never_certified():
    with pytest.raises(DataError, match="NaN"):
        Smoothed(linear(2), 0.25, classes=2).certify(X * np.nan, n=100)
    with pytest.raises(ModelError, match="NaN"):
        Smoothed(lambda x: linear(2)(x) * torch.nan, 0.25, classes=2).certify(X, n=100)


def test_a_single_number_is_a_list_of_one():
    assert PGD().run(linear(2), X, Y, epsilons=0.1).epsilons == (0.1,)
    assert weight_curve(linear(2), X, Y, 0.1, repeats=2).curve.levels == (0.1,)


@pytest.mark.parametrize("given", ["PGD", PGD], ids=["name", "class"])
def test_an_attack_is_given_as_an_object(given):
    with pytest.raises(SettingError, match=r"PGD\(\)"):
        stress(linear(2), X, Y, noises=[given])


class Picky(nn.Module):
    """A net that looks a whole number up: inputs that move beyond its rows raise."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 2)

    def forward(self, x):
        return self.table((x[:, 0].detach() * 1).round().long()) + x @ torch.ones(3, 2)


def test_a_net_that_raises_under_attack_is_a_result():
    rows = torch.cat(
        [torch.randint(0, 4, (60, 1), generator=torch.Generator().manual_seed(1)).float(), X[:, 1:]], 1
    )
    found = stress(Picky(), rows, Y, noises=[GaussianNoise(), PGD(steps=3)], levels=[2.0], scoring="accuracy")
    assert [c.noise for c in found.curves] == ["gaussian-noise", "pgd"]
    assert "IndexError" in found.curves[1].errors[0]
