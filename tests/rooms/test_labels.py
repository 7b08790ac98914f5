"""Label flips: who becomes whom, and what is no label."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import binom, chi2, norm
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from hormesis import hardness
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.noise import LabelFlips, LabelSmoothing, RegressionLabelNoise, Where
from hormesis.profile import Profile
from hormesis.recipe import Recipe

N = 9000
LETTERS = np.array(list("abc"))[np.arange(N) % 3]


def matrix(before, after):
    """Count who became whom."""
    return pd.crosstab(np.asarray(before), np.asarray(after)).to_numpy()


def within(count, n, p):
    low, high = binom.ppf([5e-7, 1 - 5e-7], n, p)
    return low <= count <= high


@pytest.mark.parametrize(
    "labels",
    [
        LETTERS,
        LETTERS.astype(object),
        np.arange(N) % 3,
        (np.arange(N) % 3).astype(np.uint8),
        (np.arange(N) % 3).astype(float),
        pd.Series(LETTERS, dtype="category"),
        pd.Series(LETTERS, name="target"),
        pl.Series("target", LETTERS.tolist()),
        pl.Series("target", LETTERS.tolist(), dtype=pl.Enum(["c", "b", "a"])),
    ],
    ids=lambda labels: f"{type(labels).__module__}-{labels.dtype}",
)
def test_symmetric_flips_go_to_every_other_class_alike(labels):
    out = LabelFlips(0.3).apply(labels)
    assert type(out) is type(labels)
    assert out.dtype == labels.dtype
    found = matrix(labels, out)
    for i in range(3):
        assert within(found[i, i], N // 3, 0.7)
        assert all(within(found[i, j], N // 3, 0.15) for j in range(3) if j != i)


@pytest.mark.parametrize("labels", [np.arange(N) % 2 == 0, pd.Series(np.arange(N) % 2 == 0, dtype="boolean")])
def test_booleans_flip(labels):
    out = LabelFlips(1.0).apply(labels)
    assert out.dtype == labels.dtype
    assert (out == ~labels).all()


@pytest.mark.parametrize("labels", [np.arange(N) % 3, (np.arange(N) % 3).astype(float)])
@pytest.mark.parametrize("key", [1, "1"])
def test_by_class_scales_the_level_of_some_classes(labels, key):
    found = matrix(labels, LabelFlips(0.4, by_class={key: 0.5, 2: 0}).apply(labels))
    assert within(N // 3 - found[0, 0], N // 3, 0.4)
    assert within(N // 3 - found[1, 1], N // 3, 0.2)
    assert found[2, 2] == N // 3


def test_transitions_say_where_the_labels_of_a_class_go():
    flips = LabelFlips(0.5, transition={"a": {"b": 3.0, "c": 1.0}, "b": {"c": 1.0}})
    found = matrix(LETTERS, flips.apply(LETTERS))
    assert within(found[0, 1], N // 3, 0.375)
    assert within(found[0, 2], N // 3, 0.125)
    assert found[1, 0] == 0
    assert within(found[1, 2], N // 3, 0.5)
    assert within(found[2, 0], N // 3, 0.25)


def test_a_full_noise_matrix_can_be_told():
    wanted = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.0, 1.0]])
    stay = {"abc"[i]: 1 - wanted[i, i] for i in range(3)}
    rows = {"abc"[i]: {"abc"[j]: wanted[i, j] for j in range(3) if j != i and wanted[i, j]} for i in range(2)}
    found = matrix(LETTERS, LabelFlips(1.0, by_class=stay, transition=rows).apply(LETTERS))
    assert all(within(found[i, j], N // 3, wanted[i, j]) for i in range(3) for j in range(3))


def test_missing_labels_stay_missing():
    labels = pd.Series(["a", None, "b"] * 5)
    assert LabelFlips(1.0).apply(labels).isna().tolist() == labels.isna().tolist()


def test_one_class_cannot_flip():
    assert LabelFlips(1.0).apply(np.array(["a", "a"])).tolist() == ["a", "a"]


@pytest.mark.parametrize("rows", [5, 5000])
def test_a_regression_target_is_refused(rows):
    target = np.random.default_rng(0).normal(size=rows)
    with pytest.raises(DataError, match=r"needs classes.*For regression"):
        LabelFlips(0.1).apply(target)


def test_a_whole_table_is_refused_unless_the_label_is_named():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "label": ["a", "b", "a"]})
    with pytest.raises(SettingError, match="whole table"):
        LabelFlips(0.1).apply(frame)
    assert LabelFlips(1.0, columns=["label"]).apply(frame)["label"].tolist() == ["b", "a", "b"]


def test_an_unknown_class_is_refused_with_the_nearest():
    with pytest.raises(SettingError, match=r"class `chrun`.*Did you mean `churn`"):
        LabelFlips(0.5, by_class={"chrun": 0.5}).apply(np.array(["churn", "stay"] * 5))


def test_classes_come_back_from_json_where_all_names_are_text():
    flips = LabelFlips(0.5, by_class={1: 0.25}, transition={0: {1: 2.0}})
    labels = np.arange(100) % 3
    back = Recipe.from_json(Recipe(flips).to_json()).steps[0].noise
    assert back == flips
    assert back.apply(labels).tolist() == flips.apply(labels).tolist()


def test_the_default_is_the_noise_it_always_was():
    """A change of noise for a fixed key is a change of the interface."""
    out = LabelFlips(0.5).apply(LETTERS[:24], seed=7)
    assert "".join(out) == "caccacabaacaacccaabbbcba"


def test_a_matrix_is_exact_at_the_full_level():
    """The table of who became whom against T: chi-square with one degree of freedom per free cell, within 1e-6."""
    T = {
        "a": {"a": 0.7, "b": 0.2, "c": 0.1},
        "b": {"a": 0.5, "b": 0.5},
        "c": {"a": 0.25, "b": 0.25, "c": 0.5},
    }
    found = matrix(LETTERS, LabelFlips(1.0, matrix=T).apply(LETTERS))
    wanted = np.array([[T[c].get(d, 0.0) for d in "abc"] for c in "abc"]) * (N // 3)
    assert found[1, 2] == 0
    possible = wanted > 0
    statistic = ((found - wanted)[possible] ** 2 / wanted[possible]).sum()
    assert statistic <= chi2.ppf(1 - 1e-6, possible.sum() - 3)


def test_a_lower_level_goes_part_of_the_way_to_the_matrix_and_classes_without_a_row_stay():
    found = matrix(LETTERS, LabelFlips(0.5, matrix={"a": {"b": 1.0}}).apply(LETTERS))
    assert within(found[0, 1], N // 3, 0.5)
    assert found[0, 2] == 0
    assert (np.diag(found)[1:] == N // 3).all()


def test_a_matrix_names_classes_in_any_spelling():
    """The share that stays was once looked up by the word of the row."""
    labels = (np.arange(N) % 2).astype(float)
    one, other = ({c: {d: 0.75, "0": 0.25}} for c, d in (("1", "1"), ("1.0", "1")))
    found = LabelFlips(1.0, matrix=one).apply(labels)
    assert within((found != labels).sum(), N // 2, 0.25)
    np.testing.assert_array_equal(found, LabelFlips(1.0, matrix=other).apply(labels))


def test_a_matrix_leaves_classes_that_training_never_saw():
    seen = Profile.learn(LETTERS)
    new = np.array(["z", "a", "z"])
    assert LabelFlips(1.0, matrix={"a": {"b": 1.0}}).apply(new, profile=seen).tolist() == ["z", "b", "z"]
    assert (LabelFlips(1.0).apply(new, profile=seen) != new).all()


def test_a_long_column_of_labels_is_flipped_as_its_parts_are():
    labels = np.tile(LETTERS, 4)
    frame, noise = pd.DataFrame({"id": np.arange(labels.size), "y": labels}), LabelFlips(0.7, columns=("y",))
    profile = Profile.learn(frame)
    whole = noise.apply(frame, profile=profile, row_id="id").y
    tail = noise.apply(frame[20_000:], profile=profile, row_id="id").y
    assert (whole[20_000:] == tail).all()


def test_pairs_take_each_class_to_the_next_in_order():
    labels = np.array([2, 10, 1] * 300 + [1] * 500)
    found = dict(zip(labels, LabelFlips(1.0, transition="pairs").apply(labels), strict=True))
    assert found == {1: 2, 2: 10, 10: 1}
    moved = LabelFlips(0.3, transition="pairs").apply(LETTERS)
    assert within(matrix(LETTERS, moved)[2, 0], N // 3, 0.3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matrix": {"a": {"a": 0.5, "b": 0.4}}}, r"rows that sum to one; the row of `a` sums to 0\.9"),
        ({"matrix": {"a": {"a": 1.0}}, "by_class": {"a": 1.0}}, "either matrix or by_class"),
        ({"matrix": {"a": {"a": 1.0}}, "transition": "pairs"}, "either matrix or transition"),
        ({"transition": "pair"}, "pairs"),
        ({"where": Where("MAR", driver="hard")}, "`hard`, which is not among the columns"),
    ],
)
def test_settings_that_cannot_be_are_told(settings, message):
    with pytest.raises(SettingError, match=message):
        LabelFlips(0.5, **settings).apply(LETTERS)


def driven(n=N, seed=0):
    r = np.random.default_rng(seed)
    return pd.DataFrame({"hardness": r.beta(0.5, 3, n), "label": r.choice(["a", "b", "c"], n)})


@pytest.mark.parametrize("strength", [-4.0, 0.0, 4.0])
def test_a_driver_chooses_labels_at_the_same_expected_rate(strength):
    frame = driven()
    flips = LabelFlips(0.2, columns=("label",), where=Where("MAR", driver="hardness", strength=strength))
    hit = (flips.apply(frame)["label"] != frame["label"]).to_numpy()
    assert within(hit.sum(), N, 0.2)  # Poisson binomial: narrower than the binomial
    hard = frame["hardness"].to_numpy()
    if strength:
        assert (hard[hit].mean() > 1.5 * hard[~hit].mean()) == (strength > 0)


def test_classes_can_be_driven_by_their_own_rank_and_hit_in_runs():
    frame = driven()
    rare = LabelFlips(0.3, columns=("label",), where=Where("MNAR", strength=3))
    assert within((rare.apply(frame)["label"] != frame["label"]).sum(), N, 0.3)
    runs = LabelFlips(0.5, where=Where(burst=50)).apply(LETTERS) != LETTERS
    assert np.flatnonzero(np.diff(runs)).size <= N / 50


def test_hardness_is_high_where_labels_are_wrong():
    X, y = load_breast_cancer(return_X_y=True)
    wrong = LabelFlips(0.1).apply(y)
    hard = hardness(GaussianNB(), X, wrong)
    assert hard.shape == y.shape
    assert ((hard >= 0) & (hard <= 1)).all()
    assert np.median(hard[wrong != y]) > 0.9 > 0.1 > np.median(hard[wrong == y])


def test_hardness_takes_any_table_and_any_labels():
    X, y = load_breast_cancer(as_frame=True, return_X_y=True)
    X, model = X.iloc[:, :4], GaussianNB()
    expected = hardness(model, X, y)
    words = pl.Series(np.where(y == 1, "benign", "malign").tolist())
    for table in (pl.from_pandas(X), pl.from_pandas(X).to_arrow(), X.to_numpy()):
        np.testing.assert_allclose(hardness(model, table, words), expected, rtol=1e-9)
    assert not hasattr(model, "classes_")


def test_hardness_needs_probabilities():
    with pytest.raises(ModelError, match=r"`LinearSVC` has no `predict_proba`"):
        hardness(LinearSVC(), np.ones((4, 1)), np.array([0, 1, 0, 1]))


def test_hard_examples_flip_more_often():
    frame = load_breast_cancer(as_frame=True).frame
    X, y = frame.drop(columns="target"), frame["target"]
    frame["hardness"] = hardness(make_pipeline(StandardScaler(), LogisticRegression()), X, y)
    flips = LabelFlips(0.2, columns=("target",), where=Where("MAR", driver="hardness", strength=4))
    hit = flips.apply(frame)["target"] != y
    assert within(hit.sum(), y.size, 0.2)
    assert frame["hardness"][hit].mean() > 5 * frame["hardness"][~hit].mean()


@pytest.mark.parametrize("level", [0.2, 0.6])
def test_smoothed_labels_are_drawn_from_their_distribution(level):
    found = matrix(LETTERS, LabelSmoothing(level).apply(LETTERS))
    assert all(
        within(found[i, j], N // 3, (1 - level) * (i == j) + level / 3) for i in range(3) for j in range(3)
    )


def test_smoothing_keeps_types_and_missing_labels_and_needs_classes():
    labels = pd.Series(["a", None, "b"] * 5, dtype="category")
    out = LabelSmoothing(1.0).apply(labels)
    assert out.dtype == labels.dtype
    assert out.isna().tolist() == labels.isna().tolist()
    with pytest.raises(DataError, match=r"`LabelSmoothing` needs classes.*RegressionLabelNoise"):
        LabelSmoothing(0.1).apply(np.linspace(0, 1, 200))


def test_errors_of_a_target_have_the_asked_spread():
    y = np.random.default_rng(0).normal(50, 4, N)
    spread = Profile.learn(y)[0].spread
    errors = (RegressionLabelNoise(0.5).apply(y) - y) / (0.5 * spread)
    low, high = chi2.ppf([5e-7, 1 - 5e-7], N)
    assert low <= (errors**2).sum() <= high
    assert abs(errors.mean()) <= norm.ppf(1 - 5e-7) / np.sqrt(N)


def test_a_share_of_errors_is_gross_and_the_others_are_as_they_were():
    y = np.random.default_rng(0).normal(size=N)
    plain, heavy = (RegressionLabelNoise(0.1, heavy_tails=p).apply(y) - y for p in (0.0, 0.2))
    ratio = (heavy / plain).round(6)
    assert set(ratio) == {1.0, 10.0}
    assert within((ratio == 10).sum(), N, 0.2)


def test_whole_targets_stay_whole_and_tables_name_theirs():
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100)})
    out = RegressionLabelNoise(0.3, columns=("y",)).apply(frame)
    assert out["y"].dtype == np.int64
    assert (out["y"] != frame["y"]).any()
    assert (out["x"] == frame["x"]).all()
    with pytest.raises(SettingError, match=r"whole table.*RegressionLabelNoise\(0\.3, columns"):
        RegressionLabelNoise(0.3).apply(frame)
    with pytest.raises(SettingError, match="is category"):
        RegressionLabelNoise(0.3, columns=("y",)).apply(frame.assign(y="a"))
