"""Trials: groups that stay together, samples, indices of any kind, and what is refused in words."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from hormesis import Profile, stress
from hormesis.engine.sweeps import unit_ends
from hormesis.errors import DataError, SettingError
from hormesis.frames import open_table
from hormesis.noise import GaussianNoise, SwapNoise
from hormesis.trials.trial import prepared

ROWS, PEOPLE = 1_200, 300


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    who = np.sort(rng.permutation(np.arange(ROWS) % PEOPLE))
    base = rng.normal(size=PEOPLE)[who]
    X = pd.DataFrame({"a": base + 0.3 * rng.normal(size=ROWS), "b": rng.normal(size=ROWS), "who": who})
    y = (base + 0.3 * X["b"] + rng.normal(size=ROWS) * 0.4 > 0).astype(int).to_numpy()
    return X, y, LogisticRegression().fit(X, y)


def bench_of(model, X, y, groups, max_rows=None, seed=0):
    return prepared(model, X, y, "accuracy", 0.05, 1, groups, max_rows, None, seed).bench


def test_groups_enter_whole(people):
    X, y, model = people
    bench = bench_of(model, X, y, "who")
    own = bench.groups[bench.order]
    assert np.count_nonzero(own[1:] != own[:-1]) == PEOPLE - 1
    units, ends = unit_ends(bench)
    assert units == PEOPLE
    sizes = np.bincount(X["who"])
    assert np.diff(np.append(0, ends)).tolist() == sizes[X["who"].to_numpy()[bench.order[ends - 1]]].tolist()


def test_every_look_ends_with_a_group(people):
    X, y, model = people
    big = pd.concat([X.assign(who=X["who"] + i * PEOPLE) for i in range(4)], ignore_index=True)
    result = stress(
        model, big, np.tile(y, 4), noises="SwapNoise", groups="who", scoring="accuracy", repeats=1
    )
    bench = bench_of(model, big, np.tile(y, 4), "who")
    _, ends = unit_ends(bench)
    rows = set(result.curves[0].rows)
    assert min(rows) < 4 * ROWS
    assert rows <= set(ends.tolist())
    assert result.provenance.groups == 4 * PEOPLE


def test_a_column_of_groups_stays_a_feature(people):
    X, y, model = people
    seen = []

    def asked(table):
        seen.append(list(table.columns))
        return model.predict_proba(table)

    named = stress(asked, X, y, noises="GaussianNoise", levels=[0.5], groups="who", scoring="accuracy")
    given = stress(model, X, y, noises="GaussianNoise", levels=[0.5], groups=X["who"], scoring="accuracy")
    assert all(columns == ["a", "b", "who"] for columns in seen)
    assert named.curves[0].drop == given.curves[0].drop
    alone = stress(model, X, y, noises="GaussianNoise", levels=[0.5], scoring="accuracy")
    assert alone.curves[0].drop == pytest.approx(
        named.curves[0].drop
    )  # of the sum over rows in another order
    assert alone.curves[0].clean_low != named.curves[0].clean_low


@pytest.mark.parametrize("max_rows", [1, 3, 50, 601, ROWS - 1])
def test_a_sample_never_cuts_a_group(people, max_rows):
    X, y, model = people
    bench = bench_of(model, X, y, X["who"].to_numpy(), max_rows, seed=max_rows)
    kept = open_table(bench.X).rows
    assert kept == bench.rows == bench.known.size
    sizes = np.bincount(X["who"], minlength=PEOPLE)
    chosen = np.unique(bench.X["who"])
    assert sizes[chosen].sum() == kept
    assert kept <= max_rows or chosen.size == 2
    assert kept + sizes.max() > max_rows
    assert bench.groups.tolist() == np.unique(bench.X["who"], return_inverse=True)[1].tolist() or (
        np.unique(np.c_[bench.groups, bench.X["who"]], axis=0).shape[0] == chosen.size
    )
    np.testing.assert_array_equal(bench.y, y[bench.known])
    pd.testing.assert_frame_equal(bench.X, X.iloc[bench.known])


def test_the_index_of_a_frame_means_nothing(people):
    """Rows are known by their place: shuffled, repeated and named labels change nothing, and groups go by place too."""
    X, y, model = people
    rng = np.random.default_rng(1)
    settings = {"noises": ["SwapNoise", "GaussianNoise"], "scoring": "accuracy", "repeats": 1}
    who = X["who"]
    plain = stress(model, X, y, groups=who, **settings)
    for labels in (rng.permutation(ROWS), np.zeros(ROWS, int), [f"r{i % 7}" for i in range(ROWS)]):
        other = X.set_axis(pd.Index(labels))
        found = stress(model, other, pd.Series(y, other.index), groups=who, **settings)
        assert found.curves == plain.curves
        assert found.provenance.fingerprint == plain.provenance.fingerprint


def test_tables_of_any_library_have_groups_by_name(people):
    X, y, model = people
    ask = lambda t: model.predict_proba(pd.DataFrame({n: np.asarray(t[n]) for n in X}))  # noqa: E731
    runs = [
        stress(
            ask,
            table,
            y,
            noises=SwapNoise(columns=("a", "b")),
            scoring="accuracy",
            groups="who",
            max_rows=900,
        )
        for table in (X, pl.from_pandas(X), pa.Table.from_pandas(X))
    ]
    assert runs[0].curves == runs[1].curves == runs[2].curves
    assert len({r.provenance.groups for r in runs}) == 1


def test_rows_that_all_stand_alone_are_no_groups(people):
    X, y, model = people
    settings = {"noises": "GaussianNoise", "levels": [0.3], "scoring": "accuracy"}
    each = stress(model, X, y, groups=np.arange(ROWS)[::-1], **settings)
    assert each.curves == stress(model, X, y, **settings).curves
    assert each.provenance.groups is None


def test_few_groups_are_not_measurable_rather_than_passed(people):
    X, y, model = people
    result = stress(model, X, y, groups=np.arange(ROWS) % 9, noises="GaussianNoise", scoring="accuracy")
    assert result.curves[0].break_point.verdict == "not measurable"
    assert "only 9 groups" in result.curves[0].break_point.words


def test_a_sample_of_few_large_groups_is_not_measurable_either(people):
    X, y, model = people
    thirds = np.arange(ROWS) % 3
    result = stress(model, X, y, groups=thirds, noises="GaussianNoise", scoring="accuracy", max_rows=10)
    assert result.provenance.rows == 2 * ROWS // 3
    assert result.curves[0].break_point.verdict == "not measurable"


WRONG = {
    "missing label": (
        lambda w: np.where(np.arange(ROWS) < 3, None, w),
        DataError,
        "missing in 3 of 1200 rows",
    ),
    "missing number": (lambda w: np.where(np.arange(ROWS) < 3, np.nan, w), DataError, "missing in 3 of"),
    "too few labels": (lambda w: w[:-1], DataError, "one label for each of the 1200 rows"),
    "one group": (np.zeros_like, DataError, "holds 1 group only"),
    "no such column": (lambda _: "woh", SettingError, "no such column.*Did you mean `who`"),
    "a table": (lambda w: np.column_stack([w, w]), DataError, "one label for each"),
}


@pytest.mark.parametrize("case", WRONG)
def test_groups_that_cannot_be_used_are_refused(case, people):
    X, y, model = people
    given, kind, said = WRONG[case]
    with pytest.raises(kind, match=said):
        stress(model, X, y, groups=given(X["who"].to_numpy()), noises="GaussianNoise")


def test_missing_labels_in_a_column_are_refused(people):
    X, y, model = people
    holes = X.assign(who=X["who"].where(X["who"] > 0))
    with pytest.raises(DataError, match="`groups` is missing in"):
        stress(model, holes, y, groups="who", noises="GaussianNoise")


def test_settings_that_cannot_be_are_refused(people):
    X, y, model = people
    with pytest.raises(SettingError, match="n_jobs=0"):
        stress(model, X, y, noises="GaussianNoise", n_jobs=0)
    with pytest.raises(SettingError, match="resolution=0"):
        stress(model, X, y, noises="GaussianNoise", resolution=0)
    with pytest.raises(DataError, match="is not in both"):
        stress(model, X, y, noises="GaussianNoise", profile=Profile.learn(X[["a", "b"]]))
    with pytest.raises(DataError, match="one value for each"):
        stress(model, X, y[:-1], noises="GaussianNoise", groups="who")


def test_a_sample_is_noised_like_the_whole_table(people):
    """A row's noise goes by its place in the user's table, not by its place in the sample."""
    X, y, model = people
    profile = Profile.learn(X)
    few, every = (
        prepared(model, X, y, "accuracy", 0.05, 1, None, rows, profile, 5).bench for rows in (200, None)
    )
    from hormesis.recipe import noisy
    from hormesis.step import Step

    step = Step(GaussianNoise(0.5))
    part, whole = (noisy(step, b.X, profile, seed=5, ids=b.known)[0] for b in (few, every))
    pd.testing.assert_frame_equal(part, whole.iloc[few.known])
