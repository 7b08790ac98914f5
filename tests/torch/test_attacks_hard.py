"""Inputs, labels and models that are hard for an attack: right numbers, or one sentence."""

import dataclasses
import gc
import math

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from hormesis.errors import DataError, ModelError, SettingError
from hormesis.torch import APGD, FGSM, PGD, Ensemble, Smoothed, Space, Square, attacking, trades_loss

ATTACKS = [
    FGSM(0.2),
    PGD(0.2, steps=4),
    PGD(0.2, steps=4, norm="l2"),
    PGD(0.2, steps=4, norm="l1"),
    APGD(0.2, steps=5),
    APGD(0.2, steps=5, norm="l2"),
    APGD(0.2, steps=5, norm="l1"),
    APGD(0.2, steps=5, targets=2),
    Square(0.2, queries=20),
    Square(0.2, queries=20, norm="l2"),
    Ensemble(0.2, attacks=[APGD(steps=4), APGD(steps=4, targets=2), Square(queries=10)]),
]
every = pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{type(a).__name__}-{a.norm}")


def linear(outputs: int = 3, inputs: int = 4) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    with torch.no_grad():
        made.weight.normal_(generator=torch.Generator().manual_seed(3))
        made.bias.zero_()
    return made


X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
Y = linear()(X).argmax(1)


@every
def test_an_answer_of_nan_is_wrong(attack):
    def half_blind(x):
        return torch.where(x[:, :1] > 0, torch.nan, linear()(x))

    found = attack.run(half_blind, X, half_blind(X).nan_to_num(0).argmax(1))
    blind = X[:, 0] > 0
    assert found.clean.equal(~blind)
    assert found.success[0][blind].all()
    assert any("answers NaN" in note for note in found.notes)


@every
@pytest.mark.parametrize("labels", ["whole", "float"])
def test_multilabel_success_is_what_the_model_really_gets_wrong(attack, labels):
    net = linear()
    y = (net(X) > 0).long()
    if labels == "float":
        attack, y = dataclasses.replace(attack, loss="bce"), y.float()
    found = attack.run(net, X, y)
    wrong = ((net(found.adversarial[0]) > 0) != (y > 0)).any(1)
    assert found.success[0].equal(wrong)
    assert 0 < found.robust_accuracy[0] < 1


def test_multilabel_default_reaches_the_nearest_label():
    net = linear()
    y = (net(X) > 0).long()
    radius = (net(X).abs() / net.weight.abs().sum(1)).amin(1)
    found = PGD(0.2, steps=20).run(net, X, y)
    assert found.robust_accuracy[0] == pytest.approx(float((radius > 0.2).double().mean()))


@pytest.mark.parametrize("one", [False, True], ids=["classes", "one logit"])
@every
def test_segmentation_success_is_any_wrong_pixel(attack, one):
    net = nn.Conv2d(3, 1 if one else 4, 3, padding=1)
    with torch.no_grad():
        net.weight.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    y = (net(x) > 0).long() if one else net(x).argmax(1)
    found = attack.run(net, x, y)
    said = net(found.adversarial[0])
    wrong = ((said > 0) != (y > 0)) if one else said.argmax(1) != y
    assert found.success[0].equal(wrong.flatten(1).any(1))


@every
@pytest.mark.parametrize("flat", [False, True])
def test_half_precision_stays_finite(attack, flat):
    net = linear().half()
    if flat:
        net.weight.data.zero_()
    found = attack.run(net, X.half(), Y, epsilons=[0.0, 1e-4, 0.2])
    assert all(torch.isfinite(x).all() for x in (*found.adversarial, attack.perturb(net, X.half(), Y)))
    with pytest.raises(SettingError, match="can hold"):
        attack.run(net, X.half(), Y, epsilons=[1e6])


@every
def test_epsilon_zero_and_no_rows_come_back_as_they_were(attack):
    assert dataclasses.replace(attack, epsilon=0.0).perturb(linear(), X, Y).equal(X)
    assert attack.perturb(linear(), X[:0], Y[:0]).shape == (0, 4)


@every
def test_labels_of_any_kind_and_any_batch_give_one_answer(attack):
    said = attack.run(linear(), X, Y).success
    for y in (Y.int(), Y.to(torch.uint8), Y.numpy(), Y.tolist()):
        assert attack.run(linear(), X, y).success.equal(said)
    assert attack.run(linear(), X, Y, batch_size=1).success.equal(said)
    assert attack.run(linear(), X.T.contiguous().T, Y).success.equal(said)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"epsilons": [math.inf]}, "finite"),
        ({"epsilons": [math.nan]}, "finite"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"space": Space(scale=math.nan)}, "scale is 0 or more"),
        ({"space": Space(scale=math.inf)}, "scale is 0 or more"),
        ({"space": Space(frozen=[0, 3, 1, 2])}, "one bool for each"),
        ({"space": Space(low=math.nan)}, "outside the space's bounds"),
        ({"space": Space(frozen=[True, False])}, "has shape"),
        ({"space": Space(groups=[(0, 9)])}, "groups are feature numbers"),
        ({"row_ids": torch.arange(3)}, "3 row ids"),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_give_one_sentence(given, match):
    with pytest.raises((SettingError, DataError), match=match):
        PGD(0.1).run(linear(), X, Y, **given)


