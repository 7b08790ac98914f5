"""Worst-case noise as rows of a stress result: never milder than its own draws, right on linear models, for any model."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from hormesis import Recipe, StressResult, robust_scorer, stress
from hormesis.engine.victim import Attackable
from hormesis.errors import ModelError, SettingError
from hormesis.noise import CATALOGUE, GaussianNoise, LabelFlips, MissingValues, SwapNoise, WorstOf
from hormesis.profile import Profile
from hormesis.torch import FGSM, PGD, Space
from hormesis.torch.attacks.square import Square
from hormesis.torch.attacks.worst import Adversarial


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = (X - X.mean()) / X.std()
    model = LogisticRegression(C=0.1).fit(X[::2], y[::2])
    return X[1::2].reset_index(drop=True), y[1::2].to_numpy(), model


def linear(model):
    """Return the same linear model as a module."""
    net = nn.Linear(model.coef_.shape[1], 1).double()
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(model.coef_))
        net.bias.copy_(torch.from_numpy(model.intercept_))
    return net


def victim(model, y):
    return Attackable(model, y, np.unique(y), "classification")


def test_worst_of_is_the_worst_of_its_draws_row_by_row(cancer):
    X, y, model = cancer
    worst, profile, who = WorstOf(GaussianNoise(0.5), k=6), Profile.learn(X), victim(model, y)
    seen = []
    monitor = Attackable(model, y, who.classes, "classification")
    table = worst.against(monitor, X, profile=profile, seed=1)
    for k in range(1, 7):
        part = WorstOf(GaussianNoise(0.5), k=k).against(who, X, profile=profile, seed=1)
        seen.append(who.losses(part))
    assert (np.diff(np.array(seen), axis=0) >= 0).all()  # one more draw is never milder
    assert np.array_equal(who.losses(table), seen[-1])
    assert list(table.columns) == list(X.columns)
    assert table.index.equals(X.index)


def test_worst_of_one_draw_is_one_draw(cancer):
    X, y, model = cancer
    one = stress(model, X, y, noises=[WorstOf(GaussianNoise(), k=1)], levels=[1.0])
    assert one.curves[0].noise == "worst of 1 gaussian-noise"
    assert one.curves[0].unit == "sigma"


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "numpy", "tensor"])
def test_worst_of_in_every_kind_of_table(cancer, kind):
    import polars as pl
    import pyarrow as pa

    X, y, model = cancer
    made = {
        "pandas": lambda t: t,
        "polars": pl.from_pandas,
        "arrow": pa.Table.from_pandas,
        "numpy": lambda t: t.to_numpy(),
        "tensor": lambda t: torch.tensor(t.to_numpy()),
    }
    data = made[kind](X)

    def predict(table):
        x = table.to_pandas().to_numpy() if kind == "arrow" else np.asarray(table)
        return 1 / (1 + np.exp(-(x @ model.coef_[0] + model.intercept_[0])))

    table = WorstOf(SwapNoise(0.3), k=3).against(
        victim(predict, y), data, profile=Profile.learn(data), seed=0
    )
    assert type(table) is type(data)
    assert len(table) == len(data)


def test_the_table_differs_per_model(cancer):
    X, y, model = cancer
    trees = HistGradientBoostingClassifier(max_iter=20, early_stopping=False).fit(X, y)
    noises = [WorstOf(GaussianNoise(), k=5)]
    both = stress({"a": model, "b": trees}, X, y, noises=noises, levels=[0.5])
    alone = stress(trees, X, y, noises=noises, levels=[0.5])
    assert both.curves[1].score == alone.curves[0].score
    again = StressResult.from_json(both.to_json())
    assert again.curves[0].step == {"noise": "WorstOf", "level": 0.5, "k": 5, "of": "GaussianNoise"} | {
        "level": 0.1
    }


def test_worst_of_labels_and_numbers(cancer):
    X, y, model = cancer
    labels = model.predict
    plain = stress(labels, X, y, noises="GaussianNoise", levels=[2.0], scoring="accuracy").curves[0].score[0]
    worst = stress(labels, X, y, noises=WorstOf(GaussianNoise()), levels=[2.0], scoring="accuracy")
    assert worst.curves[0].score[0] < plain
    X, y = load_diabetes(return_X_y=True)
    ridge = Ridge(1e-3).fit(X, y)
    found = stress(ridge, X, y, noises=[GaussianNoise(), WorstOf(GaussianNoise())], levels=[0.5])
    assert found.curves[1].score[0] < found.curves[0].score[0]


def test_a_model_that_raises_on_a_draw_has_raised(cancer):
    X, y, model = cancer
    (curve,) = stress(model, X, y, noises=WorstOf(MissingValues(), k=2), levels=[0.3]).curves
    assert "NaN" in curve.errors[0]
    assert curve.score == (None,)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WorstOf(GaussianNoise(), k=0), "k=0"),
        (lambda: WorstOf(LabelFlips()), "changes features"),
        (lambda: WorstOf(WorstOf(GaussianNoise())), "changes features"),
        (lambda: Adversarial(0.1), "give an attack"),
        (lambda: PGD(0.1).as_noise().at(-1.0), "0 or more"),
    ],
)
def test_settings_are_checked(make, said):
    with pytest.raises(SettingError, match=said):
        make()


@pytest.mark.parametrize("noise", [WorstOf(GaussianNoise()), PGD(0.1).as_noise()], ids=repr)
def test_worst_cases_are_no_training_noise(noise, cancer):
    assert type(noise).__name__ not in CATALOGUE
    with pytest.raises(SettingError, match="made against a model"):
        Recipe([noise]).apply(cancer[0])


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=5)], ids=repr)
def test_gradient_attacks_reach_the_exact_robust_accuracy_of_a_linear_model(cancer, attack):
    X, y, model = cancer
    spread = np.array([c.spread for c in Profile.learn(X).columns])
    margin = (2 * y - 1) * model.decision_function(X)
    levels = [0.05, 0.1, 0.2, 0.5]
    exact = [np.mean(margin > e * (np.abs(model.coef_[0]) * spread).sum()) for e in levels]
    for data in (X, X.to_numpy(), torch.from_numpy(X.to_numpy().copy())):
        (curve,) = stress(linear(model), data, y, noises=[attack], levels=levels, scoring="accuracy").curves
        # the score is shrunk towards 1/2 by the interval's pseudo rows at most
        found = curve.clean - np.array(curve.drop)
        assert np.allclose(found, exact, atol=1.5 / len(y))


def test_square_comes_near_it_without_gradients(cancer):
    X, y, model = cancer
    x, model = X.to_numpy(), LogisticRegression(C=0.1).fit(X.to_numpy(), y)
    (curve,) = stress(model, x, y, noises=[Square(queries=200)], levels=[0.2], scoring="accuracy").curves
    (by_gradient,) = stress(linear(model), x, y, noises=[PGD()], levels=[0.2], scoring="accuracy").curves
    assert by_gradient.score[0] - 1e-9 <= curve.score[0] < by_gradient.score[0] + 0.05


def test_square_attacks_trees_and_leaves_words_alone():
    rng = np.random.default_rng(0)
    n = 200
    X = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "count": rng.integers(0, 50, n),
            "paid": rng.random(n) < 0.5,
            "same": 1.0,
            "colour": pd.Categorical(rng.choice(["red", "blue"], n)),
        }
    )
    y = (X["size"] + X["count"] / 25 > 1).astype(int).to_numpy()
    X.loc[::7, "size"] = np.nan
    trees = HistGradientBoostingClassifier(
        max_iter=20, early_stopping=False, categorical_features="from_dtype"
    ).fit(X, y)
    noise, profile = Square(0.3, queries=60).as_noise(), Profile.learn(X)
    assert noise.targets(profile) == ["size", "count", "paid"]
    table = noise.against(victim(trees, y), X, profile=profile, seed=0)
    assert (table.dtypes == X.dtypes).all()
    assert table["colour"].equals(X["colour"])
    assert table["same"].equals(X["same"])
    assert (table["size"].isna() == X["size"].isna()).all()
    for name in ("size", "count"):
        assert (table[name] - X[name]).abs().max() <= 0.3 * profile[name].spread * (1 + 2**-23)
    assert trees.score(table, y) < trees.score(X, y)


def test_whole_numbers_and_booleans_stay_whole_under_gradients():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "n": rng.integers(0, 9, 300), "b": rng.random(300) < 0.5})
    y = (X["a"] + X["n"] - 4 + X["b"] > 0).astype(int).to_numpy()
    net = nn.Linear(3, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 1.0, 1.0]]))
        net.bias.copy_(torch.tensor([-4.0]))
    noise, profile = PGD(1.5, steps=5).as_noise(), Profile.learn(X)
    from hormesis.models import as_model

    table = noise.against(victim(as_model(net, X, y), y), X, profile=profile, seed=0)
    assert (table.dtypes == X.dtypes).all()
    assert (table["n"] != X["n"]).any()
    assert (table["b"] != X["b"]).any()


def test_a_gradient_attack_on_trees_is_refused_in_one_sentence(cancer):
    X, y, model = cancer
    with pytest.raises(
        ModelError, match=r"LogisticRegression is no torch module: use Square\(\), or WorstOf"
    ):
        stress(model, X, y, noises=[PGD()])


def test_cells_that_do_not_move_keep_every_bit(cancer):
    X, y, _ = cancer
    from hormesis.models import as_model

    X = X.assign(still=0.5)
    net = nn.Sequential(nn.Linear(31, 2))  # float32: the table's float64 values do not fit
    noise, profile = PGD(0.1).as_noise(), Profile.learn(X)
    table = noise.against(victim(as_model(net, X, y), y), X, profile=profile, seed=0)
    assert table["still"].equals(X["still"])
    assert "still" not in noise.targets(profile)


def test_an_attack_in_the_report_and_in_words(cancer, tmp_path):
    X, y, model = cancer
    net = linear(model)
    result = stress(net, X, y, noises=[PGD(), PGD(norm="l2"), GaussianNoise()], scoring="accuracy")
    assert [c.unit for c in result.curves] == ["epsilon", "epsilon", "sigma"]
    assert [c.noise for c in result.curves] == ["pgd", "pgd-l2", "gaussian-noise"]
    assert result.curves[0].levels == (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
    assert "at epsilon 0." in result.verdicts()[0]
    assert result.curves[0].step["attack"] == "PGD"
    again = StressResult.from_json(result.to_json())
    assert again.curves[0].step == result.curves[0].step
    result.to_html(tmp_path / "report.html")
    assert "epsilon" in (tmp_path / "report.html").read_text()


def test_repeats_and_seeds_are_other_starts_and_equal_seeds_are_equal(cancer):
    X, y, model = cancer
    net = linear(model)
    runs = [
        stress(net, X, y, noises=[PGD(steps=2)], levels=[0.1], seed=s, repeats=2, scoring="accuracy")
        .curves[0]
        .score
        for s in (0, 0)
    ]
    assert runs[0] == runs[1]
    assert net.weight.grad is None


def test_an_attack_on_images_keeps_to_pixels():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    net = torch.nn.Linear(64, 10, bias=False)
    with torch.no_grad():
        means = [torch.from_numpy(X[y == c].mean(0)) for c in range(10)]
        net.weight.copy_(torch.stack(means) - torch.from_numpy(X.mean(0)))
    exact = PGD(0.1).run(net, torch.from_numpy(X), torch.from_numpy(y), space=Space.image())
    noise = PGD(0.1).as_noise(space=Space.image())
    result = stress(net, X, y, noises=[noise], levels=[0.1], scoring="accuracy")
    assert result.curves[0].score[0] == pytest.approx(exact.robust_accuracy[0], abs=1e-12)
    free = stress(net, X, y, noises=[PGD(0.1)], levels=[0.1], scoring="accuracy")
    assert free.curves[0].score != result.curves[0].score


def test_a_robust_scorer_takes_attacks(cancer):
    X, y, model = cancer
    net = torch.nn.Sequential(torch.nn.Linear(30, 1), torch.nn.Flatten(0))
    with torch.no_grad():
        net[0].weight.copy_(torch.from_numpy(model.coef_))
        net[0].bias.copy_(torch.from_numpy(model.intercept_))
    found = stress(net, X, y, noises=[PGD()], levels=[0.2], scoring="accuracy").curves[0].score[0]
    assert robust_scorer("accuracy", PGD(), levels=[0.2])(net, X, y) == pytest.approx(found)
    bad_luck = robust_scorer("accuracy", WorstOf(GaussianNoise(), k=5), levels=[1.0])(model, X, y)
    assert bad_luck < robust_scorer("accuracy", GaussianNoise(), levels=[1.0])(model, X, y)
