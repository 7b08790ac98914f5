"""The closed forms against simulation, and the figures they are known to give on two bundled tables."""

import itertools
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from hormesis import theory
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.key import key, lane, uniform
from hormesis.theory.draws import normals

RISK = 1e-6
Z = -NormalDist().inv_cdf(RISK / 2 / 100)  # two-sided, up to 100 comparisons in a test


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), (y - y.mean()) / y.std()


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    return X, y, LogisticRegression(C=0.05, max_iter=5000).fit(X, y)


def masks(shape, p, copy):
    kept = uniform(lane(np.arange(shape[0] * shape[1])), key(0, "mask", copy)).reshape(shape) > p
    return kept / (1 - p)


def learnt_from_copies(X, y, noisy, coef, copies):
    """Return the weights learnt from noisy copies, and the standard error of their distance to `coef`.

    b - coef = (Z'Z)^-1 Z'(y - Z coef) exactly, and the right side is a sum of independent copies.
    """
    gram, scores = np.zeros((X.shape[1],) * 2), []
    for c in range(copies):
        Z_c = noisy(c)
        gram += Z_c.T @ Z_c
        scores.append(Z_c.T @ (y - Z_c @ coef))
    S = np.array(scores)
    inverse = np.linalg.inv(gram)
    error = np.sqrt(np.diag(inverse @ np.cov(S.T) @ inverse) * copies)
    return coef + inverse @ S.sum(0), error


# 1: Bishop


def test_noise_on_copies_is_ridge_with_alpha_n_sigma_squared(diabetes):
    X, y = diabetes
    line = theory.noise_as_ridge(X, y, 0.5)
    learnt, error = learnt_from_copies(
        X, y, lambda c: X + 0.5 * normals(np.arange(len(X)), 10, 0, "copy", c), line.coef, 400
    )
    plain = LinearRegression().fit(X, y).coef_
    assert (np.abs(learnt - line.coef) < Z * error).all()
    assert np.abs(learnt - line.coef).max() < 0.005  # listed: .0024
    assert round(np.abs(plain - line.coef).max(), 3) == 0.465


@pytest.mark.parametrize("sigma", [0.0, 0.1, 3.0])
def test_noise_as_ridge_equals_scikit_learn(diabetes, sigma):
    X, y = diabetes
    X, y = 7 * X + 3, y + 2  # the intercept is not penalised
    line = theory.noise_as_ridge(X, y, sigma)
    ridge = Ridge(alpha=len(X) * sigma**2, solver="svd").fit(X, y)
    np.testing.assert_allclose(line.predict(X), ridge.predict(X), atol=1e-9)


def test_noise_on_one_feature_penalises_that_feature(diabetes):
    X, y = diabetes
    line = theory.noise_as_ridge(X, y, [1e6] + [0.0] * 9)
    rest = LinearRegression().fit(X[:, 1:], y).coef_
    np.testing.assert_allclose(line.coef, [0, *rest], atol=1e-6)


# 2: dropout


def test_dropout_is_a_diagonal_ridge(diabetes):
    X, y = diabetes
    line = theory.dropout_as_ridge(X, y, 0.2)
    learnt, error = learnt_from_copies(X, y, lambda c: X * masks(X.shape, 0.2, c), line.coef, 400)
    assert (np.abs(learnt - line.coef) < Z * error).all()
    assert np.abs(learnt - line.coef).max() < 0.0082  # listed: .0041


def test_dropout_with_an_intercept_is_the_minimum_over_all_masks():
    X, y = np.array([[1.0, 2.0], [2.0, -1.0], [4.0, 0.5], [3.0, 3.0]]), np.array([1.0, 2.0, 0.0, 5.0])
    p = 0.3
    line = theory.dropout_as_ridge(X, y, p)
    rows, answers, weights = [], [], []
    for kept in itertools.product([0, 1], repeat=2):
        rows.append(X * np.array(kept) / (1 - p))
        answers.append(y)
        weights.append(np.full(4, (1 - p) ** sum(kept) * p ** (2 - sum(kept))))
    fit = LinearRegression().fit(
        np.concatenate(rows), np.concatenate(answers), sample_weight=np.concatenate(weights)
    )
    np.testing.assert_allclose([*line.coef, line.intercept], [*fit.coef_, fit.intercept_], atol=1e-12)


def test_on_standardised_columns_dropout_is_noise_of_a_matching_level(diabetes):
    X, y = diabetes  # p / (1 - p) = sigma^2
    np.testing.assert_allclose(
        theory.dropout_as_ridge(X, y, 0.2).coef, theory.noise_as_ridge(X, y, 0.5).coef, atol=1e-12
    )


