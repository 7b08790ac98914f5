"""TRADES, free and fast adversarial training: passes counted, gains measured, the alarm heard."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from hormesis.errors import SettingError
from hormesis.torch import FGSM, PGD, FreeTraining, OverfittingAlarm, Space, trades_loss
from hormesis.torch.attacks.training import fit_loss

IMAGE = Space.image()


class Counted(nn.Module):
    """Count the passes forward and backward of a model."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.forwards, self.backwards = inner, 0, 0

    def forward(self, x):
        self.forwards += 1
        out = self.inner(x)
        if out.requires_grad:
            out.register_hook(self._back)
        return out

    def _back(self, gradient):
        self.backwards += 1


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X, y = torch.tensor(X / 16).float(), torch.tensor(y)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    return X[order[:1078]], y[order[:1078]], X[order[1078:]], y[order[1078:]]


def mlp(seed=0, classes=10):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, classes)
        )


def train(net, X, y, move=None, epochs=15, seed=0):
    optimizer, shuffle = torch.optim.Adam(net.parameters(), 2e-3), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(y), generator=shuffle).split(64):
            x = X[rows] if move is None else move(net, X[rows], y[rows])
            optimizer.zero_grad()
            F.cross_entropy(net(x), y[rows]).backward()
            optimizer.step()
    return net


def robust(net, X, y):
    return PGD(0.1, steps=20).run(net, X, y, space=IMAGE).robust_accuracy[0]


@pytest.mark.parametrize("normed", [False, True], ids=["plain", "batchnorm"])
@pytest.mark.parametrize("k", [1, 10])
def test_trades_takes_k_plus_2_forward_and_k_plus_1_backward(k, normed):
    inner = nn.Sequential(nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if normed else []), nn.Linear(8, 3))
    net = Counted(inner).train()
    loss = trades_loss(
        net, torch.randn(6, 4), torch.tensor([0, 1, 2] * 2), attack=PGD(0.1, steps=k), generator=0
    )
    loss.backward()
    # the last pass backward goes through two outputs, the clean and the adversarial one, at once
    assert (net.forwards, net.backwards) == (k + 2, k + 2)
    assert net.training
    assert all(p.grad is not None for p in net.parameters())


def test_trades_without_beta_is_the_plain_loss():
    net, x, y = mlp(), torch.rand(8, 64), torch.arange(8)
    assert torch.equal(trades_loss(net, x, y, beta=0.0, generator=0), F.cross_entropy(net(x), y))


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_trades_is_never_below_the_plain_loss(outputs):
    net, x = mlp(classes=outputs), torch.rand(8, 64)
    y = torch.arange(8) % max(outputs, 2)
    net = net if outputs > 1 else nn.Sequential(net, nn.Flatten(0))
    assert trades_loss(net, x, y, generator=0) >= fit_loss(net(x), y)


def test_trades_takes_a_regression():
    net, x, y = mlp(classes=1), torch.rand(8, 64), torch.linspace(0.5, 3, 8)
    loss = trades_loss(net, x, y, generator=0)
    loss.backward()
    assert loss > F.mse_loss(net(x).flatten(), y)


def test_adversarial_training_by_one_step_seven_steps_trades_and_free_all_harden(digits):
    X, y, X_test, y_test = digits
    plain = robust(train(mlp(), X, y), X_test, y_test)
    fast = FGSM(0.1, random_start=True, step_size=0.125)
    g = torch.Generator().manual_seed(1)

    def by(attack):
        return lambda net, x, t: attack.perturb(net, x, t, space=IMAGE, generator=g)

    one = robust(train(mlp(), X, y, by(fast)), X_test, y_test)
    seven = robust(train(mlp(), X, y, by(PGD(0.1, steps=7))), X_test, y_test)
    # 719 rows: two standard errors of a difference of paired shares are below 0.04
    assert plain < 0.5
    assert seven > plain + 0.2
    assert abs(one - seven) < 0.06

    free, net = FreeTraining(0.1, replays=4, space=IMAGE, generator=2), mlp()
    optimizer, shuffle = torch.optim.Adam(net.parameters(), 2e-3), torch.Generator().manual_seed(0)
    for _ in range(4):
        for rows in torch.randperm(len(y), generator=shuffle).split(64):
            for loss in free.losses(net, X[rows], y[rows], F.cross_entropy):
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    assert robust(net, X_test, y_test) > plain + 0.1

    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(10):
        for rows in torch.randperm(len(y), generator=shuffle).split(64):
            optimizer.zero_grad()
            trades_loss(net, X[rows], y[rows], attack=PGD(0.1, steps=5), space=IMAGE, generator=g).backward()
            optimizer.step()
    assert robust(net, X_test, y_test) > plain + 0.15


def test_free_training_takes_one_pass_each_way_per_replay_and_keeps_the_input():
    net, x, y = Counted(nn.Linear(4, 3)), torch.rand(6, 4), torch.tensor([0, 1, 2] * 2)
    before, free = x.clone(), FreeTraining(0.1, replays=3, generator=0)
    for loss in free.losses(net, x, y):
        loss.backward()
    assert (net.forwards, net.backwards) == (3, 3)
    assert torch.equal(x, before)
    assert free.moves.abs().max() <= 0.1 + 1e-6


def test_free_training_without_backward_says_so():
    with pytest.raises(SettingError, match="backward"):
        for _ in FreeTraining(0.1, replays=2, generator=0).losses(
            nn.Linear(2, 2), torch.rand(3, 2), torch.tensor([0, 1, 0])
        ):
            pass


def test_the_alarm_rings_on_a_collapse_and_leaves_the_model_alone(digits):
    X, y, _, _ = digits
    alarm = OverfittingAlarm(PGD(0.1, steps=10), space=IMAGE)
    hard = train(mlp(), X, y, lambda n, x, t: FGSM(0.1).perturb(n, x, t, space=IMAGE)).train()
    assert not alarm.check(hard, X[:128], y[:128])
    assert alarm.check(mlp(seed=5), X[:128], y[:128])
    assert hard.training
    assert len(alarm.history) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: trades_loss(nn.Linear(2, 2), torch.zeros(1, 2), torch.tensor([0]), beta=-1), "beta=-1"),
        (lambda: FreeTraining(-0.1), "-0.1"),
        (lambda: FreeTraining(0.1, replays=0), "replays=0"),
        (lambda: OverfittingAlarm(PGD(0.1), drop=7), "drop=7"),
    ],
)
def test_bad_settings_get_one_sentence(call, said):
    with pytest.raises(SettingError, match=said):
        call()
