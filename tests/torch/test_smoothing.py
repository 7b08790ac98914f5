"""Randomised smoothing against the exact radius of linear models, its own risk, and its promises of memory and seeds."""

import random
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hormesis import theory
from hormesis.errors import DataError, ModelError, RowIdError, SettingError
from hormesis.key import key, lane, uniform

torch = pytest.importorskip("torch")
from hormesis.torch.smoothing import Smoothed  # noqa: E402

PHI, QUANTILE = NormalDist().cdf, NormalDist().inv_cdf
RISK = 1e-6


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = LogisticRegression(C=0.05, max_iter=5000).fit(X, y)
    return X, y, model, theory.linear_radius(model, X, y)


def linear_net(model, outputs=1):
    net = torch.nn.Linear(30, outputs).double()
    w, b = torch.tensor(model.coef_), torch.tensor(model.intercept_)
    weights = (w, b) if outputs == 1 else (torch.cat([-w, w]) / 2, torch.cat([-b, b]) / 2)
    net.load_state_dict(dict(zip(("weight", "bias"), weights, strict=True)))
    return net


def by_sign(X):
    return (X.reshape(len(X), -1)[:, 0] > 0).astype(int)


# against the truth


@pytest.mark.parametrize(("sigma", "listed"), [(0.25, 0.9529), (0.5, 1.7626), (1.0, 1.8642)])
def test_a_linear_model_is_certified_close_below_its_exact_radius(cancer, sigma, listed):
    X, _, model, radius = cancer
    row = int(np.abs(radius - 1.8846).argmin())
    assert round(radius[row], 4) == 1.8846
    n, alpha = 100_000, 0.001
    found = Smoothed(model.predict, sigma, classes=2).certify(
        X[[row]], n=n, alpha=alpha, rows=[row], batch_size=10_000
    )
    p = PHI(radius[row] / sigma)
    band = [theory.proportion_bound(int(k), n, alpha) for k in binom.ppf([RISK / 2, 1 - RISK / 2], n, p)]
    low, high = (theory.certified_radius(b, sigma) for b in band)
    assert low <= found.radius[0] <= min(high, found.cap)
    assert low <= listed + 5e-5
    assert listed - 5e-5 <= high
    assert found.radius[0] <= radius[row]
    assert (round(found.radius[0], 4) == 0.9529) == (sigma == 0.25)  # at its cap


def test_certificates_are_wrong_at_most_alpha_of_the_time(cancer):
    X, y, model, radius = cancer
    alpha = 0.05
    found = Smoothed(model.predict, 1.0, classes=2).certify(X, n=300, alpha=alpha)
    right = found.labels == y
    exact = np.where(right, radius, -radius)  # the smoothed linear model is the model itself
    broken = (found.radius > exact) & ~found.abstained
    assert broken.sum() <= binom.ppf(1 - RISK, len(X), alpha)
    open_rows = np.abs(radius) < 0.8 * found.cap
    wide = 1.0 * (QUANTILE(0.999999) + QUANTILE(1 - alpha)) * 3 / np.sqrt(300)
    assert (found.radius[open_rows & right] > exact[open_rows & right] - wide).all()


@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_a_coin_is_certified_at_most_alpha_of_the_time(alpha):
    tossed = 0

    def coin(X):
        nonlocal tossed
        tossed += len(X)
        return (uniform(lane(np.arange(tossed - len(X), tossed)), key(0, "coin")) < 0.5).astype(int)

    found = Smoothed(coin, 1.0, classes=2).certify(np.zeros((1000, 1)), n0=20, n=200, alpha=alpha)
    certified = (~found.abstained).sum()
    assert certified <= binom.ppf(1 - RISK, 1000, alpha)
    answered = (Smoothed(coin, 1.0, classes=2).predict(np.zeros((1000, 1)), n=200, alpha=alpha) >= 0).sum()
    assert answered <= binom.ppf(1 - RISK, 1000, alpha)


def test_a_sure_model_reaches_the_cap_of_the_published_tables():
    found = Smoothed(lambda X: np.ones(len(X), int), 0.25, classes=10).certify(
        np.zeros((1, 2)), n=100_000, batch_size=50_000
    )
    assert round(found.cap, 4) == 0.9529
    assert found.radius[0] == pytest.approx(0.25 * QUANTILE(0.001 ** (1 / 100_000)), rel=1e-9)
    assert "cap of 0.9529" in repr(found)
    assert "1 rows reach it" in repr(found)


def test_radius_is_sigma_times_the_quantile_of_the_bound():
    found = Smoothed(by_sign, 0.5, classes=2).certify(np.array([[0.3], [-0.5], [0.01]]), n=2000)
    sure = ~found.abstained
    assert sure.tolist() == [True, True, False]
    for r, p in zip(found.radius[sure], found.p_lower[sure], strict=True):
        assert r == pytest.approx(0.5 * QUANTILE(p), rel=1e-9)
    assert found.radius[2] == 0


