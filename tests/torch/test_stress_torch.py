"""`stress` and `harden` take torch modules and skorch nets: any table in, the module left as it was."""

import threading

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from hormesis import NoisyTraining, harden, stress
from hormesis.errors import DataError, ModelError
from hormesis.guard import Guard
from hormesis.models import as_model
from hormesis.noise import GaussianNoise
from hormesis.torch import PGD
from hormesis.torch.doors.model import module_of, place
from hormesis.torch.doors.trainable import TorchEstimator

LEVELS = [0.3, 1.0]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = ((X - X.mean()) / X.std()).astype(np.float32)
    return X, y.to_numpy()


@pytest.fixture(scope="module")
def twin(cancer):
    """Return a logistic regression and the very same model as nets with one and with two logits."""
    X, y = cancer
    model = LogisticRegression(C=0.1).fit(X.to_numpy(np.float64), y)
    one, two = nn.Linear(30, 1).double(), nn.Linear(30, 2).double()
    with torch.no_grad():
        for net, rows in ((one, [1]), (two, [0, 1])):
            net.weight.copy_(torch.from_numpy(model.coef_ * np.array(rows)[:, None]))
            net.bias.copy_(torch.from_numpy(model.intercept_ * rows))
    return model, one, two


def scores(result):
    return [(c.clean, c.score, c.drop_low) for c in result.curves]


def test_a_net_scores_as_the_same_model_in_scikit_learn(cancer, twin):
    X, y = cancer
    model, one, two = twin
    array = X.to_numpy(np.float64)
    expected = scores(stress(model, array, y, noises="GaussianNoise", levels=LEVELS))
    for net in (one, two):
        for table in (pd.DataFrame(array), array, torch.tensor(array)):
            target = torch.tensor(y) if isinstance(table, torch.Tensor) else y
            (found,) = scores(stress(net, table, target, noises="GaussianNoise", levels=LEVELS))
            assert np.allclose(np.hstack(found), np.hstack(expected[0]), atol=1e-9)


def test_several_models_of_several_kinds_on_one_table(cancer, twin):
    X, y = cancer
    model, one, _ = twin
    found = stress({"sk": model, "net": one}, X.to_numpy(np.float64), y, noises="SwapNoise", levels=LEVELS)
    assert found.curves[0].score == pytest.approx(found.curves[1].score)


class Net(nn.Module):
    """A small image net with dropout, batch norm and a frozen part."""

    def __init__(self, outputs=10):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)
        )
        self.head = nn.Linear(144, outputs)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return torch.tensor(X / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), y


