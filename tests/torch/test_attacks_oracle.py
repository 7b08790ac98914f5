"""On linear models the worst case is known in closed form: every attack meets it, none goes beyond it."""

import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from hormesis.torch.attacks.apgd import APGD
from hormesis.torch.attacks.ensemble import Ensemble
from hormesis.torch.attacks.gradient import FGSM, PGD
from hormesis.torch.attacks.space import Space
from hormesis.torch.attacks.square import Square

DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}
SIZES = {"linf": [0.05, 0.15, 0.3], "l2": [0.2, 0.5, 0.9], "l1": [0.3, 0.9, 1.8]}


def linear(classes: int, features: int = 8):
    """Return a linear model, data that it gets right, and the exact radius of each row per norm."""
    drawn = torch.Generator().manual_seed(classes)
    net = nn.Linear(features, classes).double()
    net.weight.data = torch.randn(classes, features, generator=drawn, dtype=torch.float64)
    net.bias.data = torch.randn(classes, generator=drawn, dtype=torch.float64)
    x = torch.randn(150, features, generator=drawn, dtype=torch.float64)
    out = net(x).detach()
    if classes == 1:
        y = (out[:, 0] > 0).long()
        return net, x, y, lambda p: out[:, 0].abs() / net.weight.data[0].norm(p=p)
    y = out.argmax(1)

    def radius(p):
        ways = net.weight.data[y][:, None] - net.weight.data[None]
        lead = out.gather(1, y[:, None]) - out
        each = lead / ways.norm(p=p, dim=2).clamp(min=1e-12)
        return each.scatter(1, y[:, None], torch.inf).amin(1)

    return net, x, y, radius


def exact(radius: torch.Tensor, sizes: list[float]) -> list[float]:
    return [float((radius > e).double().mean()) for e in sizes]


def quick(norm):
    """Return the ensemble with few steps."""
    climbs = APGD(norm=norm, steps=20), APGD(norm=norm, steps=20, targets=4)
    return Ensemble(norm=norm, attacks=climbs if norm == "l1" else [*climbs, Square(norm=norm, queries=20)])


def two_class(norm):
    attacks = [PGD(norm=norm, steps=60), APGD(norm=norm, steps=20), quick(norm)]
    attacks += [APGD(norm=norm, steps=20, loss=loss) for loss in ("dlr", "ce", "margin")]
    return attacks + ([FGSM(norm=norm)] if norm != "l1" else [])


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("norm", DUAL)
def test_two_classes_are_exact(norm, classes):
    net, x, y, radius = linear(classes)
    r = radius(DUAL[norm])
    for attack in two_class(norm):
        found = attack.run(net, x, y, epsilons=SIZES[norm])
        right = exact(r, SIZES[norm])
        slack = [e * 0.99 for e in SIZES[norm]] if isinstance(attack, PGD) and norm != "linf" else SIZES[norm]
        assert all(a >= b for a, b in zip(found.robust_accuracy, right, strict=True)), attack
        assert all(a <= b for a, b in zip(found.robust_accuracy, exact(r, slack), strict=True)), attack


@pytest.mark.parametrize("norm", DUAL)
def test_many_classes_are_exact_with_targets(norm):
    net, x, y, radius = linear(5)
    right = exact(radius(DUAL[norm]), SIZES[norm])
    for attack in (APGD(norm=norm, steps=20, targets=4), quick(norm)):
        assert list(attack.run(net, x, y, epsilons=SIZES[norm]).robust_accuracy) == right


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [2, 5])
def test_square_comes_close_and_never_beyond(norm, classes):
    net, x, y, radius = linear(classes)
    right = exact(radius(DUAL[norm]), SIZES[norm])
    found = Square(norm=norm, queries=150).run(net, x, y, epsilons=SIZES[norm])
    for a, b in zip(found.robust_accuracy, right, strict=True):
        assert b <= a <= b + 0.03


