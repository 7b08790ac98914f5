"""Rows repeated, dropped, thinned to another mix, and joined to the wrong features."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import binom, norm

from hormesis import Recipe, Step
from hormesis.errors import DataError, SettingError
from hormesis.noise import (
    CovariateShift,
    DropRows,
    DuplicateRows,
    MissingColumn,
    PriorShift,
    ShuffledRows,
    Where,
)
from hormesis.profile import Profile

N = 9000
Z = norm.ppf(1 - 5e-7)
LABELS = np.repeat(["a", "b", "c"], [5400, 2700, 900])


def within(count, n, p):
    low, high = binom.ppf([5e-7, 1 - 5e-7], n, p)
    return low <= count <= high


def table(n=N):
    r = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "key": np.arange(n),
            "x": r.normal(size=n),
            "i": r.integers(-128, 128, n).astype("int8"),
            "city": pd.Categorical(r.choice(["Bern", "Chur", "Genf"], n)),
            "paid": r.random(n) < 0.5,
        },
        index=[f"r{i}" for i in range(n)],
    )


class TestDuplicateRows:
    def test_copies_stand_right_after_their_row(self):
        out = DuplicateRows(0.3, copies=2).apply(np.arange(1000))
        assert (np.diff(out) >= 0).all()
        assert set(np.bincount(out)) == {1, 3}

    def test_near_copies_differ_in_that_share_of_their_cells(self):
        frame = table()
        out = DuplicateRows(1.0, near=0.4).apply(frame, row_id="key")
        first, second = out.iloc[::2], out.iloc[1::2]
        pd.testing.assert_frame_equal(first.astype({"city": "str"}), frame.astype({"city": "str"}))
        for name in ("x", "i", "city"):
            other = (first[name].to_numpy() != second[name].to_numpy()).sum()
            assert within(other, N, 0.4), name
        assert (second["key"].to_numpy() == frame["key"].to_numpy()).all()
        assert (second["paid"].to_numpy() == frame["paid"].to_numpy()).all()
        assert (second["x"] - first["x"]).abs().max() < 0.1 * 1.05 * 6

    def test_exact_by_default(self):
        frame = table(100)
        out = DuplicateRows(1.0).apply(frame)
        pd.testing.assert_frame_equal(out, frame.loc[np.repeat(frame.index, 2)])


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("noise", [DropRows(0.5), DuplicateRows(0.5, near=0.5), ShuffledRows(1.0)])
def test_a_table_that_lost_all_columns_has_no_rows_to_change(library, noise):
    out = Recipe([MissingColumn(1.0), noise]).apply(library({"a": [1, 2, 3, 4], "b": [1.0, 2.0, 3.0, 4.0]}))
    assert out.shape[1] == 0


class TestDropRows:
    def test_a_driver_chooses_rows_at_the_same_rate(self):
        frame = table()
        out = DropRows(0.3, where=Where("MAR", driver="x", strength=3)).apply(frame)
        assert within(N - len(out), N, 0.3)  # Poisson binomial: narrower than the binomial
        gone = frame.drop(index=out.index)
        assert gone["x"].mean() > out["x"].mean() + 1

    def test_a_group_goes_as_one(self):
        frame = table().assign(site=np.arange(N) % 40)
        left = DropRows(0.5, where=Where(group="site")).apply(frame)["site"].value_counts()
        assert set(left) == {N // 40}
        assert within(len(left), 40, 0.5)

    def test_runs_go_as_one(self):
        left = DropRows(0.5, where=Where(burst=100)).apply(np.arange(N))
        edges = np.flatnonzero(np.diff(left) > 1)
        assert (np.diff(left)[edges] % 100 == 1).all()

    def test_rows_have_no_value_of_their_own(self):
        with pytest.raises(SettingError, match=r"mechanism is MCAR or MAR.*driver"):
            DropRows(0.1, where=Where("MNAR"))


@pytest.mark.parametrize("noise", [PriorShift(), CovariateShift()])
def test_a_table_without_a_column_to_go_by_is_refused(noise):
    for frame in (
        pd.DataFrame(index=range(3)),
        pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "2020-02-01"])}),
    ):
        with pytest.raises(SettingError, match=r"goes by one column of .* values; .* chooses none"):
            noise.apply(frame)


class TestPriorShift:
    @pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize(
        ("toward", "target"),
        [
            (None, [0, 0, 1]),
            ("a", [1, 0, 0]),
            ({"a": 2, "b": 2, "c": 2}, [1 / 3, 1 / 3, 1 / 3]),
            ({"b": 3, "c": 1}, [0, 0.75, 0.25]),
        ],
    )
    def test_the_expected_shares_are_on_the_way_to_the_target(self, level, toward, target):
        """The class that grows most keeps all its rows; the others keep a binomial number of theirs."""
        own = np.array([5400, 2700, 900])
        wanted = (1 - level) * own / N + level * np.array(target)
        most = np.argmax(wanted / own)
        expected = wanted / wanted[most] * own[most]
        out = PriorShift(level, toward=toward).apply(LABELS)
        left = np.array([(out == c).sum() for c in "abc"])
        assert left[most] == own[most]
        assert all(within(left[i], own[i], expected[i] / own[i]) for i in range(3))

    def test_level_one_is_the_target_itself(self):
        assert set(PriorShift(1.0).apply(LABELS)) == {"c"}
        assert set(PriorShift(1.0, toward={"a": 1, "b": 1}).apply(LABELS)) == {"a", "b"}

    @pytest.mark.parametrize(
        "labels", [np.arange(N) % 3, (np.arange(N) % 3).astype(float), np.arange(N) % 3 == 0]
    )
    def test_classes_are_named_whatever_their_type(self, labels):
        word = "True" if labels.dtype == bool else "1"
        out = PriorShift(1.0, toward=word).apply(labels)
        assert out.dtype == labels.dtype
        assert (out == 1).all()
        assert PriorShift(1.0, toward=out[0].item()) == PriorShift(1.0, toward=str(out[0].item()))

    def test_rows_without_a_label_stay(self):
        frame = pd.DataFrame({"x": range(6), "label": ["a", "a", "b", None, "a", None]})
        out = PriorShift(1.0, columns=("label",)).apply(frame)
        assert out["x"].tolist() == [2, 3, 5]

    def test_the_shares_are_those_of_the_training_data(self):
        profile = Profile.learn(pd.Series(LABELS, name="y"))
        even = pd.Series(np.repeat(["a", "b", "c"], 3000), name="y")
        left = PriorShift(0.5, toward="c").apply(even, profile=profile).value_counts()
        assert within(left["a"], 3000, 0.5 / (0.5 + 0.5 * 10))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: PriorShift(0.1).apply(table(9)), r"goes by one column, .* chooses 5 of .* name it"),
            (lambda: PriorShift(0.1, columns=("x",)).apply(table()), r"needs classes.*use CovariateShift"),
            (lambda: PriorShift(0.1, columns=("city",), toward="Brn").apply(table()), r"Did you mean `Bern`"),
            (lambda: PriorShift(0.1, toward={"a": 0}), r"toward\.a.*more than 0"),
        ],
    )
    def test_mistakes_are_told(self, make, message):
        with pytest.raises((SettingError, DataError), match=message):
            make()


class TestCovariateShift:
    @pytest.mark.parametrize("direction", ["up", "down"])
    @pytest.mark.parametrize("level", [0.05, 0.5, 1.2])
    def test_the_expected_mean_moves_by_the_level(self, level, direction):
        x = np.random.default_rng(0).gamma(4.0, size=1000)
        noise, column = CovariateShift(level, direction=direction), Profile.learn(x)[0]
        keep = 1 - noise.dropping(x, column)[0]
        wanted = x.mean() + (1 if direction == "up" else -1) * level * column.spread
        assert (keep @ x) / keep.sum() == pytest.approx(wanted, abs=1e-9)
        assert keep.max() == 1
        left = noise.apply(x)
        # the sum of (x - wanted) over the rows left has mean 0 and this deviation
        deviation = np.sqrt((keep * (1 - keep)) @ (x - wanted) ** 2)
        assert abs((left - wanted).sum()) <= Z * deviation

    def test_a_profile_of_quantiles_is_as_good(self):
        x = np.arange(20_000.0)
        column = Profile.learn(x)[0]
        keep = 1 - CovariateShift(0.7).dropping(x, column)[0]
        # each value is within half a step between the 1,024 quantiles of one of them
        assert abs((keep @ x) / keep.sum() - x.mean() - 0.7 * column.spread) <= x.size / 1024

    def test_missing_values_keep_their_share(self):
        x = np.where(np.arange(N) % 3 == 0, np.nan, np.random.default_rng(0).normal(size=N))
        noise, column = CovariateShift(0.8), Profile.learn(x)[0]
        out = noise.apply(x)
        assert within(np.isnan(out).sum(), N // 3, 1 - noise.dropping(x[:0], column)[1])
        keep = 1 - noise.dropping(x[~np.isnan(x)], column)[0]
        assert keep.mean() == pytest.approx(1 - noise.dropping(x[:0], column)[1], abs=0.01)

    def test_a_mean_beyond_the_training_values_is_refused_with_the_farthest(self):
        x = np.tile(np.arange(11.0), 50)
        farthest = 5 / Profile.learn(x)[0].spread
        assert set(CovariateShift(farthest - 1e-9).apply(x)) == {10.0}
        with pytest.raises(SettingError, match=rf"mean of `0` up by less than {farthest:.4g} robust"):
            CovariateShift(farthest).apply(x)

    def test_a_constant_column_has_no_scale(self):
        assert CovariateShift(1.0).apply(np.ones(5)).tolist() == [1.0] * 5

    def test_one_column_is_chosen(self):
        with pytest.raises(SettingError, match=r"chooses 3 of .* columns=\['i'\]"):
            CovariateShift(0.1).apply(table(9))
        only = table()[["x", "city"]]
        assert CovariateShift(0.5).apply(only)["x"].mean() > 0.3


class TestShuffledRows:
    columns = ("x", "i", "city")

    def test_all_cells_of_a_row_come_from_one_other_row_and_labels_stay(self):
        frame = table()
        out = ShuffledRows(1.0, columns=self.columns).apply(frame)
        names = list(self.columns)
        position = {value: j for j, value in enumerate(frame["x"])}
        source = np.array([position[v] for v in out["x"]])
        assert sorted(source) == list(range(N))
        assert (source != np.arange(N)).all()
        expected = frame[names].iloc[source].set_axis(frame.index)
        pd.testing.assert_frame_equal(out[names], expected)
        pd.testing.assert_frame_equal(out[["key", "paid"]], frame[["key", "paid"]])
        assert list(out.columns) == list(frame.columns)

    @pytest.mark.parametrize("level", [0.05, 0.6])
    def test_the_share_of_rows_is_the_level_and_nested(self, level):
        x = np.random.default_rng(0).normal(size=N)
        low, high = (ShuffledRows(p).apply(x) for p in (level, 0.9))
        assert within((low != x).sum(), N, level)
        moved = low != x
        assert (low[moved] == high[moved]).all()

    def test_missing_cells_move_along_and_types_stay(self):
        frame = pd.DataFrame(
            {
                "x": [1, None, 3, None, 5],
                "n": pd.array([1, 2, None, 4, 5], dtype="Int64"),
                "t": pd.to_datetime(["2020", None, "2021", "2022", None]).tz_localize("Europe/Zurich"),
                "o": [{1}, None, (2,), "q", 5],
            }
        )
        out = ShuffledRows(1.0).apply(frame, seed=3)
        assert out.dtypes.equals(frame.dtypes)
        assert sorted(map(str, out.to_numpy().tolist())) == sorted(map(str, frame.to_numpy().tolist()))

    def test_every_library_moves_the_same_rows(self):
        frame = table(50).reset_index(drop=True)
        noise = ShuffledRows(0.5, columns=self.columns)
        wanted = noise.apply(frame, row_id="key").to_dict("list")
        polars = pl.from_pandas(frame)
        assert noise.apply(polars, row_id="key").to_dict(as_series=False) == wanted
        assert noise.apply(polars.to_arrow(), row_id="key").to_pydict() == wanted
        plain = ShuffledRows(0.5, columns=(1, 2)).apply(frame[["key", "x", "i"]].to_numpy())
        assert plain[:, 1].tolist() == wanted["x"]

    def test_the_order_of_rows_does_not_matter(self):
        frame = table(60)
        other = frame.sample(frac=1, random_state=0)
        a, b = (ShuffledRows(0.5, columns=self.columns).apply(t, row_id="key") for t in (frame, other))
        pd.testing.assert_frame_equal(a, b.loc[a.index])

    def test_arrays_are_untouched_and_small_tables_stay(self):
        x = np.arange(8.0).reshape(4, 2)
        x.flags.writeable = False
        assert not np.shares_memory(ShuffledRows(1.0).apply(x), x)
        assert (ShuffledRows(1.0).apply(x[:1]) == x[:1]).all()
        assert ShuffledRows(1.0).apply(x[:0]).shape == (0, 2)
        assert ShuffledRows(1.0).apply(pd.Series([1, 2], name="s"), seed=1).tolist() == [2, 1]
        assert ShuffledRows(1.0).apply(pl.Series([1, 2]), seed=1).to_list() == [2, 1]

    def test_a_steps_probability_spares_rows(self):
        x = np.random.default_rng(0).normal(size=N)
        out = Recipe(Step(ShuffledRows(1.0), probability=0.3)).apply(x)
        assert within((out != x).sum(), N, 0.3)


def test_recipes_with_rows_come_back_from_json():
    recipe = Recipe([PriorShift(0.3, toward={True: 1, 2: 3}), DuplicateRows(0.1, near=0.2), DropRows(0.1)])
    assert Recipe.from_json(recipe.to_json()) == recipe
