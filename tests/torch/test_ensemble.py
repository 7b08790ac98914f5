"""Ensemble: survivors only, a ledger of who felled whom, and warnings where the number cannot be trusted."""

import pytest
import torch
from torch import nn

from hormesis.errors import SettingError
from hormesis.torch.attacks.apgd import APGD
from hormesis.torch.attacks.ensemble import Ensemble
from hormesis.torch.attacks.gradient import FGSM, PGD
from hormesis.torch.attacks.square import Square

FEW = [APGD(steps=6), APGD(steps=6, targets=3), Square(queries=10)]


def net(outputs: int = 4) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, outputs)).eval()


def data(model: nn.Module, rows: int = 80):
    x = torch.randn(rows, 10, generator=torch.Generator().manual_seed(0))
    return x, model(x).argmax(1)


class Sizes(nn.Module):
    """Remembers how many rows each pass had."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.seen = inner, []

    def forward(self, x):
        self.seen.append(len(x))
        return self.inner(x)


def test_each_attack_sees_survivors_only():
    model = Sizes(net())
    x, y = data(model.inner)
    found = Ensemble(0.15, attacks=[PGD(steps=3), PGD(steps=4), Square(queries=5)]).run(model, x, y)
    took = found.took[0]
    assert list(took) == ["pgd", "pgd 2", "square"]
    after_first = 80 - took["pgd"]
    after_second = after_first - took["pgd 2"]
    assert model.seen[:5] == [80] * 5
    assert model.seen[5:10] == [after_first] * 5
    assert model.seen[10] == after_second
    assert sum(took.values()) == int(found.success[0].sum())


def test_the_ledger_is_in_the_notes():
    model = net()
    x, y = data(model)
    found = Ensemble(0.1, attacks=FEW).run(model, x, y, epsilons=[0.05, 0.15])
    assert len(found.notes) == 2
    for k, note in enumerate(found.notes):
        assert note.endswith(f"{int((~found.success[k]).sum())} of 80 rows stand")
        assert sum(found.took[k].values()) == int(found.success[k].sum())
    assert "note: at epsilon 0.05: apgd felled" in repr(found)


def test_never_milder_than_its_members():
    model = net()
    x, y = data(model)
    whole = Ensemble(0.1, attacks=FEW).run(model, x, y).success
    for each in FEW:  # with the same draws: no row that a member fells is left standing
        assert (whole >= each.run(model, x, y, epsilons=[0.1]).success).all()


def test_members_by_default():
    assert [m.name for m in Ensemble().members()] == ["apgd", "apgd", "square"]
    assert [m.norm for m in Ensemble(norm="l1").members()] == ["l1", "l1"]
    assert Ensemble(loss="dlr").members()[0].loss == "dlr"


def test_norms_must_agree():
    with pytest.raises(SettingError, match=r"holds PGD with norm 'l2'"):
        Ensemble(0.1, attacks=[PGD(norm="l2")]).run(net(), *data(net()))


@pytest.mark.parametrize("outputs", [1, 2])
def test_regression_one_logit_and_two_classes(outputs):
    model = net(outputs)
    x, _ = data(model)
    y = model(x).detach()[:, 0] if outputs == 1 else model(x).argmax(1)
    found = Ensemble(0.1, attacks=FEW).run(model, x, y)
    if outputs == 1:
        assert found.mean_loss[0] > 0
        assert found.notes == ()
        labels = (y > 0).long()
        assert Ensemble(0.1, attacks=FEW).run(model, x, labels).robust_accuracy[0] < 1
    else:
        assert found.robust_accuracy[0] < 1


class Softmax(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).softmax(1)


class Noisy(nn.Module):
    """Answers at random, from a generator of its own."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.drawn = inner, torch.Generator().manual_seed(0)

    def forward(self, x):
        return self.inner(x + 0.3 * torch.randn(x.shape, generator=self.drawn))


class Neighbourly(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x - x.mean(0))


class Adapting(nn.Module):
    """Changes itself a little whenever it is asked."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, x):
        self.asked += 1
        return self.inner(x)


class Rounding(nn.Module):
    """Hides gradients: rounding has none, and one feature keeps the graph alive."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner((x * 20).round() / 20)


FLAGS = {
    Softmax: "answers probabilities",
    Noisy: "the model is random",
    Neighbourly: "depends on the other rows",
    Adapting: "changes its own parameters or buffers",
    Rounding: "no gradient at all on",
}


@pytest.mark.parametrize("kind", FLAGS)
def test_flags(kind):
    inner = net()
    x, y = data(inner)
    found = Ensemble(0.1, attacks=FEW).run(kind(inner), x, y)
    said = " ".join(found.notes)
    assert FLAGS[kind] in said
    assert [flag for flag in FLAGS.values() if flag in said] == [FLAGS[kind]]


def test_an_honest_model_has_no_flags():
    model = net()
    found = Ensemble(0.1, attacks=FEW).run(model, *data(model))
    assert [n for n in found.notes if not n.startswith("at epsilon")] == []


def test_square_beats_gradients_where_they_are_hidden():
    inner = net()
    x, y = data(inner)
    found = Ensemble(0.2, attacks=[APGD(steps=6), Square(queries=40)]).run(Rounding(inner), x, y)
    assert found.took[0]["square"] > 0
    assert any("gradients mislead on this model" in n for n in found.notes)


def test_cheap_attacks_first_save_passes():
    """The whole ensemble costs little more than its survivors do."""
    model = net()
    x, y = data(model, 200)
    found = Ensemble(0.3, attacks=[FGSM(), *FEW]).run(model, x, y)
    fallen = found.success[0]
    assert fallen.double().mean() > 0.5
    assert found.queries[fallen].double().mean() < 0.3 * found.queries[~fallen].double().mean()