# 3: Wager, Wang and Liang


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_logistic_dropout_penalty_is_the_sum_over_all_masks(cancer, p):
    X, b, bias = cancer[0][:50, :8], 5 * cancer[2].coef_[0][:8], 0.7
    kept = np.array(list(itertools.product([0, 1], repeat=8)))
    likely = np.prod(np.where(kept, 1 - p, p), axis=1)
    sums = (X[:, None, :] * kept / (1 - p)) @ b + bias
    exact = (np.logaddexp(0, sums) @ likely - np.logaddexp(0, X @ b + bias)).sum()
    assert theory.logistic_dropout_penalty(X, b, p, intercept=bias) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize(("p", "quadratic", "exact"), [(0.2, 4.466, 4.798), (0.5, 17.864, 20.086)])
def test_the_logistic_dropout_penalty_on_breast_cancer(cancer, p, quadratic, exact):
    X, _, model = cancer
    b, bias = model.coef_[0], model.intercept_[0]
    assert round(theory.logistic_dropout_penalty(X, b, p, intercept=bias, method="quadratic"), 3) == quadratic
    found = theory.logistic_dropout_penalty(X, b, p, intercept=bias)
    assert round(found, 3) == exact
    s = X @ b + bias
    rise = np.logaddexp(0, s)
    drawn = []
    for c in range(300):  # the linear term averages zero and is most of the variance
        noisy = (X * masks(X.shape, p, c)) @ b + bias
        drawn.append((np.logaddexp(0, noisy) - rise - (noisy - s) / (1 + np.exp(-s))).sum())
    assert abs(np.mean(drawn) - found) < Z * np.std(drawn) / np.sqrt(300)


def test_the_quadratic_penalty_is_the_limit_of_small_weights(cancer):
    X, _, model = cancer
    for p in (0.01, 0.5):
        gaps = []
        for shrunk in (0.1, 0.01):
            exact, quadratic = (
                theory.logistic_dropout_penalty(X, shrunk * model.coef_, p, method=m)
                for m in ("exact", "quadratic")
            )
            gaps.append(abs(exact / quadratic - 1))
        assert gaps[1] < gaps[0] / 5  # the next order, from the skewness of a mask, is linear in the weights
    assert theory.logistic_dropout_penalty(X, model.coef_, 0) == 0


def test_expected_softplus_of_a_gaussian_sum_agrees_with_quadrature():
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    mean = np.array([-20.0, -1.0, 0.0, 4.0])
    exact = np.logaddexp(0, mean[:, None] + 2 * nodes) @ weights
    found = theory.expected_softplus(lambda t: np.exp(1j * t * mean - 2 * t * t), mean, 20 + 2 * 10)
    np.testing.assert_allclose(found, exact, atol=1e-9)


# 4: accuracy under Gaussian noise


def test_the_exact_curve_of_accuracy_under_noise(cancer):
    X, y, model = cancer
    exact = [theory.accuracy_under_noise(model, X, y, s) for s in (0.25, 0.5, 1, 2)]
    assert np.round(exact, 4).tolist() == [0.9746, 0.9642, 0.9327, 0.8490]
    for s, accuracy in zip((0.25, 0.5, 1, 2), exact, strict=True):
        hits = [
            (model.predict(X + s * normals(np.arange(len(X)), 30, 0, "try", c)) == y).mean()
            for c in range(100)
        ]
        assert abs(np.mean(hits) - accuracy) < Z * np.sqrt(0.25 / (100 * len(X)))


def test_noise_per_feature_is_noise_on_scaled_features(cancer):
    X, y, model = cancer
    sizes = np.linspace(0, 2, 30)
    hits = [
        (model.predict(X + sizes * normals(np.arange(len(X)), 30, 1, "try", c)) == y).mean()
        for c in range(100)
    ]
    exact = theory.accuracy_under_noise(model, X, y, sizes)
    assert abs(np.mean(hits) - exact) < Z * np.sqrt(0.25 / (100 * len(X)))
    assert theory.accuracy_under_noise(model, X, y, 0) == model.score(X, y)


# 5: the worst case


def test_the_exact_robust_accuracy_is_what_fgsm_reaches(cancer):
    torch = pytest.importorskip("torch")
    from hormesis.torch import FGSM

    X, y, model = cancer
    net = torch.nn.Linear(30, 1).double()
    net.load_state_dict({"weight": torch.tensor(model.coef_), "bias": torch.tensor(model.intercept_)})
    inputs, targets = torch.tensor(X), torch.tensor(y)
    for epsilon, listed in ((0.05, 0.9631), (0.1, 0.9262), (0.3, 0.7733)):
        moved = FGSM(epsilon).perturb(net, inputs, targets)
        left = ((net(moved)[:, 0] > 0) == (targets > 0)).double().mean().item()
        assert left == theory.robust_accuracy(model, X, y, epsilon)
        assert round(left, 4) == listed