def test_images_keep_their_shape_and_the_module_its_state(digits):
    X, y = digits
    torch.manual_seed(0)
    net = Net().train()
    net.body[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    state = torch.get_rng_state()
    result = stress(
        net, X, y, noises=["GaussianNoise", "Shift"], levels=[0.5], max_rows=300, scoring="accuracy"
    )
    assert result.provenance.rows == 300
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    again = stress(
        net, X.numpy(), y, noises=["GaussianNoise", "Shift"], levels=[0.5], max_rows=300, scoring="accuracy"
    )
    assert scores(again) == scores(result)


def test_threads_do_not_switch_each_others_modes(digits):
    X, y = digits
    net = Net().train()
    model = as_model(net, X, y)
    expected = model.predict_proba(X)
    found = []
    threads = [threading.Thread(target=lambda: found.append(model.predict_proba(X))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(np.array_equal(f, expected) for f in found)
    assert net.training


def test_batches_change_nothing(digits, monkeypatch):
    X, y = digits
    model = as_model(Net(), X, y)
    whole = model.predict_proba(X)
    monkeypatch.setattr("hormesis.torch.doors.model.MOST_ROWS", 100)
    assert np.allclose(model.predict_proba(X), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "y", "expected"),
    [
        (3, [0, 2, 1, 0], [0, 1, 2]),
        (3, ["b", "a", "c", "a"], ["a", "b", "c"]),
        (3, [0, 1, 0, 1], [0, 1, 2]),
        (2, [False, True, True, False], [False, True]),
        (2, [-1, 1, 1, -1], [-1, 1]),
        (1, [5, 7, 5, 7], [5, 7]),
        (1, [0.0, 1.0, 1.0, 0.0], [0.0, 1.0]),
        (1, ["no", "yes", "no", "yes"], ["no", "yes"]),
    ],
)
def test_outputs_are_classes(outputs, y, expected):
    model = as_model(nn.Linear(2, outputs), np.zeros((4, 2)), np.array(y))
    assert model.classes_.tolist() == expected
    assert set(model.predict(np.zeros((4, 2))).tolist()) <= set(expected)
    assert model.predict_proba(np.zeros((4, 2))).shape == (4, max(outputs, 2))


@pytest.mark.parametrize("y", [[0.5, 1.5, 2.0, 3.0], [1, 2, 3, 4], [0.2, 0.7, 0.2, 0.7]])
def test_one_output_and_many_numbers_is_a_regression(y):
    model = as_model(nn.Linear(2, 1), np.zeros((4, 2)), np.array(y))
    assert model.hormesis_task == "regression"
    assert not hasattr(model, "predict_proba")


@pytest.mark.parametrize(
    ("outputs", "y", "said"),
    [(3, [0, 5, 1, 2], "number the classes 0 to 2"), (1, ["a", "b", "c", "a"], "one logit for each")],
)
def test_outputs_that_do_not_fit_are_refused(outputs, y, said):
    with pytest.raises(DataError, match=said):
        stress(nn.Linear(2, outputs), np.zeros((4, 2)), np.array(y))


def test_words_in_a_column_are_refused_by_name():
    X = pd.DataFrame({"a": [1.0, 2.0], "city": ["Bern", "Genf"]})
    with pytest.raises(DataError, match="Column `city` holds string values, and a net takes numbers"):
        stress(nn.Linear(2, 2), X, [0, 1])


def test_a_net_that_raises_is_told_before_any_noise(cancer):
    X, y = cancer
    with pytest.raises(ModelError, match="raises on the rows as they are"):
        stress(nn.Linear(7, 2), X, y)


def test_missing_values_are_a_crash_of_a_net_not_an_answer(cancer):
    X, y = cancer
    (curve,) = stress(nn.Linear(30, 2), X, y, noises="MissingValues", levels=[0.1], scoring="accuracy").curves
    assert "NaN" in curve.errors[0]


def test_tokens_stay_whole_numbers():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(20, 4), nn.Linear(4, 2)

        def forward(self, ids):
            return self.head(self.embed(ids).mean(1))

    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 20, (60, 5)))
    y = (ids.sum(1) > 47).long()
    result = stress(Words(), ids, y, noises="SwapNoise", levels=[0.3], scoring="accuracy")
    assert result.curves[0].errors == (None,)


def test_half_and_double_precision_follow_the_module(cancer):
    X, y = cancer
    for dtype in (torch.float64, torch.bfloat16):
        net = nn.Linear(30, 2).to(dtype)
        assert place(net) == (torch.device("cpu"), dtype)
        assert as_model(net, X, y).predict(X).shape == y.shape


def skorch_net(outputs=2, **settings):
    from skorch import NeuralNetClassifier

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, outputs))
    return NeuralNetClassifier(
        module, criterion=nn.CrossEntropyLoss, max_epochs=5, lr=0.1, verbose=0, train_split=None, **settings
    )


def test_a_fitted_skorch_net_takes_frames_of_any_precision(cancer):
    X, y = cancer
    net = skorch_net().fit(X.to_numpy().copy(), y)
    result = stress(net, X.astype(np.float64), y, noises=[GaussianNoise(), PGD(steps=3)], levels=[0.3])
    assert result.curves[0].clean > 0.9
    assert result.curves[1].score[0] < result.curves[0].score[0]
    with pytest.raises(ModelError, match="not fitted"):
        stress(skorch_net(), X, y)


