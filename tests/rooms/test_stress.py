"""Stress: intervals and verdicts on models with known answers, crashes as results, samples, budgets, Ctrl-C."""

import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, matthews_corrcoef
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from hormesis import NoisyTraining, Step, StressResult, robust_scorer, stress
from hormesis.engine import rounds
from hormesis.engine.bench import Bench
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.noise import EncodingErrors, GaussianNoise, LabelFlips, MissingValues, Outliers, Typos


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X[::2], y[::2])
    return model, X[1::2], y[1::2].to_numpy()


def test_the_curve_is_that_of_the_closed_form():
    """A probit world: accuracy under noise of sd l is 1 - arccos(1 / sqrt((1 + 1/k^2)(1 + l^2))) / pi."""
    r = np.random.default_rng(0)
    n, k = 20_000, 2.0
    x = r.normal(size=n)
    y = (x + r.normal(size=n) / k > 0).astype(int)
    table = np.column_stack([x, np.zeros(n)])
    result = stress(
        lambda t: (t[:, 0] > 0).astype(int),
        table,
        y,
        noises=GaussianNoise(columns=(0,)),
        scoring="accuracy",
        max_rows=None,
    )
    (curve,) = result.curves
    level = np.array([0.0, *curve.levels])
    truth = 1 - np.arccos(1 / np.sqrt((1 + 1 / k**2) * (1 + level**2))) / np.pi
    drop, low, high = (np.array(v) for v in (curve.drop, curve.drop_low, curve.drop_high))
    assert (np.abs(drop - (truth[0] - truth[1:])) < (high - low) / 2 * 4.9 / 1.96).all()
    at = dict(zip(curve.levels, truth[0] - truth[1:], strict=True))
    assert at[curve.break_point.passes_to] <= 0.05 < at[curve.break_point.fails_from]
    assert (
        curve.break_point.passes_to
        <= curve.break_point.low
        < curve.break_point.high
        <= curve.break_point.fails_from
    )


def test_models_scorers_and_repeats_side_by_side(cancer):
    model, X, y = cancer
    result = stress(
        {"one": model, "same": model}, X, y, noises=["GaussianNoise", "Outliers"], levels=[0.1, 0.3],
        scoring=["roc_auc", "accuracy"], repeats=2,
    )  # fmt: skip
    assert len(result.curves) == 2 * 2 * 2
    frame = result.to_frame()
    one, same = (
        frame[frame.model == m].drop(columns="model").reset_index(drop=True) for m in ("one", "same")
    )
    pd.testing.assert_frame_equal(one, same)
    assert len(frame) == 16
    assert set(result.break_points().columns) >= {"passes_to", "fails_from", "verdict"}


def test_any_scorer_of_scikit_learn_has_an_interval(cancer):
    model, X, y = cancer
    result = stress(
        model, X, y, noises="GaussianNoise", levels=[0.5, 2.0],
        scoring={"mcc": make_scorer(matthews_corrcoef), "ap": "average_precision"},
    )  # fmt: skip
    for curve in result.curves:
        assert curve.drop_low[1] < curve.drop[1] < curve.drop_high[1]
    assert result.curves[0].clean == pytest.approx(matthews_corrcoef(y, model.predict(X)))


def test_threads_and_libraries_change_nothing(cancer):
    _, X, y = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X.to_numpy(), y)
    frame = lambda t: model.predict_proba(t.to_numpy())  # noqa: E731
    runs = [
        stress(frame, X, y, noises="GaussianNoise", scoring="roc_auc"),
        stress(frame, X, y, noises="GaussianNoise", scoring="roc_auc", n_jobs=2),
        stress(frame, pl.from_pandas(X), y, noises="GaussianNoise", scoring="roc_auc"),
    ]
    assert runs[0].curves == runs[1].curves == runs[2].curves
    assert runs[0].provenance.fingerprint == runs[2].provenance.fingerprint


