"""APGD: its checkpoints, its paces, its targets, and rows that leave once they have fallen."""

import pytest
import torch
from torch import nn

from hormesis.errors import SettingError
from hormesis.torch.attacks.apgd import APGD, Halving, Sparse, checkpoints
from hormesis.torch.attacks.gradient import PGD
from hormesis.torch.attacks.space import Space


def net(outputs: int = 4) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, outputs)).double()


def data(model: nn.Module, rows: int = 60):
    x = torch.randn(rows, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = model(x).detach()
    return x, out.argmax(1) if out.shape[1] > 1 else (out[:, 0] > 0).long()


def test_checkpoints_are_those_of_the_paper():
    """p0 = 0, p1 = 0.22, p(j+1) = p(j) + max(p(j) - p(j-1) - 0.03, 0.06)."""
    p = [0.0, 0.22]
    while p[-1] + max(p[-1] - p[-2] - 0.03, 0.06) <= 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    assert sorted(checkpoints(1000)) == [round(1000 * q) for q in p[1:]]
    assert max(checkpoints(7)) <= 7


def test_steps_are_halved_where_the_loss_stops_rising():
    ball = Space().ball(torch.zeros(2, 3), 0.5, "linf")
    pace = Halving(ball, ball.x, 10)
    at = ball.x
    for i in range(4):
        value = torch.tensor([float(i), 0.0])  # the first row rises, the second stands still
        at = pace.step(i, ball, at, torch.ones(2, 3), value)
    assert pace.size.tolist() == [1.0, 0.5]
    assert torch.equal(pace.top, torch.tensor([3.0, 0.0]))


def test_l1_steps_become_sparser_where_nothing_is_gained():
    ball = Space().ball(torch.zeros(1, 40), 1.0, "l1")
    pace = Sparse(ball, ball.x, 25)
    counts = []
    for i in range(12):
        pace.step(i, ball, ball.x, torch.linspace(1, 2, 40)[None], torch.zeros(1))
        counts.append(int(pace.most))
    assert counts[0] == 8
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("loss", ["auto", "ce", "dlr", "margin"])
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_every_loss_is_right_from_one_logit_on(norm, loss, outputs):
    model = net(outputs)
    x, y = data(model)
    epsilon = {"linf": 0.15, "l2": 0.4, "l1": 1.0}[norm]
    found = APGD(epsilon, norm=norm, loss=loss, steps=15).run(model, x, y)
    pgd = PGD(epsilon, norm=norm, steps=15).run(model, x, y)
    assert found.clean_accuracy == 1.0
    assert found.robust_accuracy[0] <= pgd.robust_accuracy[0] + 0.05
    assert found.robust_accuracy[0] < 0.9


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_regression_loss_rises_above_pgd(norm):
    model = net(1)
    x, _ = data(model)
    y = model(x).detach()[:, 0]
    apgd, pgd = (a.run(model, x, y) for a in (APGD(0.3, norm=norm, steps=40), PGD(0.3, norm=norm, steps=40)))
    assert apgd.mean_loss[0] > apgd.clean_height.mean()
    assert apgd.mean_loss[0] >= 0.99 * pgd.mean_loss[0]


def test_two_classes_with_targets_climb_the_margin():
    model = net(2)
    x, y = data(model)
    plain = APGD(0.1, steps=10, loss="margin").run(model, x, y)
    targeted = APGD(0.1, steps=10, targets=9).run(model, x, y)
    assert torch.equal(plain.success, targeted.success)
    assert torch.equal(plain.adversarial[0], targeted.adversarial[0]) or targeted.took[0].keys() == {
        "apgd-targeted"
    }


def test_targets_aim_at_the_most_probable_classes_in_turn():
    """Class 3 can be reached, class 2 is more probable but cannot: two targets find what one does not."""
    model = nn.Linear(2, 4, bias=True).double()
    model.weight.data = torch.tensor([[0.0, 0.0], [-9.0, -9.0], [0.0, 0.0], [5.0, 0.0]]).double()
    model.bias.data = torch.tensor([1.0, -50.0, 0.9, 0.0]).double()
    x, y = torch.zeros(3, 2).double(), torch.zeros(3, dtype=torch.long)
    one, two = (APGD(0.3, steps=10, targets=k).run(model, x, y) for k in (1, 2))
    assert one.robust_accuracy == (1.0,)
    assert two.robust_accuracy == (0.0,)
    assert two.queries.max() > one.queries.max()


def test_perturb_with_targets_takes_one_look_more():
    model = net()
    x, y = data(model)
    moved = APGD(0.2, steps=6, targets=3).perturb(model, x, y, generator=0)
    assert (model(moved).argmax(1) != y).double().mean() > 0.2


def test_fallen_rows_leave():
    model = net()
    x, y = data(model, 200)
    found = APGD(0.15, steps=40).run(model, x, y)
    stand = ~found.success[0]
    assert (found.queries[stand] == 42).all()
    assert found.queries[~stand].double().mean() < 15
    assert found.gradients[stand].unique().tolist() == [40]


def test_wrong_rows_are_not_attacked_and_restarts_see_survivors_only():
    model = net()
    x, y = data(model)
    y[:20] = (y[:20] + 1) % 4
    found = APGD(0.05, steps=5, restarts=3).run(model, x, y)
    assert (found.queries[:20] == 1).all()
    stand = ~found.success[0]
    assert (found.queries[stand] == 1 + 3 * 6).all()


def test_one_step_is_too_few():
    with pytest.raises(SettingError, match=r"APGD\(steps=1\)"):
        APGD(steps=1)