def test_a_mapping_may_hold_what_has_no_rows():
    def net(x, flag, names, scale):
        assert flag
        assert len(names) == 2
        return linear()(x) * scale

    batch = {"x": X, "flag": True, "names": ["a", "b"], "scale": torch.ones(3)}
    settings = {"part": "x", "batch_size": 7}
    found = Ensemble(0.2, attacks=ATTACKS[-1].attacks).run(net, batch, Y, **settings)
    assert found.success.equal(ATTACKS[-1].run(linear(), X, Y, batch_size=7).success)


class Blind(nn.Module):
    def forward(self, x):
        return linear()(x.detach()).detach()


def test_an_ensemble_without_gradients_looks_at_answers():
    found = ATTACKS[-1].run(Blind(), X, Y)
    alone = Square(0.2, queries=10).run(Blind(), X, Y)
    assert found.success.equal(alone.success)
    assert "only attacks on its answers" in found.notes[0]
    assert not ATTACKS[-1].perturb(Blind(), X, Y, generator=0).equal(X)
    with pytest.raises(ModelError, match="no gradient"):
        Ensemble(0.2, attacks=[APGD(steps=3)]).run(Blind(), X, Y)


def test_an_ensemble_attacks_a_forest():
    forest = RandomForestClassifier(5, random_state=0).fit(X.numpy(), Y.numpy())
    found = Ensemble(0.3).run(forest.predict_proba, X.numpy(), Y.numpy())
    assert found.robust_accuracy[0] < found.clean_accuracy


@pytest.mark.parametrize("rows", [1, 20])
def test_an_ensemble_refuses_batch_statistics_in_train_mode(rows):
    net = nn.Sequential(nn.BatchNorm1d(4), linear())
    with pytest.raises(SettingError, match="survivors only"):
        ATTACKS[-1].perturb(net.train(), X[:rows], Y[:rows], mode="keep")
    assert ATTACKS[-1].perturb(net.eval(), X[:rows], Y[:rows], mode="keep").shape == (rows, 4)
    dropped = nn.Sequential(nn.Dropout(0.1), linear()).train()
    assert ATTACKS[-1].perturb(dropped, X[:rows], Y[:rows], mode="keep").shape == (rows, 4)


def test_a_buffer_that_holds_nan_is_put_back():
    net = nn.Sequential(nn.BatchNorm1d(4), linear()).train()
    net[0].running_var[0] = torch.nan
    before = net[0].running_var.clone()
    with attacking(net, mode="keep") as quiet:
        quiet(X)
    assert torch.equal(net[0].running_var.nan_to_num(9), before.nan_to_num(9))


@pytest.mark.parametrize("seed", range(100, 140))
def test_an_untrained_net_of_one_logit_can_be_attacked(seed):
    net, drawn = nn.Linear(4, 1), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.weight.normal_(std=0.02, generator=drawn)
        net.bias.uniform_(0, 1, generator=drawn)
    y = (X[:, 0] > 0).long()
    PGD(0.1, steps=1).perturb(net, X, y)


def test_logits_between_0_and_1_can_be_certified():
    found = Smoothed(lambda x: 0.5 + 0.05 * x[:, :1], 0.25, classes=2).certify(torch.zeros(12, 2), n=200)
    assert (found.labels == 1).all()


def test_trades_refuses_to_start_where_its_divergence_is_flat():
    with pytest.raises(SettingError, match="random_start=True"):
        trades_loss(linear(), X, Y, attack=FGSM(0.1))


@every
def test_two_hundred_calls_keep_nothing_alive(attack):
    net = linear()
    rounds = []
    for _ in range(2):
        for _ in range(100 if type(attack) in (FGSM, PGD) else 15):
            attack.perturb(net, X, Y, generator=0)
            attack.run(net, X[:5], Y[:5])
        gc.collect()
        rounds.append(sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()))
    assert rounds[1] <= rounds[0]


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.rows = linear(), 0

    def forward(self, x):
        self.rows += len(x)
        return self.inner(x)


def test_of_many_sizes_each_attacks_survivors_only():
    net = Counting()
    y = torch.where(torch.arange(20) % 5 == 0, (Y + 1) % 3, Y)
    found = PGD(0.1, steps=3).run(net, X, y, epsilons=[0.5, 0.1, 0.1, 0.3])
    standing = [int(found.clean.sum()), *(int((~row).sum()) for row in found.success[:-1])]
    assert found.epsilons == (0.1, 0.3, 0.5)
    assert net.rows == 20 + sum(standing) * (3 + 1) == int(found.queries.sum())


def test_numpy_and_tensor_labels_beside_a_regression():
    net = linear(1)
    y = np.linspace(-1, 1, 20).astype(np.float32)
    assert PGD(0.1).run(net, X, y).mean_loss == PGD(0.1).run(net, X, torch.from_numpy(y)).mean_loss
