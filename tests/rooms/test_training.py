"""NoisyTraining: every estimator check, noise at fit only, weights repeated, dtypes and names kept."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from hormesis import Guard, NoisyTraining, Recipe
from hormesis.errors import DataError, SettingError
from hormesis.noise import (
    CovariateShift,
    DropRows,
    DuplicateRows,
    GaussianNoise,
    LabelFlips,
    LabelSmoothing,
    MissingValues,
    Outliers,
    PriorShift,
    RegressionLabelNoise,
    ShuffledRows,
    Typos,
    Where,
)
from hormesis.noise.base import SchemaNoise, noise
from hormesis.noise.record import CATALOGUE
from hormesis.noise.units import ColumnFraction

MODELS = [
    LogisticRegression(),
    Ridge(),
    RandomForestClassifier(n_estimators=5, random_state=0),
    HistGradientBoostingClassifier(max_iter=5),
    GaussianNB(),
]
RECIPE = Recipe([GaussianNoise(0.1), Outliers(0.05)])


def expected(estimator):
    if isinstance(estimator, Guard):
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": (
            "each row gets its own noise, so weight 2 is not the same as giving a row twice"
        )
    }


@pytest.mark.filterwarnings("ignore")  # scikit-learn's own models warn inside its checks
@parametrize_with_checks(
    [*(NoisyTraining(m, RECIPE, random_state=0) for m in MODELS), Guard()], expected_failed_checks=expected
)
def test_passes_every_estimator_check(estimator, check):
    check(estimator)


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None, extra=None):
        self.X_, self.y_, self.sample_weight_, self.extra_ = X, y, sample_weight, extra
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def table(n=40):
    r = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": r.normal(size=n).astype("float32"),
            "b": r.integers(0, 9, n),
            "c": pd.Categorical(r.choice(["x", "y"], n)),
        }
    )


def test_the_model_sees_clean_rows_then_fresh_copies():
    X, y = table(), np.arange(40) % 2
    spy = NoisyTraining(Spy(), GaussianNoise(0.5), copies=2, random_state=0).fit(X, y).estimator_
    assert len(spy.X_) == 120
    pd.testing.assert_frame_equal(spy.X_.iloc[:40], X)
    first, second = spy.X_["a"].to_numpy()[40:80], spy.X_["a"].to_numpy()[80:]
    assert (first != second).all()
    assert (spy.y_ == np.tile(y, 3)).all()


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_frames_keep_names_and_dtypes_for_the_inner_model(kind):
    X = table()
    given = {"pandas": X, "polars": pl.from_pandas(X), "arrow": pl.from_pandas(X).to_arrow()}[kind]
    spy = NoisyTraining(Spy(), [GaussianNoise(0.1), Typos(0.2)], copies=1, random_state=0)
    seen = spy.fit(given, np.arange(40) % 2).estimator_.X_
    assert type(seen) is type(given)
    schema = (lambda t: t.schema) if kind != "pandas" else (lambda t: dict(t.dtypes))
    assert schema(seen) == schema(given)


def test_unseen_categories_of_noisy_copies_become_missing_as_models_take_them():
    seen = (
        NoisyTraining(Spy(), Typos(1.0), copies=1, random_state=0)
        .fit(table(), np.arange(40) % 2)
        .estimator_.X_
    )
    assert list(seen["c"].cat.categories) == ["x", "y"]
    assert seen["c"].isna().sum() == 40


def test_weights_and_other_parameters_per_row_are_repeated_and_others_left_alone():
    X, y = np.random.default_rng(0).normal(size=(10, 2)), np.arange(10) % 2
    w = np.arange(10.0)
    model = NoisyTraining(Spy(), GaussianNoise(0.1), copies=2, random_state=0)
    assert (model.fit(X, y, sample_weight=w, extra=w + 1).estimator_.sample_weight_ == np.tile(w, 3)).all()
    assert (model.estimator_.extra_ == np.tile(w + 1, 3)).all()
    assert model.fit(X, y, extra="word").estimator_.extra_ == "word"


def test_predictions_never_see_noise(monkeypatch):
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    model = NoisyTraining(LogisticRegression(), GaussianNoise(1.0), random_state=0).fit(X, y)
    before = model.predict_proba(X)

    def forbidden(*_, **__):
        raise AssertionError("noise at predict")

    monkeypatch.setattr(GaussianNoise, "touch", forbidden)
    assert (model.predict_proba(X) == before).all()
    assert (model.predict_proba(X) == model.estimator_.predict_proba(X)).all()


def test_one_seed_one_model_and_no_seed_another():
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2

    def coefficients(seed):
        return (
            NoisyTraining(LogisticRegression(), GaussianNoise(1.0), random_state=seed)
            .fit(X, y)
            .estimator_.coef_
        )

    assert (coefficients(1) == coefficients(1)).all()
    assert (coefficients(1) != coefficients(2)).any()
    assert (coefficients(None) != coefficients(None)).any()


def test_label_noise_changes_the_copies_labels_only():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.array(["no", "yes"] * 20)
    spy = (
        NoisyTraining(Spy(), [GaussianNoise(0.1), LabelFlips(1.0)], copies=1, random_state=0)
        .fit(X, y)
        .estimator_
    )
    assert (spy.y_[:40] == y).all()
    assert (spy.y_[40:] != y).all()


def test_a_pipelines_transformers_learn_from_clean_rows_alone():
    X, y = table(), np.arange(40) % 2
    pipe = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["c"]), (SimpleImputer(), ["a", "b"])
        ),
        LogisticRegression(),
    )
    recipe = [Outliers(0.5, magnitude=1000.0), Typos(0.5), MissingValues(0.3)]
    fitted = NoisyTraining(pipe, recipe, copies=2, random_state=0).fit(X, y).estimator_
    plain = clone(pipe).fit(X, y)
    imputers = [p[0].named_transformers_["simpleimputer"].statistics_ for p in (fitted, plain)]
    assert (imputers[0] == imputers[1]).all()
    assert len(fitted[0].named_transformers_["onehotencoder"].categories_[0]) == 2
    assert fitted.predict(X).shape == (40,)


def spied(recipe, X, y, *, model=None, **settings):
    """Return what the model saw of a recipe: one noisy copy."""
    fitted = NoisyTraining(model or Spy(), recipe, copies=1, random_state=0).fit(X, y, **settings)
    return fitted.estimator_


ROWS = [
    DuplicateRows(0.5, copies=2),
    DropRows(0.4),
    PriorShift(0.5),
    CovariateShift(0.5, columns=("a",)),
    [DropRows(0.2), GaussianNoise(0.1, columns=("b",)), DuplicateRows(0.5), PriorShift(0.3)],
]


@pytest.mark.parametrize("recipe", ROWS, ids=str)
@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "numpy"])
def test_labels_weights_and_other_parameters_follow_their_rows(recipe, kind):
    n = 200
    X = table(n)[["a", "b"]].assign(row=np.arange(n))
    given = {
        "pandas": X,
        "polars": pl.from_pandas(X),
        "arrow": pl.from_pandas(X).to_arrow(),
        "numpy": X.to_numpy(),
    }
    if kind == "numpy":
        column = {"a": 0, "b": 1}
        recipe = Recipe(recipe)
        recipe = [
            s.noise
            if isinstance(s.noise.columns, str)
            else type(s.noise)(s.noise.level, columns=tuple(column[c] for c in s.noise.columns))
            for s in recipe.steps
        ]
    y = np.where(np.arange(n) % 5 == 0, "rare", "often")
    weight = np.arange(n) + 0.5
    saw = spied(recipe, given[kind], y, sample_weight=weight, extra=pd.Series(weight).tolist())
    last = saw.X_[:, 2] if kind == "numpy" else np.asarray(saw.X_["row"])
    source = last.astype(int)
    assert source[:n].tolist() == list(range(n))
    assert source[n:].tolist() != list(range(n))
    assert (saw.y_ == y[source]).all()
    assert (saw.sample_weight_ == weight[source]).all()
    assert (saw.extra_ == saw.sample_weight_).all()


def test_the_balance_of_labels_shifts_in_the_copies_alone():
    n = 4000
    X, y = np.random.default_rng(0).normal(size=(n, 3)), np.repeat(["no", "yes"], [3600, 400])
    saw = spied(PriorShift(1.0, toward={"no": 1, "yes": 1}), X, y).y_
    assert (saw[:n] == y).all()
    assert (saw[n:] == "yes").sum() == 400
    low, high = binom.ppf([5e-7, 1 - 5e-7], 3600, 400 / 3600)
    assert low <= (saw[n:] == "no").sum() <= high


def test_a_named_column_is_balanced_instead_of_the_labels():
    X, y = table(400), np.arange(400) % 2
    saw = spied(PriorShift(1.0, toward="x", columns=("c",)), X, y)
    assert set(saw.X_["c"][400:]) == {"x"}
    assert set(saw.y_[400:]) == {0, 1}


def test_noisy_labels_are_those_of_their_rows():
    n = 300
    X, y = np.arange(n)[:, None], np.arange(n) % 2
    flipped = spied(LabelFlips(0.3), X, y).y_[n:]
    saw = spied([LabelFlips(0.3), DuplicateRows(0.5)], X, y)
    assert (saw.y_[n:] == flipped[saw.X_[n:, 0]]).all()


def test_rows_joined_to_the_wrong_features_keep_their_labels():
    X, y = np.arange(100)[:, None], np.arange(100)
    saw = spied(ShuffledRows(1.0), X, y)
    assert (saw.y_[100:] == y).all()
    assert (saw.X_[100:, 0] != y).all()


def test_a_copy_that_lost_all_rows_is_left_out():
    X, y = np.random.default_rng(0).normal(size=(10, 2)), np.arange(10) % 2
    assert len(spied(DropRows(1.0), X, y).X_) == 10
    pipe = make_pipeline(SimpleImputer(), LogisticRegression())
    assert NoisyTraining(pipe, DropRows(1.0), random_state=0).fit(X, y).predict(X).shape == (10,)


@pytest.mark.parametrize("kind", ["array", "series", "polars"])
def test_smoothed_labels_are_one_weighted_row_per_class(kind):
    n, classes = 90, np.array(["a", "b", "c"])
    X, y = np.arange(n)[:, None], classes[np.arange(n) % 3]
    given = {"array": y, "series": pd.Series(y, dtype="category"), "polars": pl.Series("y", y.tolist())}[kind]
    weight = np.arange(n) + 1.0
    saw = spied(LabelSmoothing(0.3), X, given, sample_weight=weight)
    rows, labels = saw.X_[n:, 0], np.asarray(saw.y_)[n:]
    assert len(rows) == 3 * n
    assert len({*zip(rows.tolist(), labels.tolist(), strict=True)}) == 3 * n
    np.testing.assert_allclose(saw.sample_weight_[n:], weight[rows] * np.where(y[rows] == labels, 0.8, 0.1))
    assert (saw.sample_weight_[:n] == weight).all()
    assert (spied(LabelSmoothing(0.3), X, given).sample_weight_[:n] == 1).all()


def test_smoothing_is_the_loss_of_smoothed_labels():
    """The gradient of the log loss at the fitted coefficients is zero under the smoothed labels."""
    X, y = load_iris(return_X_y=True)
    y = (y == 1).astype(int)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    fitted = NoisyTraining(model, LabelSmoothing(0.4), copies=1, random_state=0).fit(X, y)
    soft = 0.5 * y + 0.5 * (0.6 * y + 0.2)
    error = fitted.predict_proba(X)[:, 1] - soft
    assert np.abs(X.T @ error).max() < 1e-3


def test_smoothing_works_in_a_pipeline_and_beside_other_noise():
    X, y = table(60), np.arange(60) % 3
    pipe = make_pipeline(SimpleImputer(), GaussianNB())
    recipe = [GaussianNoise(0.1), LabelFlips(0.1), LabelSmoothing(0.2), DuplicateRows(0.2)]
    fitted = NoisyTraining(pipe, recipe, copies=2, random_state=0).fit(X[["a", "b"]], y)
    assert fitted.predict_proba(X[["a", "b"]]).shape == (60, 3)


class Weightless(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        return self


def test_smoothing_needs_a_model_with_weights():
    X, y = np.ones((6, 1)), np.arange(6) % 2
    with pytest.raises(SettingError, match=r"`Weightless.fit` takes no `sample_weight`: use LabelFlips"):
        spied(LabelSmoothing(0.1), X, y, model=make_pipeline(SimpleImputer(), Weightless()))
    assert len(spied(LabelSmoothing(0.0), X, y).X_) == 12


def test_smoothing_needs_classes():
    with pytest.raises(DataError, match=r"`LabelSmoothing` needs classes"):
        spied(LabelSmoothing(0.1), np.ones((200, 1)), np.linspace(0, 1, 200), model=Ridge())


def test_errors_of_a_regression_target_are_in_the_copies_alone():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.linspace(0, 1, 40)
    saw = spied(RegressionLabelNoise(0.5), X, y).y_
    assert (saw[:40] == y).all()
    assert (saw[40:] != y).all()


@pytest.fixture
def schema_noise():
    @noise
    class LostColumns(SchemaNoise):
        """Lose columns."""

        level: ColumnFraction = 0.1
        columns: str = "any"
        applies_to = ("number",)

        def alter(self, table, hit, profile, draw):
            return table

    yield LostColumns
    del CATALOGUE["LostColumns"]


def test_noise_of_whole_columns_is_refused(schema_noise):
    with pytest.raises(SettingError, match=r"`LostColumns` changes whole columns.*leave it out of training"):
        spied(schema_noise(0.5), np.ones((4, 1)), np.arange(4) % 2)


def test_nets_whose_epochs_have_the_rows_of_the_table_refuse_noise_of_rows():
    pytest.importorskip("torch")
    nets = pytest.importorskip("hormesis.torch.nets.estimators")
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    with pytest.raises(
        SettingError, match=r"`DropRows` changes which rows .* apply it to the table before `fit`"
    ):
        nets.TabularNetClassifier(recipe=DropRows(0.1), epochs=1).fit(X, y)


def test_labels_stand_alone_so_that_other_columns_cannot_drive_them():
    X, y = table(), np.arange(40) % 2
    with pytest.raises(SettingError, match=r"`a`.*flip the label column of the table before `fit`"):
        spied(LabelFlips(0.1, where=Where("MAR", driver="a")), X, y)


def test_copies_must_be_a_whole_number():
    with pytest.raises(SettingError, match="copies is a whole number"):
        NoisyTraining(Ridge(), RECIPE, copies=1.5).fit(np.ones((3, 1)), np.arange(3.0))


def test_a_guard_brings_back_what_is_near_and_loses_what_is_far():
    guard = Guard().fit(pd.DataFrame({"a": [0.0, 10.0], "b": ["x", "y"]}))
    out = guard.transform(pd.DataFrame({"a": [-1.0, 5.0, 11.0, 99.0], "b": ["q", "x", "y", "x"]}))
    assert out["a"].tolist()[:3] == [0.0, 5.0, 10.0]
    assert np.isnan(out["a"][3])
    assert out["b"].tolist() == ["q", "x", "y", "x"]
    near = Guard(beyond="median").fit(np.array([[0.0], [4.0], [10.0]]))
    assert near.transform(np.array([[99.0]]))[0, 0] == 4.0


def test_numbers_of_a_regression_do_not_make_new_classes():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(
        SettingError, match="`RegressionLabelNoise` moves numbers, and `GaussianNB` learns classes"
    ):
        NoisyTraining(GaussianNB(), Recipe([RegressionLabelNoise(3.0)])).fit(X, y)