def worst_move(weights, norm):
    if norm == "linf":
        return np.sign(weights)
    if norm == "l2":
        return weights / np.linalg.norm(weights)
    return np.where(np.arange(weights.size) == np.abs(weights).argmax(), np.sign(weights), 0.0)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("scale", [1.0, np.linspace(0, 2, 30)], ids=["plain", "scaled"])
def test_the_radius_is_where_the_worst_move_crosses(cancer, norm, scale):
    X, y, model = cancer
    radius = theory.linear_radius(model, X, y, norm, scale=scale)
    away = np.where(y == 1, -1, 1)[:, None] * scale * worst_move(model.coef_[0] * scale, norm)
    right = radius > 0
    for share, stays in ((0.999, True), (1.001, False)):
        moved = model.predict(X + share * radius[:, None] * away)
        assert ((moved == y)[right] == stays).all()
    assert right.mean() == model.score(X, y)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_many_classes_fall_to_the_nearest_other_class(norm):
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=2000).fit(X, y)
    radius = theory.linear_radius(model, X, y, norm)
    fell = np.zeros(len(X), bool)
    for other in range(3):
        for own in set(range(3)) - {other}:
            rows = (y == own) & (radius > 0)
            away = worst_move(model.coef_[other] - model.coef_[own], norm)
            assert (model.predict(X[rows] + 0.999 * radius[rows, None] * away) == own).all()
            fell[rows] |= model.predict(X[rows] + 1.001 * radius[rows, None] * away) != own
    assert fell[radius > 0].all()


# 6: Cohen, Rosenfeld and Kolter


def test_the_certificates_formulas():
    assert round(theory.radius_cap(1, 100_000, 0.001), 2) == 3.81
    assert round(theory.radius_cap(0.25, 100_000, 0.001), 4) == 0.9529
    assert theory.certified_radius(0.8, 1.0, 0.1) == pytest.approx(
        (NormalDist().inv_cdf(0.8) - NormalDist().inv_cdf(0.1)) / 2
    )
    assert theory.certified_radius(0.5, 1.0) == 0


@pytest.mark.parametrize("truth", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_the_bound_of_a_probability_is_wrong_at_most_alpha_of_the_time(truth, alpha):
    from scipy.stats import binom

    n = 200
    likely = binom.pmf(np.arange(n + 1), n, truth)
    bounds = np.array([theory.proportion_bound(k, n, alpha) for k in range(n + 1)])
    assert likely[bounds > truth].sum() <= alpha
    assert (np.diff(bounds) > 0).all()


# 7: weight noise


def test_weight_noise_adds_half_sigma_squared_norms(diabetes):
    X, y = diabetes
    b = theory.noise_as_ridge(X, y, 0).coef
    z = normals(np.arange(4000), 11, 0, "weights")
    sse = 0.5 * ((X @ b - y) ** 2).sum()
    noisy = 0.5 * ((X @ (b + 0.3 * z[:, :10]).T + 0.3 * z[:, 10] - y[:, None]) ** 2).sum(0) - sse
    exact = theory.weight_noise_penalty(X, 0.3, intercept=True)
    assert exact == 0.5 * 0.3**2 * ((X**2).sum() + len(X))
    assert abs(noisy.mean() - exact) < Z * noisy.std() / np.sqrt(4000)


# 8: labels


def test_label_smoothing_mixes_two_cross_entropies():
    logits = normals(np.arange(50), 4, 0, "logits")
    logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    y = np.arange(50) % 4
    smooth = -(theory.smooth_targets(y, 0.1, 4) * logp).sum(1)
    np.testing.assert_allclose(smooth, 0.9 * -logp[np.arange(50), y] + 0.1 * -logp.mean(1), rtol=1e-12)


def test_label_smoothing_is_torchs():
    torch = pytest.importorskip("torch")
    logits, y = torch.from_numpy(normals(np.arange(50), 4, 0, "logits")), torch.arange(50) % 4
    ours = torch.nn.functional.cross_entropy(logits, torch.from_numpy(theory.smooth_targets(y, 0.1, 4)))
    theirs = torch.nn.functional.cross_entropy(logits, y, label_smoothing=0.1)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-12)