def test_a_skorch_net_of_probabilities_is_attacked_through_their_logarithm(cancer):
    from skorch import NeuralNetClassifier

    X, y = cancer
    module = nn.Sequential(nn.Linear(30, 2), nn.Softmax(dim=1))
    net = NeuralNetClassifier(module, max_epochs=5, lr=0.1, verbose=0, train_split=None).fit(
        X.to_numpy().copy(), y
    )
    logits = as_model(net, X, y).module(torch.from_numpy(X.to_numpy().copy()))
    assert torch.allclose(logits.exp().sum(1), torch.ones(len(X)))


def test_skorch_in_pipelines_clones_and_noisy_training(cancer):
    X, y = cancer
    pipe = make_pipeline(StandardScaler(), skorch_net())
    model = NoisyTraining(clone(pipe), GaussianNoise(0.2), copies=1, random_state=0).fit(X.to_numpy(), y)
    assert model.score(X.to_numpy(), y) > 0.9
    found = stress(model, X.to_numpy(), y, noises="GaussianNoise", levels=[0.3])
    assert found.curves[0].errors == (None,)


def small(inputs, outputs):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, outputs))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("names", [[0, 1], ["benign", "malignant"]])
def test_a_bare_module_is_fitted_from_its_first_weights_every_time(cancer, outputs, names):
    X, y = cancer
    y, net = np.array(names)[y], small(30, outputs)
    before, state = net[0].weight.clone(), torch.get_rng_state()
    made = TorchEstimator.of(net, (30,), y, 0).set_params(steps=150)
    assert is_classifier(made)
    first = made.fit(X, y).predict_proba(X)
    assert np.array_equal(clone(made).fit(X, y).predict_proba(X), first)
    assert not np.array_equal(clone(made).set_params(random_state=1).fit(X, y).predict_proba(X), first)
    assert torch.equal(net[0].weight, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert (made.predict(X) == y).mean() > 0.95


@pytest.mark.parametrize("head", [nn.Identity(), nn.Flatten(0)])
def test_a_bare_module_learns_numbers_in_their_own_units(head):
    X, y = load_diabetes(return_X_y=True)
    X = (X / X.std(axis=0)).astype(np.float32)
    made = TorchEstimator.of(nn.Sequential(small(10, 1), head), (10,), y, 0).set_params(steps=300).fit(X, y)
    assert is_regressor(made)
    assert not hasattr(made, "predict_proba")
    said = made.predict(X)
    assert 1 - ((said - y) ** 2).mean() / y.var() > 0.4
    assert np.allclose(made.module(torch.from_numpy(X)).detach().numpy(), said, rtol=1e-4)


def test_the_same_number_of_steps_for_any_number_of_rows(cancer):
    X, y = cancer
    made = TorchEstimator(small(30, 2), steps=40, batch_size=64)
    few, many = (clone(made).fit(X[:n], y[:n]).net_ for n in (128, 512))
    assert [len(n.history) for n in (few, many)] == [20, 5]


def test_outputs_and_classes_must_fit_in_training(cancer):
    X, y = cancer
    with pytest.raises(DataError, match="2 logits per row, and the target holds 3"):
        TorchEstimator(small(30, 2)).fit(X, np.arange(len(y)) % 3)
    with pytest.raises(DataError, match="a regression needs one"):
        TorchEstimator(small(30, 2), "regression").fit(X, y * 1.5)


def test_the_module_inside_is_found_behind_noise_and_guard(cancer):
    X, y = cancer
    made = make_pipeline(Guard(), TorchEstimator(small(30, 2), steps=10))
    model = NoisyTraining(made, GaussianNoise(0.1), copies=1, random_state=0).fit(X.to_numpy(), y)
    x = torch.from_numpy(X.to_numpy().copy())
    assert torch.allclose(
        module_of(model, range(30))(x).softmax(1).double(),
        torch.from_numpy(model.predict_proba(x)),
        atol=1e-6,
    )


def test_harden_takes_a_module_and_proves_it_against_an_attack(digits, monkeypatch):
    monkeypatch.setitem(TorchEstimator.__init__.__kwdefaults__, "steps", 60)
    X, y = digits
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    result = harden(
        net, X[:600], y[:600], noises="GaussianNoise", held_out=[PGD(steps=3)], doses={"sigma": [0.6]},
        levels=[0.5], cv=2, copies=1, max_clean_drop=0.1, search_rows=300,
    )  # fmt: skip
    assert result.held_out == ("pgd",)
    assert {c.noise for c in result.proof.curves} == {"gaussian-noise", "pgd"}
    assert result.model.predict(X[:5]).shape == (5,)
    flat = X.reshape(len(X), -1).numpy()
    assert np.array_equal(result.model.predict(X[:50]), result.model.predict(flat[:50]))


def test_an_attack_cannot_be_searched(cancer):
    X, y = cancer
    from hormesis.errors import SettingError

    with pytest.raises(SettingError, match="give it as `held_out`"):
        harden(small(30, 2), X, y, noises=[PGD()])


def test_attacks_in_threads_are_those_in_turn(cancer):
    X, y = cancer
    net = nn.Sequential(nn.BatchNorm1d(30), small(30, 2)).train()
    runs = [
        stress(
            net,
            X,
            y,
            noises=[PGD(steps=3), GaussianNoise()],
            levels=[0.1, 0.2, 0.3],
            n_jobs=n,
            scoring="accuracy",
        )
        for n in (None, 3)
    ]
    assert scores(runs[0]) == scores(runs[1])
    assert all(m.training for m in net.modules())


def halting(module, on):
    """Press Ctrl-C in a forward pass of training."""
    calls = []

    def press(net, _):
        if net.training:
            calls.append(1)
            if len(calls) == on:
                raise KeyboardInterrupt

    module.register_forward_pre_hook(press)
    module.__deepcopy__ = lambda _: module  # the hook counts over all copies
    return module


class Halt(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_ctrl_c_in_a_skorch_net_reaches_the_caller(cancer):
    X, y = cancer
    made = TorchEstimator(skorch_net(callbacks=[Halt()]))
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, y)
    assert len(made.net_.history) == 2
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(made, X, y, cv=2, scoring="accuracy")


def test_ctrl_c_in_a_bare_module_reaches_the_caller(cancer):
    X, y = cancer
    made = TorchEstimator(halting(small(30, 2), on=7), steps=20)
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, y)


