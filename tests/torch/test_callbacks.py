import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback

from hormesis.errors import SettingError
from hormesis.torch.attacks.gradient import PGD
from hormesis.torch.attacks.space import Space
from hormesis.torch.layers.cells import GaussianNoise
from hormesis.torch.nets.callbacks import DoseWarmup, OverfittingStop, RobustnessLog, robustness
from hormesis.torch.nets.estimators import TabularNetClassifier

KEYS = ("clean_acc", "gaussian_acc", "fgsm_acc", "pgd_acc")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X.astype(np.float32), y


def net(**given):
    return TabularNetClassifier(**({"hidden": (16,), "epochs": 4, "lr": 1e-2, "random_state": 0} | given))


def test_log_tells_clean_noisy_and_worst_accuracy_with_the_number_of_rows(cancer):
    trained = net(validation_fraction=0.3, callbacks=[RobustnessLog(sigma=0.5, epsilon=0.2, every=2)]).fit(
        *cancer
    )
    history = trained.history_
    measured = [e for e in history if "pgd_acc" in e]
    assert [e["epoch"] for e in measured] == [2, 4]
    assert all(e["rows"] == 171 for e in measured)
    assert all(
        e["clean_acc"] >= e["gaussian_acc"] - 0.05 and e["clean_acc"] >= e["pgd_acc"] for e in measured
    )
    assert measured[-1]["clean_acc"] == pytest.approx(history[-1, "valid_acc"])


def test_log_measures_as_an_attack_by_hand_does(cancer):
    X, y = cancer[0][400:], cancer[1][400:]
    trained = net(callbacks=[RobustnessLog(epsilon=0.2, X=X, y=y, steps=5)]).fit(
        cancer[0][:400], cancer[1][:400]
    )
    x, labels = torch.tensor(X), torch.tensor(y)
    space = Space(scale=torch.as_tensor(Space.learn(x).scale, dtype=torch.float32))
    by_hand = PGD(0.2, steps=5).run(trained.module, x, labels, space=space, seed=0).robust_accuracy[0]
    assert trained.history_[-1, "pgd_acc"] == float(by_hand)


def test_log_leaves_training_as_it_was(cancer):
    given = {"validation_fraction": 0.2, "gaussian_noise": 0.3, "dropout": 0.2, "mixup": 0.5}
    before = torch.get_rng_state()
    nets = [net(callbacks=c, **given).fit(*cancer) for c in (None, [RobustnessLog(0.3, 0.1)])]
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(*(n.module.state_dict().values() for n in nets), strict=True):
        assert torch.equal(a, b)


def test_measuring_keeps_mode_and_gradients_of_any_model():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).train()
    model[1].eval()
    model(torch.zeros(2, 4)).sum().backward()
    grads = [p.grad.clone() for p in model.parameters()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    robustness(model, torch.zeros(5, 4), torch.zeros(5).long(), sigma=1.0, attacks=[PGD(0.1, steps=2)])
    assert [m.training for m in model] == [True, False, True]
    assert all(torch.equal(g, p.grad) for g, p in zip(grads, model.parameters(), strict=True))
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())


def test_log_works_in_a_skorch_net_of_your_own():
    X, y = load_iris(return_X_y=True)
    with torch.random.fork_rng(devices=[]):
        own = NeuralNetClassifier(
            torch.nn.Linear(4, 3), criterion=torch.nn.CrossEntropyLoss, max_epochs=2, verbose=0,
            callbacks=[RobustnessLog(0.2, 0.05)],
        ).fit(X.astype(np.float32), y)  # fmt: skip
    assert all(0 <= own.history[-1, key] <= 1 for key in KEYS)


def test_log_without_validation_rows_says_so(cancer):
    with pytest.raises(SettingError, match=r"validation_fraction=0\.1"):
        net(callbacks=[RobustnessLog()]).fit(*cancer)


def test_log_takes_missing_values(cancer):
    X = cancer[0].copy()
    X[::7, 3] = np.nan
    trained = net(validation_fraction=0.3, callbacks=[RobustnessLog(0.2, 0.1)]).fit(X, cancer[1])
    assert trained.history_[-1, "clean_acc"] > 0.8


def test_callbacks_can_be_cloned():
    assert clone(net(callbacks=[RobustnessLog(0.2, 0.1)])).callbacks[0].sigma == 0.2


class Collapse(Callback):
    """Break a net in an epoch, as overfitting to one step does: right where nobody pushes, wrong where PGD does."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            with torch.no_grad():
                for p in net.module_.answer.parameters():
                    p.mul_(-1)


def test_overfitting_alarm_stops_with_a_message_and_goes_back(cancer):
    stop = OverfittingStop(0.05, scale=torch.as_tensor(Space.learn(cancer[0]).scale), batches=1)
    given = {"epochs": 9, "adversarial": PGD(0.05, steps=1)}
    with pytest.warns(
        UserWarning, match=r"overfitted in epoch 5: accuracy under PGD .* fell from 0\.\d\d to 0\.\d\d"
    ):
        stopped = net(callbacks=[Collapse(5), stop], **given).fit(*cancer)
    assert len(stopped.history_) == 5
    well = net(**given | {"epochs": 4}).fit(*cancer)
    for a, b in zip(stopped.module.parameters(), well.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_fast_adversarial_training_has_the_alarm_and_it_is_silent_where_all_is_well(cancer):
    trained = net(adversarial="fgsm", epsilon=0.1, epochs=12, batch_size=64).fit(*cancer)
    checks = [e["pgd_train_acc"] for e in trained.history_ if "pgd_train_acc" in e]
    assert len(checks) == 12 // -(-50 // 9)
    assert len(trained.history_) == 12


def test_doses_rise_in_a_net_of_your_own():
    X, y = load_iris(return_X_y=True)
    levels = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            levels.append(net.module_[0].level)

    with torch.random.fork_rng(devices=[]):
        module = torch.nn.Sequential(GaussianNoise(0.8), torch.nn.Linear(4, 3))
        own = NeuralNetClassifier(
            module,
            criterion=torch.nn.CrossEntropyLoss,
            max_epochs=5,
            verbose=0,
            callbacks=[DoseWarmup(4), Look()],
        ).fit(X.astype(np.float32), y)
    assert levels == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert own.module_[0].level == 0.8