def test_a_scale_makes_radii_of_scaled_moves():
    model = LogisticRegression().fit([[-3.0, 0], [3, 1]], [0, 1])
    scale, X, y = np.array([2.0, 0.5]), np.array([[1.0, 0.0], [-2.0, 1.0]]), [1, 0]
    exact = theory.linear_radius(model, X, y, scale=scale)
    found = Smoothed(model.predict, 1.0, classes=2, scale=scale).certify(X, n=20_000)
    assert (found.radius <= exact).all()
    assert (found.radius > exact - 0.15).all()


def test_a_feature_of_scale_0_gets_no_noise():
    def frozen(X):
        assert (X[:, 1] == 7.0).all()
        return by_sign(X)

    Smoothed(frozen, 1.0, classes=2, scale=[1.0, 0.0]).certify(np.array([[1.0, 7.0]]), n=100)


# memory, seeds, batches


def counted(sizes):
    def model(X):
        sizes.append(len(X))
        return by_sign(X)

    return model


@pytest.mark.parametrize("n", [100, 5000])
def test_memory_is_constant_at_most_a_batch_of_copies_is_ever_made(n):
    sizes = []
    Smoothed(counted(sizes), 1.0, classes=2).certify(np.zeros((2, 3)), n=n, batch_size=64)
    assert max(sizes) <= 64
    assert sum(sizes) == 2 * (100 + n)


@pytest.mark.parametrize("kind", ["table", "tensor"])
def test_the_answer_does_not_depend_on_the_batch_or_the_other_rows(cancer, kind):
    X, _, model, _ = cancer
    rows = np.arange(0, 500, 100)
    some = X[rows] if kind == "table" else torch.from_numpy(X[rows])
    smooth = Smoothed(model.predict if kind == "table" else linear_net(model), 1.0, classes=2)
    whole = smooth.certify(some, n=500, rows=rows)
    for size in (1, 7, 500):
        assert (
            smooth.certify(some[3:], n=500, rows=rows[3:], batch_size=size).p_lower == whole.p_lower[3:]
        ).all()
    assert (smooth.certify(some, n=500, rows=rows, seed=1).p_lower != whole.p_lower).any()
    assert (
        smooth.predict(some, n=100, rows=rows, batch_size=9) == smooth.predict(some, n=100, rows=rows)
    ).all()


def test_a_net_and_its_numpy_twin_get_the_same_noise(cancer):
    X, _, model, _ = cancer
    table = Smoothed(model.predict, 1.0, classes=2).certify(X[:10], n=1000)
    for outputs in (1, 2):
        net = Smoothed(linear_net(model, outputs), 1.0, classes=2).certify(torch.from_numpy(X[:10]), n=1000)
        assert (net.p_lower == table.p_lower).all()
        assert (net.labels == table.labels).all()


def test_global_generators_modes_and_inputs_are_left_alone(cancer):
    X, _, model, _ = cancer
    net = (
        torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.BatchNorm1d(30), linear_net(model))
        .double()
        .train()
    )
    net[1].eval()
    given = torch.from_numpy(X[:3].copy())
    kept = given.clone()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    Smoothed(net, 0.5, classes=2).certify(given, n=100)
    assert given.equal(kept)
    assert [m.training for m in net.modules()] == [True, True, False, True]
    assert all(v.equal(before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.get_rng_state().equal(states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]


def test_modes_are_restored_when_the_model_raises():
    net = torch.nn.Linear(4, 2).train()
    with pytest.raises(RuntimeError):
        Smoothed(net, 0.5, classes=2).certify(torch.zeros(1, 3), n=10)
    assert net.training


def test_certify_works_in_inference_mode(cancer):
    X, _, model, _ = cancer
    with torch.inference_mode():
        found = Smoothed(linear_net(model), 0.5, classes=2).certify(torch.from_numpy(X[:2]), n=100)
    assert not found.abstained.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_images_of_any_precision(dtype):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3)).to(dtype)
    found = Smoothed(net, 0.25, classes=3).certify(torch.zeros(2, 3, 4, 4, dtype=dtype), n=200)
    assert found.code.shape == (2,)


# any model


def test_a_forest_over_a_frame_with_names_for_classes():
    data = load_iris(as_frame=True)
    X, y = data.data, data.target_names[data.target]
    forest = RandomForestClassifier(10, random_state=0).fit(X, y)
    smooth = Smoothed(forest, 0.3, classes=list(forest.classes_), scale=X.std().to_numpy())
    found = smooth.certify(X[::30], n=200)
    assert set(found.labels) <= {*data.target_names, None}
    assert found.to_frame().shape == (5, 3)
    curve = found.certified_accuracy([0.0, 0.2, 9.0], y[::30])
    assert curve.accuracy[0].value >= curve.accuracy[1].value
    assert curve.accuracy[2].value == 0 < curve.accuracy[2].high
    assert [a is None for a in found.labels] == found.abstained.tolist()
    assert curve.to_frame().columns.tolist() == ["radius", "certified_accuracy", "low", "high"]