def test_a_model_that_raises_under_noise_is_a_result(cancer):
    model, X, y = cancer
    result = stress(model, X, y, noises=["MissingValues", "GaussianNoise"], levels=[0.1, 0.2])
    lost, fine = result.curves
    assert lost.score == (None, None)
    assert "NaN" in lost.errors[0]
    assert lost.break_point.verdict == "breaks"
    assert "the model raises ValueError" in lost.break_point.words
    assert None not in fine.score
    assert StressResult.from_json(result.to_json()) == result


def test_integers_and_booleans_that_lose_cells_reach_models_as_a_file_reader_gives_them():
    r = np.random.default_rng(0)
    X = pd.DataFrame({"n": r.integers(0, 99, 300), "b": r.random(300) < 0.5, "c": r.choice(["u", "v"], 300)})
    y = np.where(X.n > 50, "old", "young")
    encode = make_column_transformer(
        ("passthrough", ["n", "b"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["c"]),
    )
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=5)).fit(X, y)
    result = stress(model, X, y, noises="MissingValues", levels=[0.2])
    assert result.curves[0].errors == (None,)
    assert "as floats" in result.notes[0]


def test_too_few_rows_are_not_measurable_rather_than_passed(cancer):
    model, X, y = cancer
    result = stress(model, X[:40], y[:40], noises="GaussianNoise", scoring="accuracy")
    assert result.curves[0].break_point.verdict == "not measurable"
    assert "only 40 test rows" in result.curves[0].break_point.words


def test_a_sample_is_said_and_repeats_with_the_seed(cancer):
    model, X, y = cancer
    runs = [stress(model, X, y, noises="Outliers", levels=[0.1], max_rows=100, seed=s) for s in (1, 1, 2)]
    assert runs[0].provenance.sampled == "100 of 284 rows, at random"
    assert runs[0].curves == runs[1].curves
    assert runs[0].curves != runs[2].curves


def test_a_budget_gives_what_was_measured_in_it_and_says_what_was_left_out(cancer, monkeypatch):
    model, X, y = cancer
    monkeypatch.setattr(rounds.Rounds, "window", 4)

    def slow(table):
        time.sleep(0.05)
        return model.predict_proba(table)

    noises = [GaussianNoise(columns=(c,)) for c in X.columns[:12]]
    steps = [Step(n, f"noise {i}") for i, n in enumerate(noises)]
    result = stress(slow, X, y, noises=steps, levels=[0.1, 0.5], scoring="roc_auc", budget=0.0)
    known = {c.noise for c in result.curves}
    assert 0 < len(known) < 12
    assert not result.finished
    assert "time budget" in result.notes[-1]
    assert all(f"noise {i}" in known or f"noise {i}" in result.notes[-1] for i in range(12))


def test_ctrl_c_returns_what_was_measured_so_far(cancer, monkeypatch):
    model, X, y = cancer
    real = Bench.some

    def interrupted(self, step, *given):
        if step.name == "gaussian-noise":
            raise KeyboardInterrupt
        return real(self, step, *given)

    monkeypatch.setattr(Bench, "some", interrupted)
    monkeypatch.setattr(rounds, "STACK", 1)
    result = stress(model, X, y, noises=["Outliers", "GaussianNoise"], levels=[0.1])
    assert [c.noise for c in result.curves] == ["outliers"]
    assert "interrupted" in result.notes[-1]
    with pytest.raises(KeyboardInterrupt):
        stress(model, X, y, noises=["GaussianNoise"], levels=[0.1])


def test_distributions_show_the_columns_that_matter(cancer):
    model, X, y = cancer
    result = stress(model, X, y, noises=["Outliers"], levels=[0.1, 0.5])
    assert len(result.distributions) == 4
    assert [d.importance for d in result.distributions] == sorted(
        (d.importance for d in result.distributions), reverse=True
    )
    for d in result.distributions:
        assert sum(d.before) == sum(d.after) == len(y)
        assert d.before != d.after


def test_regression_scores_and_their_floor():
    X, y = load_diabetes(return_X_y=True)
    result = stress(Ridge(alpha=0.001).fit(X, y), X, y, noises="UnitErrors", levels=[0.5])
    (curve,) = result.curves
    assert curve.scoring == "r2"
    assert curve.score[0] < 0
    assert 0 <= curve.robustness < 1