def test_early_stopping_of_a_skorch_net_is_no_interruption(cancer):
    X, y = cancer
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda *_: None)
    assert len(TorchEstimator(skorch_net(callbacks=[stop])).fit(X, y).net_.history) < 5


@pytest.mark.parametrize("net", ["skorch", "module"])
def test_diverged_training_is_an_error_and_nothing_is_fitted(cancer, net):
    X, y = cancer
    net = skorch_net().set_params(lr=1e36) if net == "skorch" else small(30, 2)
    made = TorchEstimator(net, steps=20, lr=1e36)
    with pytest.raises(ModelError, match=r"Training diverged: .* not finite; lower lr=1e\+36"):
        made.fit(X, y)
    with pytest.raises(NotFittedError):
        made.predict(X)


def test_ctrl_c_in_the_training_of_a_net_ends_harden_with_what_it_found(cancer, monkeypatch):
    monkeypatch.setitem(TorchEstimator.__init__.__kwdefaults__, "steps", 20)
    X, y = cancer
    result = harden(
        skorch_net(callbacks=[Halt()]), X, y, noises="GaussianNoise", levels=[0.5], cv=2, copies=1, search_rows=200
    )  # fmt: skip
    assert "interrupted during the search" in result.proof.notes
    assert result.model is None
    net = halting(small(30, 2), on=50)
    result = harden(net, X, y, noises="GaussianNoise", levels=[0.5], cv=2, copies=1, search_rows=200)
    assert "interrupted during the search" in result.proof.notes
