"""Scores of any model: answers in any form, classes in any order, few or perfect rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from hormesis import Profile, StressResult, stress
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.models import Answers
from hormesis.scoring import scorers
from hormesis.statistics import METRICS, drop_of

X, Y = make_classification(400, 5, n_informative=3, random_state=0)


def told(y, labels, proba=None):
    """Answers that are there already."""
    answers = Answers(None, None, np.unique(y), "classification")
    answers.labels, answers.proba = labels, proba
    return answers


def made(scoring, y, groups=None, model=None, task="classification"):
    classes = np.unique(y) if task == "classification" else np.array([])
    return scorers(scoring, model, y, classes, task, 0, groups)[0]


class Reversed(ClassifierMixin, BaseEstimator):
    """The same model, its classes in another order."""

    def __init__(self, inner=None):
        self.inner = inner
        self.classes_ = inner.classes_[::-1]

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return self.inner.predict(X)

    def predict_proba(self, X):
        return self.inner.predict_proba(X)[:, ::-1]


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "neg_brier_score", "f1", "average_precision"])
def test_the_order_of_a_models_classes_changes_nothing(scoring):
    model = LogisticRegression().fit(X, Y)
    result = stress(
        {"as is": model, "reversed": Reversed(model)},
        X,
        Y,
        noises="GaussianNoise",
        levels=0.5,
        scoring=scoring,
    )
    one, other = result.curves
    assert one.clean == other.clean
    assert one.score == other.score


@pytest.mark.parametrize("labels", [["b", "a"], [True, False], [0.0, 1.0], [7, -3]], ids=repr)
def test_any_labels_score_alike(labels):
    y = np.asarray(labels)[Y]
    model = LogisticRegression().fit(X, y)
    assert stress(model, X, y, noises="Outliers", levels=0.1, scoring="accuracy").curves[
        0
    ].clean == pytest.approx(model.score(X, y))


def test_a_model_with_a_decision_function_alone_is_ranked_by_it():
    from sklearn.metrics import roc_auc_score

    model = SVC().fit(X, Y)
    (curve,) = stress(model, X, Y, noises="Outliers", levels=0.1).curves
    assert curve.scoring == "roc_auc"
    assert curve.clean == pytest.approx(roc_auc_score(Y, model.decision_function(X)))


def test_answers_of_one_column_are_answers():
    y = X[:, :1] * 3
    model = LinearRegression().fit(X, y)
    assert stress(model, X, y, noises="Outliers", levels=0.1).curves[0].clean == pytest.approx(1.0)


def test_a_model_that_answers_nan_has_not_answered():
    def sigmoid(table):
        return 1 / (1 + np.exp(-table.sum(axis=1)))

    result = stress(sigmoid, X, Y, noises="MissingValues", levels=[0.1, 0.2], scoring=["roc_auc", "accuracy"])
    for curve in result.curves:
        assert curve.score == (None, None)
        assert "answers NaN" in curve.errors[0]
    assert StressResult.from_json(result.to_json()) == result


def test_a_profile_of_other_columns_is_refused_rather_than_passed():
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = LogisticRegression().fit(X, Y)
    with pytest.raises(DataError, match="not in both"):
        stress(model, X, Y, profile=Profile.learn(frame))


def share_right(model, X, y):
    """Accuracy as a scorer that nothing is known of."""
    return float(np.mean(model.predict(X) == y))


@pytest.mark.parametrize("name", ["balanced_accuracy", "accuracy", "f1", "matthews_corrcoef", share_right])
def test_a_perfect_model_is_not_certain(name):
    """True drop 0.01 from a perfect score: 200 rows hardly see it, and the interval must say so."""
    r = np.random.default_rng(0)
    hits, runs = 0, 200
    for _ in range(runs):
        y = np.arange(200) % 2
        scorer = made(name, y)
        answers = [told(y, said) for said in (y, np.where(r.random(200) < 0.01, 1 - y, y))]
        clean, noisy = map(scorer.sample, answers)
        low, high = drop_of(clean, [noisy], scorer.unseen(clean, answers[0])).interval()
        truth = 0.02 if name == "matthews_corrcoef" else 0.01
        hits += low <= truth <= high
    assert hits >= binom.ppf(1e-6, runs, 0.93)


@pytest.mark.parametrize(
    ("scoring", "value"),
    [("roc_auc", 0.5), ("accuracy", 0.75), ("neg_log_loss", 0.25 * np.log(0.25) + 0.75 * np.log(0.75))],
)
def test_no_skill_knows_the_classes_and_not_the_rows(scoring, value):
    y = np.array([0, 1, 1, 1] * 25)
    (scorer,) = scorers(scoring, None, y, np.array([0, 1]), "classification", 0)
    assert scorer.no_skill.value == pytest.approx(value)


def test_no_skill_in_numbers_is_the_mean():
    y = np.arange(10.0)
    assert scorers("r2", None, y, np.array([]), "regression", 0)[0].floor == pytest.approx(0.0)
    assert scorers("neg_mean_absolute_error", None, y, np.array([]), "regression", 0)[
        0
    ].floor == pytest.approx(-2.5)


def test_rare_classes_are_not_measurable_where_they_carry_the_score():
    y = np.array([0] * 393 + [1] * 7)
    model = LogisticRegression().fit(X, Y)
    for scoring in ("roc_auc", "balanced_accuracy"):
        (curve,) = stress(model, X, y, noises="Outliers", levels=0.1, scoring=scoring).curves
        assert "only 7 test rows" in curve.break_point.words


def test_settings_that_nobody_reads_are_refused():
    model = LogisticRegression().fit(X, Y)
    with pytest.raises(SettingError, match="Did you mean `GaussianNoise`"):
        stress(model, X, Y, noises="GaussianNoise", levels={"GausianNoise": [0.1]})
    with pytest.raises(SettingError, match="at least one scorer"):
        stress(model, X, Y, scoring=[])


def test_labels_alone_cannot_be_ranked():
    class Words:
        def predict(self, X):
            return Y[: len(X)]

    with pytest.raises(ModelError, match="no predict_proba"):
        stress(Words(), X, Y, scoring="roc_auc")


def test_a_scorer_on_some_rows_is_the_scorer_of_those_rows():
    r = np.random.default_rng(0)
    y, labels, groups = r.integers(0, 3, 200), r.integers(0, 3, 200), r.integers(0, 40, 200)
    for rows in (60, slice(20, 90), np.arange(0, 200, 3), y > 0):
        chosen = slice(rows) if isinstance(rows, int) else rows
        for scoring in ("f1_weighted", share_right):
            part = made(scoring, y, groups).on(rows).sample(told(y[chosen], labels[chosen]))
            other = made(scoring, y[chosen], groups[chosen]).sample(told(y[chosen], labels[chosen]))
            assert part.value == other.value
            assert np.sort(np.abs(part.influence)).sum() > 0
            if scoring in METRICS:  # the blocks of a jackknife are drawn anew, those of the groups are not
                assert np.sort(part.influence) == pytest.approx(np.sort(other.influence))


@pytest.mark.parametrize(
    ("scoring", "model", "needed"),
    [
        ("accuracy", LogisticRegression(), {"labels"}),
        ("roc_auc", LogisticRegression(), {"proba"}),
        ("roc_auc", SVC(), {"decision"}),
        ("average_precision", SVC(), {"decision"}),
        ("neg_log_loss", LogisticRegression(), {"proba"}),
        ("jaccard", SVC(), {"labels"}),
        (
            lambda model, X, y: float(model.predict_proba(X)[:, 1] @ model.predict(X) / len(y)),
            LogisticRegression(),
            {"labels", "proba"},
        ),
    ],
)
def test_a_scorer_says_which_answers_it_needs(scoring, model, needed):
    fitted = model.fit(X, Y)
    assert (
        made(scoring, Y, model=fitted).asks(Answers(fitted, X, np.array([0, 1]), "classification")) == needed
    )


def test_influences_of_a_group_are_summed():
    y, labels = np.array([0, 1] * 30), np.array([0, 1, 1] * 20)
    groups = np.repeat(list("abcdefghijkl"), 5)
    alone, grouped = (
        made("accuracy", y).sample(told(y, labels)),
        made("accuracy", y, groups).sample(told(y, labels)),
    )
    sums = alone.influence.reshape(12, 5).mean(axis=1)
    assert grouped.influence == pytest.approx(sums / np.sqrt(1 - 5 / 60))
    assert made("accuracy", y, np.arange(60)).group is None
    assert made("accuracy", y, groups).units == 12


def test_a_jackknife_leaves_out_whole_groups_and_agrees_with_the_influence():
    r = np.random.default_rng(1)
    y, groups = r.integers(0, 2, 3000), np.repeat(np.arange(120), 25)
    labels = np.where(r.random(3000) < 0.05 + 0.4 * r.random(120)[groups], 1 - y, y)
    known = made("accuracy", y, groups).sample(told(y, labels))
    found = made(share_right, y, groups).sample(told(y, labels))
    assert found.influence.size == 50
    se = [np.sqrt(s.influence @ s.influence) / s.influence.size for s in (known, found)]
    assert se[1] == pytest.approx(se[0], rel=0.4)
    assert made(share_right, y, groups).unseen(found, told(y, labels)) == pytest.approx(50 / 120, rel=0.01)


@pytest.mark.parametrize(("kind", "size"), [("equal", 40), ("unequal", 40), ("equal", 150)])
def test_rows_in_groups_are_covered_where_rows_alone_are_not(kind, size):
    """Groups differ in how good the model is and in how much noise harms it; the truth is that of 20,000 groups."""
    r = np.random.default_rng(2)

    def draw(count):
        rows = np.full(count, 10) if kind == "equal" else r.geometric(0.1, count)
        group = np.repeat(np.arange(count), rows)
        harm = np.minimum(0.9, 0.1 * np.exp(r.normal(size=count)))[group]
        right = r.random(group.size) < (0.7 + 0.25 * r.random(count))[group]
        lost = right & (r.random(group.size) < harm)
        return group, right, right & ~lost

    _, before, after = draw(20_000)
    truth, hits, alone = before.mean() - after.mean(), 0, 0
    for _ in range(200):
        group, right, still = draw(size)
        y = np.arange(group.size) % 2
        for groups in (group, None):
            scorer = made("accuracy", y, groups)
            clean, noisy = (scorer.sample(told(y, np.where(said, y, 1 - y))) for said in (right, still))
            low, high = drop_of(clean, [noisy], scorer.unseen(clean)).interval()
            hits += (low <= truth <= high) and groups is not None
            alone += (low <= truth <= high) and groups is None
    assert hits >= binom.ppf(1e-6, 200, 0.94)
    assert alone < hits


def test_a_group_that_was_not_seen_to_change_is_not_certain():
    y, groups = np.arange(400) % 2, np.repeat(np.arange(40), 10)
    scorer = made("accuracy", y, groups)
    clean = scorer.sample(told(y, y))
    assert drop_of(clean, [clean] * 3, scorer.unseen(clean)).interval()[1] > 0.07


def test_groups_that_cannot_be_used_are_refused_in_words():
    y = np.arange(60) % 2
    with pytest.raises(DataError, match="one label for each of the 60 rows"):
        made("accuracy", y, np.arange(59))
    with pytest.raises(DataError, match="missing in 1 of 60 rows"):
        made("accuracy", y, [None, *"ab" * 29, "c"])
    with pytest.raises(DataError, match="1 group only"):
        made("accuracy", y, ["a"] * 60)
    assert (
        made("accuracy", y, np.arange(60) % 6).too_few(0.5)
        == "only 6 groups; an interval over groups needs 10"
    )
    rare = made("f1_macro", np.array([0] * 50 + [1] * 10), np.repeat(np.arange(12), 5))
    assert "only 2 groups with test rows of the rarest class" in rare.too_few(0.5)


def test_more_classes_than_two_are_ranked_one_against_the_rest():
    y = np.arange(90) % 3
    with pytest.raises(SettingError, match="Use roc_auc_ovr"):
        made("roc_auc", y)
    with pytest.raises(SettingError, match="Use f1_macro"):
        made("f1", y)
    assert made(None, y, model=LogisticRegression()).name == "accuracy"
    model = LogisticRegression().fit(X, Y + (X[:, 0] > 1))
    (curve,) = stress(
        model, X, Y + (X[:, 0] > 1), noises="Outliers", levels=0.1, scoring="roc_auc_ovr"
    ).curves
    assert 0.5 < curve.score[0] < curve.clean


@pytest.mark.parametrize(
    "scoring", ["neg_log_loss", "roc_auc_ovr", "neg_brier_score", "roc_auc", "average_precision"]
)
def test_a_model_of_labels_alone_does_not_fit_a_scorer_of_probabilities(scoring):
    class Words:
        def predict(self, X):
            return Y[: len(X)]

    with pytest.raises(
        ModelError, match=f"`{scoring}` needs .* Words has no predict_proba.*such as accuracy"
    ):
        made(scoring, Y, model=Words())


@pytest.mark.parametrize(
    ("scoring", "task", "said"),
    [("r2", "classification", "scores numbers"), ("f1_macro", "regression", "scores classes")],
)
def test_scorers_of_numbers_and_of_classes_are_not_mixed_up(scoring, task, said):
    with pytest.raises(SettingError, match=said):
        made(scoring, np.arange(60) % 2, task=task)


def test_scorers_that_raise_or_give_no_number_are_named():
    def careless(model, X, y):
        return float("nan")

    def broken(model, X, y):
        raise KeyError("weight")

    answers = told(Y, Y)
    with pytest.raises(SettingError, match="scorer `careless` gives nan for 400 rows"):
        made(careless, Y).sample(answers)
    with pytest.raises(
        SettingError, match="scorer `broken` raises on the model's answers: KeyError: 'weight'"
    ):
        made(broken, Y).sample(answers)
    ones = np.flatnonzero(Y)[:150]
    with pytest.raises(SettingError, match="`roc_auc` gives nan for 150 rows of one class only"):
        made("roc_auc", Y).on(ones).sample(told(Y, Y[ones], np.tile([0.5, 0.5], (150, 1))))
    assert "only one class" in made("roc_auc", Y).on(np.flatnonzero(Y)).too_few(0.1)
    with pytest.raises(SettingError, match="is a int: give the name"):
        made({"mine": 3}, Y)


def test_what_a_model_raises_is_not_laid_at_the_scorers_door():
    class Silent:
        classes_ = np.array([0, 1])

        def predict(self, X):
            raise ValueError("no GPU today")

    model = Silent()
    with pytest.raises(ValueError, match="no GPU today"):
        made("jaccard", Y, model=model).sample(Answers(model, X, model.classes_, "classification"))