def test_scores_of_a_numpy_function(cancer):
    X, _, model, _ = cancer
    one = Smoothed(model.predict_proba, 1.0, classes=2).certify(X[:5], n=200)
    two = Smoothed(model, 1.0, classes=2).certify(X[:5], n=200)
    assert (one.p_lower == two.p_lower).all()


def test_certified_accuracy_counts_right_classes_and_long_enough_radii(cancer):
    X, y, model, radius = cancer
    found = Smoothed(model, 0.5, classes=2).certify(X[:60], n=1000)
    for r, accuracy in zip(
        (0.0, 0.5, 1.0), found.certified_accuracy([0.0, 0.5, 1.0], y[:60]).accuracy, strict=True
    ):
        assert accuracy.value == ((found.labels == y[:60]) & (found.radius >= r)).mean()
        assert accuracy.low < accuracy.value < accuracy.high
        assert accuracy.value <= (radius[:60] >= r).mean()


def test_an_interval_near_the_truth_of_all_rows(cancer):
    X, y, model, radius = cancer
    rows = np.argsort(uniform(lane(np.arange(len(X))), key(0, "rows")))[:150]
    found = Smoothed(model, 1.0, classes=2).certify(X[rows], n=1000, rows=rows)
    accuracy = found.certified_accuracy([0.5], y[rows]).accuracy[0]
    assert accuracy.low <= (radius > 0.5).mean() <= accuracy.high + 0.05  # certified lies a little below


def test_predict_answers_as_the_model_where_it_is_sure(cancer):
    X, _, model, radius = cancer
    answers = Smoothed(model, 0.25, classes=2).predict(X[:50], n=100)
    sure = np.abs(radius[:50]) > 0.5
    assert (answers[sure] == model.predict(X[:50])[sure]).all()


# mistakes


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: Smoothed(by_sign, 0, classes=2), SettingError, "above 0"),
        (lambda: Smoothed(by_sign, 1, classes=1), SettingError, "two at least"),
        (lambda: Smoothed(by_sign, 1, classes=["a", "a"]), SettingError, "two at least"),
        (lambda: Smoothed(by_sign, 1, classes=2, scale=-1.0), SettingError, "scale"),
        (lambda: Smoothed(by_sign, 1, classes=2).certify(np.zeros((1, 1)), n=0), SettingError, "1 or more"),
        (lambda: Smoothed(by_sign, 1, classes=2).certify(np.zeros((1, 1)), alpha=1), SettingError, "risk"),
        (lambda: Smoothed(by_sign, 1, classes=2).certify(np.zeros(3)), DataError, "rows"),
        (lambda: Smoothed(by_sign, 1, classes=2).certify(np.array([["a"]])), DataError, "no numbers"),
        (lambda: Smoothed(by_sign, 1, classes=2).certify(np.array([[np.nan]])), DataError, "impute"),
        (lambda: Smoothed(by_sign, 1, classes=2).certify(torch.zeros(1, 1).long()), DataError, "floats"),
        (
            lambda: Smoothed(by_sign, 1, classes=2).certify(np.zeros((2, 1)), rows=[1.0, 2.0]),
            RowIdError,
            "integer",
        ),
        (lambda: Smoothed(by_sign, 1, classes=["a", "b"]).certify(np.zeros((1, 1))), ModelError, "answers"),
        (
            lambda: Smoothed(lambda X: np.zeros((len(X), 3)), 1, classes=2).certify(np.zeros((1, 1))),
            ModelError,
            "3 scores",
        ),
        (lambda: Smoothed(lambda _: [0], 1, classes=2).certify(np.zeros((1, 1))), ModelError, "one a row"),
        (
            lambda: Smoothed(torch.nn.Linear(1, 2), 1, classes=2).certify(np.zeros((1, 1))),
            ModelError,
            "tensor",
        ),
        (
            lambda: Smoothed(torch.nn.Linear(1, 1), 1, classes=3).certify(torch.zeros(1, 1)),
            ModelError,
            "one logit",
        ),
        (
            lambda: (
                Smoothed(by_sign, 1, classes=2).certify(np.zeros((2, 1)), n=9).certified_accuracy([0], [1])
            ),
            DataError,
            "label",
        ),
        (
            lambda: (
                Smoothed(by_sign, 1, classes=2).certify(np.ones((1, 1)), n=9).certified_accuracy([-1], [1])
            ),
            SettingError,
            "0 or more",
        ),
    ],
)
def test_mistakes_are_said(call, error, says):
    with pytest.raises(error) as caught:
        call()
    assert says in str(caught.value)


def test_progress_is_told_when_asked(capsys):
    Smoothed(by_sign, 1, classes=2).certify(np.ones((4, 1)), n=9, progress=True)
    assert "certify: 4 of 4" in capsys.readouterr().err


def test_a_frame_keeps_its_columns():
    def named(frame):
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == ["a", "b"]
        return (frame["a"] > 0).to_numpy().astype(int)

    Smoothed(named, 1.0, classes=2).certify(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), n=50)
