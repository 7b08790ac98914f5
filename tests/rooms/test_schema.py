"""What is particular to noises of columns: names, places, types, units; and what models and measures make of them."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

import hormesis
from hormesis import NoisyTraining
from hormesis.errors import DataError, SettingError
from hormesis.frames import changed, share_by_column, share_changed
from hormesis.noise import (
    CATALOGUE,
    DateFormat,
    GaussianNoise,
    MissingColumn,
    NumbersAsText,
    RenamedColumn,
    ReorderedColumns,
    SwappedColumns,
    UnitChange,
)
from hormesis.profile import Profile
from hormesis.recipe import Recipe

FRAME = pd.DataFrame(
    {
        "capital gain": [1234.5, np.nan, -3.0, 7.25],
        "age": [31, 45, 1000, 27],
        "paid": [True, False, True, True],
        "city": pd.Categorical(["Bern", "Genf", None, "Bern"]),
        "since": pd.to_datetime(["2020-12-31", "2021-01-02", None, "2019-05-06"]),
    },
    index=["a", "b", "b", "c"],
)
SCHEMA = [kind for kind in CATALOGUE.values() if kind.changes == "schema"]


def test_a_lost_column_leaves_all_others_as_they_are():
    out = MissingColumn(1.0, columns=("age",)).apply(FRAME)
    pd.testing.assert_frame_equal(out, FRAME.drop(columns="age"))
    arrow = pa.Table.from_pandas(FRAME)
    assert MissingColumn(1.0, columns=("age",)).apply(arrow).equals(arrow.drop_columns("age"))


def test_a_single_column_cannot_be_lost():
    for series in (FRAME["age"], pl.Series("age", [1, 2])):
        with pytest.raises(DataError, match="Series"):
            MissingColumn(1.0).apply(series)
    assert RenamedColumn(1.0, style="upper").apply(FRAME["age"]).name == "AGE"
    assert UnitChange(1.0, factor=10).apply(FRAME["age"]).tolist() == [310, 450, 10000, 270]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("upper", "CAPITAL GAIN"),
        ("snake", "capital_gain"),
        ("camel", "capitalGain"),
        ("kebab", "capital-gain"),
        ("spaces", "capital gain "),
        ("prefix", "data.capital gain"),
    ],
)
def test_names_change_by_style(style, expected):
    out = RenamedColumn(1.0, columns=("capital gain",), style=style).apply(FRAME)
    assert list(out.columns) == [expected, *FRAME.columns[1:]]
    pd.testing.assert_frame_equal(out.set_axis(FRAME.columns, axis=1), FRAME)


def test_a_humped_name_is_split_where_a_word_begins():
    frame = pd.DataFrame({"MonthlyCharges": [1], "HTTPCode": [2]})
    assert list(RenamedColumn(1.0, style="snake").apply(frame).columns) == ["monthly_charges", "httpcode"]


@pytest.mark.parametrize("style", ["any", "upper", "lower", "snake", "camel", "kebab", "typo", "spaces"])
def test_a_new_name_is_nobody_elses_and_really_new(style):
    names = ["age", "AGE", "Age", "", "_", "a", "b", "A", "x y", "x_y", "xY", "東京", 3, "4"]
    frame = pd.DataFrame([[0] * len(names)], columns=names)
    for seed in range(10):
        out = list(RenamedColumn(1.0, style=style).apply(frame, seed=seed).columns)
        assert len(set(map(str, out))) == len(names)
        assert not {str(n) for n in names} & set(out)


def test_moved_columns_take_their_contents_along():
    out = ReorderedColumns(1.0).apply(FRAME, seed=2)
    assert all(a != b for a, b in zip(out.columns, FRAME.columns, strict=True))
    pd.testing.assert_frame_equal(out[list(FRAME.columns)], FRAME)
    assert not changed(FRAME, out).any()


def test_swapped_columns_are_of_one_type_and_names_stay():
    frame = pd.DataFrame({"a": [1.0, 2.0], "n": [1, 2], "b": [3.0, 4.0], "c": [5.0, 6.0], "t": ["x", "y"]})
    out = SwappedColumns(1.0).apply(frame)
    assert list(out.columns) == list(frame.columns)
    assert out["n"].tolist() == [1, 2]
    assert changed(frame, out).all(axis=0).tolist() == [True, False, True, True, False]
    assert sorted(out[["a", "b", "c"]].iloc[0]) == [1.0, 3.0, 5.0]


@pytest.mark.parametrize(
    ("style", "gain", "age"),
    [
        ("plain", "1234.5", "1000"),
        ("decimal comma", "1234,5", "1000"),
        ("thousands", "1,234.5", "1,000"),
        ("currency", "€1234.5", "€1000"),
        ("unit", "1234.5 kg", "1000 kg"),
    ],
)
def test_numbers_are_written_in_a_style(style, gain, age):
    out = NumbersAsText(1.0, style=style, symbol="€", suffix="kg").apply(FRAME)
    assert (out["capital gain"].iloc[0], out["age"].iloc[2]) == (gain, age)
    assert out["capital gain"].isna().tolist() == [False, True, False, False]
    assert out["city"].dtype == FRAME["city"].dtype


def test_text_has_each_librarys_own_type():
    noise = NumbersAsText(1.0, columns=("age",))
    assert pd.api.types.is_string_dtype(noise.apply(FRAME)["age"])
    plain = FRAME.reset_index(drop=True)
    assert noise.apply(pl.from_pandas(plain))["age"].dtype == pl.String
    assert str(noise.apply(pa.Table.from_pandas(plain))["age"].type) in ("string", "large_string")


def test_single_precision_is_written_briefly():
    x = np.array([[0.1], [16777216.0]], np.float32)
    assert NumbersAsText(1.0, style="plain").apply(x).ravel().tolist() == ["0.1", "16777216.0"]
    half = np.array([[0.1], [1024.5]], np.float16)
    assert NumbersAsText(1.0, style="plain").apply(half).ravel().tolist() == ["0.1", "1024.0"]


def test_negative_money_has_its_sign_in_front():
    assert NumbersAsText(1.0, style="currency").apply(np.array([[-3]])).item() == "-$3"


def test_an_array_with_text_becomes_objects_and_tells_it():
    from hormesis.frames import open_table
    from hormesis.noise.base import draw_of

    table = open_table(np.array([[1.0, 2.0], [np.nan, 4.0]]))
    noise = NumbersAsText(1.0, columns=(0,))
    out, _ = noise.touch(table, Profile.of(table), draw_of(table, 0))
    assert out.widened == {0: "float64 -> object"}
    assert out.close().tolist()[0] == ["1,0", 2.0]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("iso", "2020-12-31"),
        ("us", "12/31/2020"),
        ("eu", "31.12.2020"),
        ("compact", "20201231"),
        ("epoch seconds", "1609372800"),
        ("%d/%m/%y", "31/12/20"),
    ],
)
def test_dates_are_written_in_a_format(form, expected):
    out = DateFormat(1.0, format=form).apply(FRAME)["since"]
    assert out.iloc[0] == expected
    assert out.isna().tolist() == [False, False, True, False]


def test_the_time_of_day_is_written_where_the_training_data_have_one():
    clean = pd.DataFrame({"t": pd.to_datetime(["2020-01-01 10:30", "2020-01-02 00:00"])})
    out = DateFormat(1.0).apply(clean[1:], profile=Profile.learn(clean))
    assert out["t"].tolist() == ["01/02/2020 00:00:00"]


def test_the_zone_is_said():
    t = pd.DataFrame({"t": pd.to_datetime(["2020-07-01 12:00:00"]).tz_localize("Europe/Zurich")})
    for frame in (t, pl.from_pandas(t), pa.Table.from_pandas(t)):
        out = DateFormat(1.0, format="eu").apply(frame)
        assert list(pd.DataFrame({"t": out["t"].to_numpy()})["t"]) == ["01.07.2020 12:00:00+0200"]


def test_an_unknown_date_format_is_refused():
    with pytest.raises(SettingError, match="strftime"):
        DateFormat(1.0, format="american")


def test_units_keep_types_and_bounds():
    frame = pd.DataFrame({"i": np.array([1, 100], "i1"), "f": np.array([1, np.nan], "f4"), "c": [5, 5]})
    out = UnitChange(1.0, factor=2.54).apply(frame)
    assert (out.dtypes == frame.dtypes).all()
    assert out["i"].tolist() == [3, 127]
    assert out["c"].tolist() == [13, 13]
    assert np.isnan(out["f"][1])


@pytest.mark.parametrize("kind", [RenamedColumn, NumbersAsText])
def test_tensors_refuse_names_and_text(kind):
    torch = pytest.importorskip("torch")
    with pytest.raises((DataError, SettingError), match="tensor"):
        kind(1.0).apply(torch.ones(3, 2))


def test_tensors_move_and_lose_columns():
    torch = pytest.importorskip("torch")
    x = torch.arange(24.0).reshape(2, 3, 4)
    for kind in (ReorderedColumns, SwappedColumns):
        out = kind(1.0).apply(x)
        assert out.shape == x.shape
        assert (out != x).all()
        assert torch.equal(out.reshape(2, 12).sort(1).values, x.reshape(2, 12))
    assert MissingColumn(1.0, columns=(0,)).apply(x.reshape(6, 4)).shape == (6, 3)
    assert share_changed(x.reshape(6, 4), x.reshape(6, 4)[:, :3], [3]) == 1
    with pytest.raises(DataError, match="no columns to lose"):
        MissingColumn(0.5).apply(x)


def test_measures_of_change_find_columns_by_name():
    gone, renamed = MissingColumn(1.0, columns=("age",)), RenamedColumn(1.0, columns=("age",))
    for noise in (gone, renamed):
        out = noise.apply(FRAME)
        assert share_by_column(FRAME, out, range(FRAME.shape[1])) == {"age": 1.0} | {
            n: 0.0 for n in FRAME if n != "age"
        }
        assert noise.reach(FRAME) == {"age": 1.0}
    text = NumbersAsText(1.0, columns=("capital gain",)).apply(FRAME)
    assert changed(FRAME, text)[:, 0].tolist() == [True, False, True, True]
    assert not changed(FRAME, ReorderedColumns(1.0).apply(FRAME)).any()


def test_later_noises_of_columns_pass_over_those_that_are_gone():
    gone, there = MissingColumn(1.0, columns=("age",)), ["age", "city"]
    for later in (RenamedColumn(1.0, columns=there), ReorderedColumns(1.0, columns=there)):
        assert "age" not in Recipe([gone, later]).apply(FRAME).columns
    assert list(Recipe([gone, NumbersAsText(1.0, columns=("age",))]).apply(FRAME)) == list(gone.apply(FRAME))
    with pytest.raises(SettingError, match="no such column"):
        Recipe([gone, RenamedColumn(1.0, columns=("agee",))]).apply(FRAME)


def test_widened_columns_follow_their_names():
    frame = FRAME[["age", "paid"]]
    lost = hormesis.noise.MissingValues(0.9, columns=("age", "paid"))
    recipe = Recipe([lost, RenamedColumn(1.0, style="upper")])
    out = recipe.training_copy(frame, copy=0, profile=Profile.learn(frame))
    assert out.dtypes.to_dict() == {"AGE": np.dtype(float), "PAID": np.dtype(float)}


X = pd.DataFrame({"age": np.arange(80.0), "size": np.arange(80.0)[::-1] % 7, "n": np.arange(80) % 5})
Y = (X["age"] > 40).astype(int)
MODEL = LogisticRegression(max_iter=1000).fit(X, Y)


@pytest.mark.parametrize("kind", [k for k in SCHEMA if k is not DateFormat])
def test_a_model_meets_other_columns_and_the_report_is_drawn(kind, tmp_path):
    result = hormesis.stress(MODEL, X, Y, noises=[kind()], levels=[1.0], progress=False)
    curve = result.curves[0]
    assert (curve.errors[0] is not None) == (kind is not SwappedColumns)
    result.to_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size > 1000


def test_a_model_by_place_answers_moved_columns():
    result = hormesis.stress(
        LogisticRegression(max_iter=1000).fit(X.to_numpy(), Y),
        X.to_numpy(),
        Y,
        noises=[ReorderedColumns(1.0)],
        levels=[1.0],
        progress=False,
    )
    assert result.curves[0].errors == (None,)


def test_dates_as_text_are_drawn_beside_dates():
    dated = X.assign(since=pd.date_range("2020-01-01", periods=80))
    result = hormesis.stress(
        lambda table: (table["age"] > 40).astype(int).to_numpy(),
        dated,
        Y,
        noises=[DateFormat(1.0)],
        levels=[1.0],
        progress=False,
    )
    found = [d for d in result.distributions if d.column == "since"]
    assert all(d.labels[0].startswith("2020-") for d in found)


def test_training_refuses_noise_of_columns():
    with pytest.raises(SettingError, match="whole columns"):
        NoisyTraining(MODEL, MissingColumn(0.5)).fit(X, Y)
    with pytest.raises(SettingError, match="held_out"):
        hormesis.harden(MODEL, X, Y, noises=[GaussianNoise(), RenamedColumn()], progress=False)


def test_units_may_change_in_training():
    assert NoisyTraining(MODEL, UnitChange(0.5), random_state=0).fit(X, Y).score(X, Y) > 0.5


@pytest.mark.parametrize("noise", [RenamedColumn(1.0), ReorderedColumns(1.0), NumbersAsText(1.0)])
@pytest.mark.parametrize(
    "series", [pl.Series("s", [1.5, 2.0]), pa.chunked_array([[1.5, 2.0]]), pd.Series([1.5, 2.0])]
)
def test_a_series_comes_back_as_one_of_its_library(noise, series):
    assert type(noise.apply(series)) is type(series)


def test_a_stress_test_takes_whole_columns_at_the_full_level():
    """Below it, one coin per column decides, and a pass would say nothing of the fault."""
    result = hormesis.stress(MODEL, X, Y, noises=[SwappedColumns(), UnitChange()], progress=False)
    assert [curve.levels for curve in result.curves] == [(1.0,), (1.0,)]
