"""Label flips: who becomes whom, and what is no label."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import binom

from hormesis.errors import DataError, SettingError
from hormesis.noise import LabelFlips
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