def test_forward_correction_finds_the_clean_probabilities_under_label_noise():
    from scipy.optimize import minimize

    truth = np.array([0.6, 0.3, 0.1])
    T = np.array([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.0, 0.7]])
    seen = truth @ T

    def softmax(free):
        z = np.append(free, 0.0)
        return np.exp(z - np.logaddexp.reduce(z))

    def corrected(free):
        return seen @ theory.corrected_cross_entropy(np.tile(softmax(free), (3, 1)), [0, 1, 2], T)

    def naive(free):
        return -seen @ np.log(softmax(free))

    best = minimize(corrected, [0.0, 0.0], tol=1e-12)
    np.testing.assert_allclose(softmax(best.x), truth, atol=1e-5)
    np.testing.assert_allclose(softmax(minimize(naive, [0.0, 0.0], tol=1e-12).x), seen, atol=1e-5)


def test_label_noise_turns_a_label_into_each_other_one_alike():
    T = theory.label_noise_matrix(5, 0.4)
    np.testing.assert_allclose(T.sum(1), 1)
    assert np.diag(T).tolist() == [0.6] * 5


# mistakes


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: theory.noise_as_ridge([[1.0, np.nan]], [1.0], 1), DataError, "impute"),
        (lambda: theory.noise_as_ridge([["a"]], [1.0], 1), DataError, "no numbers"),
        (lambda: theory.noise_as_ridge([[1.0]], [1.0, 2.0], 1), DataError, "one target per row"),
        (lambda: theory.noise_as_ridge([[1.0]], [1.0], [1, 2]), SettingError, "one per feature"),
        (lambda: theory.noise_as_ridge([[1.0]], [1.0], -1), SettingError, "0 or more"),
        (lambda: theory.dropout_as_ridge([[1.0]], [1.0], 20), SettingError, "Did you mean 0.2"),
        (
            lambda: theory.logistic_dropout_penalty([[1.0]], [1.0], 0.1, method="exakt"),
            SettingError,
            "`exact`",
        ),
        (lambda: theory.logistic_dropout_penalty([[1.0]], [1.0, 2.0], 0.1), SettingError, "2 weights"),
        (lambda: theory.linear_radius(LinearRegression(), [[1.0]], [1]), ModelError, "linear"),
        (lambda: theory.certified_radius(1.2, 1), SettingError, "probability"),
        (lambda: theory.proportion_bound(3, 2), SettingError, "hits <= draws"),
        (lambda: theory.radius_cap(1, 10, 0), SettingError, "no number of draws"),
        (lambda: theory.smooth_targets([3], 0.1, 3), DataError, "classes 0 to 2"),
        (lambda: theory.smooth_targets([0.5], 0.1, 3), DataError, "list of classes"),
        (lambda: theory.label_noise_matrix(1, 0.1), SettingError, "two classes"),
        (lambda: theory.corrected_cross_entropy([[1, 0]], [0], [[1]]), SettingError, "(C, C)"),
        (lambda: theory.corrected_cross_entropy([[1, 0]], [0], np.ones((2, 2))), SettingError, "sums to 1"),
        (lambda: theory.corrected_cross_entropy([[1, 0]], [0, 1], np.eye(2)), DataError, "2 labels for 1"),
    ],
)
def test_mistakes_are_said(call, error, says):
    with pytest.raises(error) as caught:
        call()
    assert says in str(caught.value)


def test_linear_forms_refuse_what_they_cannot_know(cancer):
    X, y, model = cancer
    for call, error, says in (
        (lambda: theory.linear_radius(model, X, y, "l3"), SettingError, "linf"),
        (lambda: theory.linear_radius(model, X, y + 5), DataError, "knows the classes"),
        (lambda: theory.linear_radius(model, X[:, :5], y), DataError, "fitted on 30"),
        (lambda: theory.robust_accuracy(model, X, y, -0.1), SettingError, "epsilon"),
    ):
        with pytest.raises(error) as caught:
            call()
        assert says in str(caught.value)
    iris = load_iris(return_X_y=True)
    three = LogisticRegression(max_iter=2000).fit(*iris)
    with pytest.raises(ModelError, match="3 classes"):
        theory.accuracy_under_noise(three, *iris, 1)


def test_the_closed_forms_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from hormesis import theory\n"
        "theory.noise_as_ridge(np.eye(3), [1, 2, 3], 0.5); theory.radius_cap(1, 100)\n"
        "theory.measured_increase(lambda X: X[:, 0], np.eye(3), [1.0, 2.0, 3.0], 0.5)\n"
        "theory.gaussian_penalty(lambda X: X[:, 0], np.eye(3), 0.5, loss='squared')\n"
        "from hormesis.theory.jacobians import torch_module\n"
        "try: torch_module()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "Nets need torch: pip install 'hormesis[torch]'.\n", done.stderr
