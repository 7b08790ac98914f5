"""The main job end to end: find the dose, train with it, prove it, or refuse with the numbers."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from hormesis import HardenResult, Recipe, Step, harden, hardening
from hormesis.engine.bench import Bench
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.ladder import Candidate, Ladder
from hormesis.noise import GaussianNoise, MissingValues, Outliers

FAST = {"cv": 2, "search_rows": 1500, "levels": [0.1, 0.3], "copies": 2}


def imputed(model):
    return make_pipeline(SimpleImputer(), model)


@pytest.fixture(scope="module")
def clones():
    """Eight readings of one quantity: a model should learn to look at all of them, as noise teaches it."""
    r = np.random.default_rng(0)
    truth = r.normal(size=2400)
    X = pd.DataFrame({f"sensor {i}": truth + 0.05 * i * r.normal(size=2400) for i in range(8)})
    return X, np.where(truth + 0.3 * r.normal(size=2400) > 0, "high", "low")


@pytest.fixture(scope="module")
def hardened(clones):
    X, y = clones
    model = HistGradientBoostingClassifier(max_iter=25, early_stopping=False)
    return harden(model, X, y, noises=["MissingValues", "GaussianNoise"], held_out=["SwapNoise"], **FAST)


def test_redundant_sensors_are_hardened_and_the_gain_is_shown(hardened):
    assert hardened.verdict == "harden"
    assert hardened.gain.low > 0
    assert hardened.clean_cost.high <= hardened.max_clean_drop
    assert hardened.recipe.steps
    assert {s.name for s in hardened.recipe.steps} <= {"missing-values", "gaussian-noise"}


def test_the_proof_is_on_rows_and_noises_that_training_never_saw(hardened, clones):
    assert hardened.proof.provenance.rows == 1000
    assert hardened.held_out == ("swap-noise",)
    assert hardened.held_out_gain is not None
    table = hardened.table()
    assert dict(zip(table["noise"], table["trained on"], strict=True))["swap noise"] == "held out"
    assert hardened.model.predict(clones[0]).shape == (2400,)


def test_results_travel_as_json_without_the_model(hardened):
    back = HardenResult.from_json(hardened.to_json())
    assert back.model is None
    assert back.recipe == hardened.recipe
    assert back.proof == hardened.proof
    assert back.trials == hardened.trials


def test_the_same_seed_gives_the_same_answer(hardened, clones):
    X, y = clones
    model = HistGradientBoostingClassifier(max_iter=25, early_stopping=False)
    again = harden(model, X, y, noises=["MissingValues", "GaussianNoise"], held_out=["SwapNoise"], **FAST)
    assert again.proof.curves == hardened.proof.curves
    assert again.trials == hardened.trials


def test_the_ladder_starts_small_and_stops_when_it_stops_improving(hardened):
    doses: dict[str, list] = {}
    for trial in hardened.trials:
        if trial.dose is not None:
            doses.setdefault(trial.recipe.rsplit(" ", 2)[0], []).append(trial)
    for rungs in doses.values():
        assert [t.dose for t in rungs] == sorted(t.dose for t in rungs)
        kept = [t.kept for t in rungs]
        assert (False, False) not in itertools.pairwise(kept[:-1])


def test_noise_that_cannot_help_is_refused_with_the_numbers():
    r = np.random.default_rng(0)
    X = r.normal(size=(2000, 2))
    y = (X[:, 0] > 0).astype(int)
    result = harden(LogisticRegression(), X, y, noises=["GaussianNoise"], held_out=["Outliers"], **FAST)
    assert result.verdict == "keep"
    assert result.reason.startswith("Keep your model")
    assert "cross-validated roc_auc" in result.reason or "is not shown" in result.reason
    assert result.model.predict(X).shape == (2000,)


def test_few_test_rows_cannot_certify_the_clean_cost():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    result = harden(
        imputed(HistGradientBoostingClassifier(max_iter=20, early_stopping=False)), X, y,
        noises=["GaussianNoise"], held_out=["Outliers"], max_clean_drop=0.001, **FAST,
    )  # fmt: skip
    assert result.verdict == "keep"


def test_unguarded_linear_regression_is_not_ruined_by_outliers():
    r = np.random.default_rng(1)
    X = pd.DataFrame(r.normal(size=(2000, 3)), columns=list("abc"))
    y = X["a"] * 3 + X["b"] + 0.5 * r.normal(size=2000)
    result = harden(imputed(LinearRegression()), X, y, noises=["Outliers"], held_out=["UnitErrors"], **FAST)
    assert result.guard
    assert result.clean_after > result.clean_before - 0.01
    assert result.gain.low > 0


def test_early_stopping_is_turned_off_and_said():
    X, y = make_classification(800, 6, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=10, early_stopping=True)
    result = harden(model, X, y, noises=["GaussianNoise"], held_out=["Outliers"], **FAST)
    assert any("early stopping is off" in n for n in result.proof.notes)


def test_a_candidate_that_raises_is_a_trial_that_failed():
    X, y = make_classification(800, 6, random_state=0)
    result = harden(LogisticRegression(), X, y, noises=["MissingValues"], held_out=["Outliers"], **FAST)
    failed = [t for t in result.trials if t.note.startswith("raises ValueError")]
    assert failed
    assert all(not t.kept for t in failed)


def test_ctrl_c_in_the_search_keeps_the_trials_and_proves_nothing(monkeypatch):
    X, y = make_classification(800, 6, random_state=0)
    real, count = Ladder.measure, iter(range(99))

    def interrupted(self, candidate):
        if next(count) == 3:
            raise KeyboardInterrupt
        return real(self, candidate)

    monkeypatch.setattr(Ladder, "measure", interrupted)
    result = harden(
        LogisticRegression(), X, y, noises=[GaussianNoise(), Outliers()], held_out=["SwapNoise"], **FAST
    )
    assert not result.finished
    assert len(result.trials) == 3
    assert "Nothing was proven" in result.reason
    assert HardenResult.from_json(result.to_json()).trials == result.trials


def test_a_budget_ends_the_search_and_is_said():
    X, y = make_classification(800, 6, random_state=0)
    result = harden(
        LogisticRegression(), X, y, held_out=["SwapNoise"], noises=[MissingValues()], budget=0.0, **FAST
    )
    assert len(result.trials) == 1
    assert any("budget of seconds" in n for n in result.proof.notes)


WRONG = {
    "rare class": (lambda X, y: harden(None, X, ["a"] * (len(y) - 3) + ["b"] * 3), DataError, "at least 8"),
    "constant": (lambda X, y: harden(None, X, np.ones(len(y))), DataError, "nothing to learn"),
    "folds": (lambda X, y: harden(None, X, y, cv=1), SettingError, "2 folds or more"),
    "both": (
        lambda X, y: harden(None, X, y, noises="Outliers", held_out="Outliers"),
        SettingError,
        "never saw",
    ),
    "test size": (lambda X, y: harden(None, X, y, test_size=2.0), DataError, "cannot be split"),
    "budget": (lambda X, y: harden(None, X, y, max_clean_drop=-1), SettingError, "0 or more"),
    "callable": (lambda X, y: harden(len, X, y), ModelError, "cannot be fitted"),
    "copies": (lambda X, y: harden(LogisticRegression(), X, y, copies=0), SettingError, "copies"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_one_clear_sentence(case):
    X, y = make_classification(200, 4, random_state=0)
    call, kind, said = WRONG[case]
    with pytest.raises(kind, match=said):
        call(X, y)


def test_held_out_noises_leave_the_search():
    X, y = make_classification(400, 5, random_state=0)
    result = harden(LogisticRegression(), X, y, held_out="GaussianNoise", **FAST)
    assert result.held_out == ("gaussian-noise",)
    assert "gaussian-noise" not in result.searched


def test_a_hardened_model_that_raises_where_the_plain_one_answers_is_refused(monkeypatch):
    r = np.random.default_rng(0)
    truth = r.normal(size=1600)
    X = np.column_stack([truth + 0.2 * i * r.normal(size=1600) for i in range(5)])
    y = (truth + 0.3 * r.normal(size=1600) > 0).astype(int)
    plain = HistGradientBoostingClassifier(max_iter=10, early_stopping=False)
    real = Ladder.climb

    def forced(self, *arguments):
        real(self, *arguments)
        self.model = clone(self.model)
        self.best = Unready(Recipe([GaussianNoise(0.3)]))

    monkeypatch.setattr(Ladder, "climb", forced)
    result = harden(plain, X, y, noises=["GaussianNoise"], held_out=["MissingValues"], **FAST)
    assert result.verdict == "keep"
    assert "raises under missing values" in result.reason


class Unready(Candidate):
    """A candidate whose model refuses missing values."""

    def build(self, model, copies, seed):
        return make_pipeline(FunctionTransformer(whole), model)


def whole(X):
    if np.isnan(X).any():
        raise ValueError("no gaps")
    return X


def test_a_plain_model_that_raises_has_no_skill_there():
    r = np.random.default_rng(0)
    X = pd.DataFrame(r.normal(size=(1200, 3)), columns=list("abc"))
    y = 10 * X["a"] + r.normal(size=1200)
    result = harden(
        LinearRegression(), X, y, noises=["MissingValues"], held_out=["Outliers"], scoring="neg_mean_absolute_error",
        max_clean_drop=0.5, **FAST,
    )  # fmt: skip
    assert result.trials[0].robust < result.trials[0].clean


@pytest.mark.parametrize("kind", ["polars", "arrow", "numpy with gaps"])
def test_every_kind_of_table_goes_through(kind):
    r = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": r.normal(size=600), "b": r.normal(size=600), "c": r.choice(["x", "y", "z"], 600)}
    )
    y = np.where(frame["a"] > 0.5, "high", np.where(frame["a"] < -0.5, "low", "middle"))
    frame.loc[::9, "b"] = np.nan
    made = {
        "polars": lambda: (None, pl.from_pandas(frame)),
        "arrow": lambda: (numbers_only(), pl.from_pandas(frame[["a", "b"]]).to_arrow()),
        "numpy with gaps": lambda: (imputed(LogisticRegression()), frame[["a", "b"]].to_numpy()),
    }
    model, X = made[kind]()
    result = harden(
        model, X, y, noises=["GaussianNoise"], held_out=["MissingValues"], **FAST | {"search_rows": 300}
    )
    assert result.scoring == "accuracy"
    assert all(None not in c.score for c in result.proof.curves)
    assert not [t for t in result.trials if "raises" in t.note]


def numbers_only():
    return make_pipeline(
        FunctionTransformer(as_array), HistGradientBoostingClassifier(max_iter=5, early_stopping=False)
    )


def as_array(table):
    return np.column_stack([np.asarray(c, dtype=float) for c in table.columns])


def test_rows_that_repeat_are_said():
    X, y = make_classification(300, 4, random_state=0)
    result = harden(
        LogisticRegression(),
        np.vstack([X, X]),
        np.append(y, y),
        noises=["GaussianNoise"],
        held_out=["Outliers"],
        **FAST,
    )
    assert any("300 of 600 rows repeat" in n for n in result.proof.notes)


def test_training_search_and_proof_never_share_an_address(monkeypatch):
    X, y = make_classification(400, 4, random_state=0)
    seen: dict[str, set] = {"train": set(), "search": set(), "proof": set(), "elsewhere": set()}
    real, training, cell = Step.touch, Recipe.training_rows, Bench.some
    part = ["elsewhere"]

    def touch(self, table, profile, draw, row_id=None):
        seen[part[-1]].add((draw.seed, self.name))
        return real(self, table, profile, draw, row_id)

    def within(name, function):
        def wrapped(*arguments, **settings):
            part.append(name)
            try:
                return function(*arguments, **settings)
            finally:
                part.pop()

        return wrapped

    monkeypatch.setattr(Step, "touch", touch)
    monkeypatch.setattr(Recipe, "training_rows", within("train", training))
    monkeypatch.setattr(Bench, "some", within("proof", cell))
    monkeypatch.setattr(hardening, "folds_of", within("search", hardening.folds_of))
    harden(LogisticRegression(), X, y, noises=["GaussianNoise"], held_out=["Outliers"], **FAST)
    assert all(seen.values())
    assert not seen["train"] & seen["proof"]
    assert not seen["train"] & seen["search"]
    assert not seen["search"] & seen["proof"]