def test_a_robust_scorer_does_not_vote_for_no_noise(cancer):
    _, X, y = cancer
    model = NoisyTraining(LogisticRegression(max_iter=5000), Outliers(0.1), random_state=0)
    search = GridSearchCV(
        NoisyTraining(make_pipeline(StandardScaler(), model.estimator), Outliers(0.0), random_state=0),
        {"recipe": [Outliers(0.0), Outliers(0.2)]}, scoring=robust_scorer("roc_auc", "Outliers"), cv=3,
    )  # fmt: skip
    assert search.fit(X, y).best_params_ == {"recipe": Outliers(0.2)}


WRONG = {
    "no such noise": (
        lambda m, X, y: stress(m, X, y, noises="Outlier"),
        SettingError,
        "Did you mean `Outliers`",
    ),
    "label noise": (lambda m, X, y: stress(m, X, y, noises=LabelFlips()), SettingError, "true labels"),
    "not applicable": (lambda m, X, y: stress(m, X, y, noises=Typos()), SettingError, "this table has none"),
    "level": (
        lambda m, X, y: stress(m, X, y, noises=MissingValues(), levels=[7]),
        SettingError,
        "Did you mean 0.07",
    ),
    "no levels": (lambda m, X, y: stress(m, X, y, levels=[]), SettingError, "at least one level"),
    "scorer": (lambda m, X, y: stress(m, X, y, scoring="roc_acu"), SettingError, "Did you mean `roc_auc`"),
    "scorer of numbers": (lambda m, X, y: stress(m, X, y, scoring="r2"), SettingError, "scores numbers"),
    "tolerance": (lambda m, X, y: stress(m, X, y, max_drop=0), SettingError, "above 0"),
    "repeats": (lambda m, X, y: stress(m, X, y, repeats=0), SettingError, "at least once"),
    "class": (lambda _, X, y: stress(Ridge, X, y), ModelError, "give an instance"),
    "no model": (lambda _, X, y: stress(3, X, y), ModelError, "has `predict`"),
    "unfitted": (lambda _, X, y: stress(LogisticRegression(), X, y), ModelError, "NotFittedError"),
    "rows": (lambda m, X, y: stress(m, X, y[:-1]), DataError, "one value for each"),
    "one class": (lambda m, X, y: stress(m, X, np.zeros(len(y), int)), DataError, "one class only"),
    "missing target": (
        lambda m, X, y: stress(m, X, np.where(y == 0, np.nan, 1.0)),
        DataError,
        "is missing in",
    ),
    "unknown class": (lambda m, X, y: stress(m, X, y + 1), DataError, "has not learnt"),
    "no rows": (lambda m, X, y: stress(m, X[:0], y[:0]), DataError, "nothing to test"),
    "infinite": (lambda m, X, y: stress(m, X.replace(X.iloc[0, 0], np.inf), y), DataError, "infinite"),
    "not a table": (lambda m, X, y: stress(m, X.to_dict(), y), DataError, "dict was given"),
    "empty column": (
        lambda m, X, y: stress(m, X.assign(e=np.nan), y),
        DataError,
        "No value in any row of `e`",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_one_clear_sentence(case, cancer):
    call, kind, said = WRONG[case]
    with pytest.raises(kind, match=said):
        call(*cancer)


def test_levels_that_changed_nothing_show_nothing_and_that_is_said():
    X = pd.DataFrame({"city": ["Bern", "Ulm"] * 50, "x": np.arange(100.0)})
    result = stress(
        lambda t: (t["x"] > 50).astype(int).to_numpy(), X, X["x"].gt(50).astype(int).to_numpy(),
        noises=[EncodingErrors(), GaussianNoise()], levels=[0.5], scoring="accuracy",
    )  # fmt: skip
    assert ["nothing changed" in line for line in result.verdicts()] == [True, False]
    assert [n for n in result.notes if "changed nothing" in n] == [
        "encoding errors changed nothing in these rows at any level: to pass there shows nothing"
    ]