@pytest.mark.parametrize("attack", [FGSM(), PGD(), PGD(loss="ce"), APGD(steps=10), quick("linf")], ids=repr)
def test_nobody_below_the_exact_value_with_many_classes(attack):
    net, x, y, radius = linear(5)
    found = attack.run(net, x, y, epsilons=SIZES["linf"])
    for a, b in zip(found.robust_accuracy, exact(radius(1), SIZES["linf"]), strict=True):
        assert a >= b


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=20), APGD(steps=10), quick("linf")], ids=repr)
def test_scales_and_bounds_enter_the_closed_form(attack):
    """Linf: the score falls by the sum of |w_j| times the room of feature j; a frozen feature has none."""
    net, x, y, _ = linear(1)
    x = x.clamp(-1, 1)
    out, w = net(x).detach()[:, 0], net.weight.data[0]
    y, sign = (out > 0).long(), out.sign()
    scale = torch.linspace(0.2, 2, 8).double()
    frozen = torch.arange(8) == 3
    for epsilon in (0.1, 0.4):
        far = scale * epsilon * ~frozen
        room = torch.where(-sign[:, None] * w > 0, torch.minimum(far, 1 - x), torch.minimum(far, 1 + x))
        robust = out.abs() > (w.abs() * room).sum(1)
        found = attack.run(net, x, y, space=Space(-1, 1, scale=scale, frozen=frozen), epsilons=[epsilon])
        assert torch.equal(~found.success[0], robust)


@pytest.mark.parametrize("attack", [PGD(steps=60, norm="l1"), APGD(steps=40, norm="l1")], ids=repr)
def test_l1_in_a_box_fills_the_strongest_features_first(attack):
    """Fractional knapsack: with bounds, the worst L1 move spends epsilon on the largest weights until their room ends."""
    net, x, _, _ = linear(1)
    x = x.clamp(-1, 1)
    out, w = net(x).detach()[:, 0], net.weight.data[0]
    y = (out > 0).long()
    room = torch.where(-out.sign()[:, None] * w > 0, 1 - x, 1 + x)
    order = w.abs().argsort(descending=True)
    spent = room[:, order].cumsum(1)
    for epsilon in (0.5, 1.5):
        use = (epsilon - (spent - room[:, order])).clamp(min=0).minimum(room[:, order])
        radius = out.abs() / (use * w.abs()[order]).sum(1)
        found = attack.run(net, x, y, space=Space(-1, 1), epsilons=[epsilon])
        assert not found.success[0][radius > 1 + 1e-9].any()
        assert found.success[0][radius < 0.98].all()


@pytest.fixture(scope="module")
def cancer():
    """Return a small net trained on standardised breast_cancer, and its test data."""
    X, y = load_breast_cancer(return_X_y=True)
    X = torch.tensor((X - X.mean(0)) / X.std(0)).float()
    y, order = torch.tensor(y), torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    train, test = order[:350], order[350:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X[train]), y[train]).backward()
        optimizer.step()
    return net.eval(), X[test], y[test]


class Times(nn.Module):
    def __init__(self, net: nn.Module, by: float):
        super().__init__()
        self.net, self.by = net, by

    def forward(self, x):
        return self.net(x) * self.by


STRONG = [
    PGD(0.3, steps=20),
    APGD(0.3, steps=20),
    APGD(0.3, steps=20, targets=3),
    Ensemble(0.3, attacks=[APGD(steps=20), APGD(steps=20, targets=9), Square(queries=50)]),
]


@pytest.mark.parametrize("attack", STRONG, ids=repr)
def test_scaled_logits_change_nothing(attack, cancer):
    net, x, y = cancer
    found = [attack.run(Times(net, by), x, y) for by in (1.0, 100.0, 10_000.0)]
    accuracy = [f.robust_accuracy[0] for f in found]
    assert accuracy[0] < found[0].clean_accuracy - 0.2
    assert accuracy[0] == accuracy[1] == accuracy[2]
    assert found[2].saturated > 0.5
    assert "very large logits" in repr(found[2])


def test_stronger_attacks_are_never_milder(cancer):
    net, x, y = cancer
    attacks = (
        FGSM(0.3),
        PGD(0.3, steps=20),
        APGD(0.3, steps=50),
        Ensemble(0.3, attacks=[APGD(steps=50), Square(queries=50)]),
    )
    fgsm, pgd, apgd, ensemble = (a.run(net, x, y).robust_accuracy[0] for a in attacks)
    assert ensemble <= apgd <= pgd <= fgsm
