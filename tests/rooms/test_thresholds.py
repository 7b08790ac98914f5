"""Limits of data quality: formulas known by hand, every noise placed, schemas that accept below and reject above."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from hormesis.errors import DataError, MissingExtraError, SettingError
from hormesis.frames import open_table
from hormesis.limits import Bound, Limit
from hormesis.noise import (
    CATALOGUE,
    CaseErrors,
    Clipping,
    DateFormat,
    GaussianNoise,
    LowPrecision,
    Masking,
    MissingColumn,
    MissingValues,
    NumbersAsText,
    Outliers,
    Placeholders,
    RenamedColumn,
    Rounding,
    Shift,
    SignErrors,
    Typos,
    UnitChange,
    UnitErrors,
    UnseenCategory,
    Where,
)
from hormesis.profile import Profile
from hormesis.results import BreakPoint, Curve
from hormesis.step import Step
from hormesis.thresholds import Thresholds, limits_of
from hormesis.thresholds.measuring import reading
from hormesis.thresholds.observable import SEEN, UNSEEN

TELCO = (
    Path(os.environ.get("HORMESIS_DATA", Path(__file__).parents[3] / "shared" / "data"))
    / "tables"
    / "TelcoChurn.csv"
)
Z = 4.9  # two-sided 1e-6


def curve(step, passes_to, fails_from, *, tested_to=None, changed=0.1, model="model", reason=None):
    step = step if isinstance(step, Step) else Step(step)
    top = tested_to if tested_to is not None else fails_from or passes_to
    b = BreakPoint(
        model,
        step.name,
        "accuracy",
        step.noise.unit,
        top,
        passes_to,
        fails_from,
        passes_to,
        fails_from,
        reason,
    )
    none = (None,)
    return Curve(model, step.name, step.to_dict(), step.noise.unit, "accuracy", 0.9, 0.88, 0.92, (top,), none, none, none,
                 none, none, none, (changed,), (None,), None, b)  # fmt: skip


def people(n=4000, seed=0):
    r = np.random.default_rng(seed)
    income = r.normal(50, 10, n)
    income[: n // 20] = np.nan
    return pd.DataFrame(
        {
            "income": income,
            "age": r.integers(18, 90, n),
            "city": pd.Series(r.choice(["Bern", "Genf", "Chur"], n, p=[0.6, 0.3, 0.1]), dtype="str"),
            "paid": r.random(n) < 0.5,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(r.integers(0, 900, n), unit="D"),
            "note": [f"note {i}" for i in range(n)],
        }
    )


@pytest.fixture(scope="module")
def train():
    return people()


@pytest.fixture(scope="module")
def profile(train):
    return Profile.learn(train)


def only(step, profile, passes_to=0.1, fails_from=0.2, **more):
    (limit,) = limits_of([curve(step, passes_to, fails_from, **more)], profile)
    return limit


def test_every_noise_of_a_test_table_is_placed_once():
    tested = {n for n, kind in CATALOGUE.items() if kind.changes in ("cells", "schema")}
    assert tested == set(SEEN) | set(UNSEEN)
    assert not set(SEEN) & set(UNSEEN)


def test_missing_values_add_to_those_of_training(profile):
    limit = only(MissingValues(columns=("income",)), profile)
    (bound,) = limit.bounds
    assert (bound.baseline, bound.limit, bound.fails_from) == pytest.approx(
        (0.05, 0.05 + 0.95 * 0.1, 0.05 + 0.95 * 0.2)
    )
    assert (
        limit.words
        == "Stop the batch when more than 14 % of `income` is missing: the model surely fails at 24 %."
    )


def test_a_step_on_some_rows_counts_only_those(profile):
    limit = only(Step(MissingValues(columns=("age",)), "lost", 0.5), profile)
    assert limit.bounds[0].limit == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("noise", "column"),
    [
        (MissingValues(), "income"), (MissingValues(), "since"), (MissingValues(where=Where("MNAR", strength=3)), "age"),
        (Masking(), "income"), (Masking(fill="zero"), "age"), (Placeholders(), "age"), (Placeholders(), "city"),
        (Placeholders(), "since"), (Placeholders(), "note"), (Outliers(), "income"), (Outliers(magnitude=2.0), "income"),
        (UnitErrors(), "age"), (SignErrors(), "age"), (UnseenCategory(), "city"), (Typos(), "city"), (CaseErrors(), "city"),
        (Rounding(), "income"), (LowPrecision(), "income"), (LowPrecision(format="int8"), "income"), (Clipping(), "income"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)  # fmt: skip
def test_new_rows_at_a_level_show_what_the_limit_at_that_level_says(noise, column, train, profile):
    """The share seen on 4,000 new rows with noise is binomial around the limit; the profile's 1,024 ranks add 1/1,024."""
    noise, rows = noise.on((column,)), people(seed=1)
    limit = only(noise, profile, 0.25, 0.5)
    (bound,) = limit.checked
    for level, said in ((0.0, bound.baseline), (0.25, bound.limit), (0.5, bound.fails_from)):
        noisy = noise.at(level).apply(rows, seed=3, profile=profile)
        seen = reading(limit.quantity, limit.step, bound, open_table(noisy))
        error = Z * np.sqrt(
            2 * 0.25 / len(rows) + 0.25 / 1024 * (type(noise) in (Typos, Rounding, LowPrecision))
        )
        assert abs(seen - said) < error, (level, seen, said)
    assert bound.limit > bound.baseline + 0.2 * 0.1


def test_a_column_with_long_tails_gets_fences_inside_its_range():
    r = np.random.default_rng(0)
    gains = pd.DataFrame(
        {"gain": np.where(r.random(4000) < 0.05, r.normal(0, 1000, 4000), r.normal(0, 1, 4000))}
    )
    learnt = Profile.learn(gains)
    (bound,) = only(Outliers(), learnt).checked
    assert bound.largest < 6 * learnt["gain"].spread < gains.gain.max()
    assert 0.03 < bound.baseline < 0.06


def test_a_shift_is_read_off_the_median(profile, train):
    step = Shift(columns=("income",))
    limit = only(step, profile, 0.5, 1.0)
    assert limit.words.startswith("Stop the batch when the median of `income` lies more than 0.5 sd from ")
    checks = Thresholds([limit])
    assert not checks.check(train)
    for way in (-1, 1):
        moved = train.assign(income=train.income + way * 0.6 * profile["income"].spread)
        assert len(checks.check(moved)) == 1
    up = Thresholds([only(Shift(columns=("income",), direction="up"), profile, 0.5, 1.0)])
    assert not up.check(train.assign(income=train.income - 20))
    assert up.check(train.assign(income=train.income + 20))


def test_a_change_of_unit_is_stopped_half_the_way(profile, train):
    checks = Thresholds(limits_of([curve(UnitChange(columns=("age",)), 0.0, 1.0)], profile))
    assert not checks.check(train)
    assert "median of `age`" in checks.check(train.assign(age=train.age * 2.54))[0]
    holds = only(UnitChange(columns=("age",)), profile, 1.0, None)
    assert not holds.checked


def test_schema_noises_that_break_a_model_are_stopped(profile, train):
    noises = [
        MissingColumn(columns=("age",)),
        NumbersAsText(columns=("income",)),
        DateFormat(columns=("since",)),
    ]
    checks = Thresholds(limits_of([curve(n, 0.0, 1.0) for n in noises], profile))
    assert not checks.check(train)
    assert checks.check(train.drop(columns="age")) == ["the column `age` is not there"]
    for noise, said in zip(
        noises[1:], ("`income` does not hold numbers", "`since` does not hold dates"), strict=True
    ):
        assert checks.check(noise.at(1.0).apply(train)) == [said]
    renamed = Thresholds([only(RenamedColumn(columns=("age",)), profile, 0.0, 1.0)])
    assert renamed.check(RenamedColumn(1.0, columns=("age",)).apply(train))


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ((GaussianNoise(), 0.1, 0.5, {}), "noise together"),
        ((MissingValues(), 0.0, 0.02, {}), "no level was shown to pass, and it fails from 2 %"),
        ((MissingValues(), 0.0, None, {"tested_to": 0.5}), "no level was shown to pass: test lower levels"),
        ((MissingValues(), 1.0, None, {}), "even where every cell is hit"),
        ((MissingValues(), 0.1, 0.2, {"changed": 0.0}), "changed nothing in the rows tested"),
        ((MissingValues(), 0.0, None, {"reason": "8 rows are too few"}), "not measurable, 8 rows are too few"),
        ((Typos(columns=("note",)), 0.1, 0.2, {}), "free text has no list"),
        ((Shift(columns=("age",)), 0.01, 0.02, {}), "a batch shows nothing of it"),
        ((UnitErrors(columns=("income",), where=Where("MNAR"), factors=(1.5,)), 0.1, 0.2, {}), "which cells go bad depends"),
    ],
)  # fmt: skip
def test_no_limit_is_given_where_none_is_known(limit, said, profile, train):
    noise, passes_to, fails_from, more = limit
    made = only(noise, profile, passes_to, fails_from, **more)
    assert not made.checked
    assert said in made.words
    assert made.words.startswith("No limit for `")
    checks = Thresholds([made])
    assert not checks.check(train)
    assert checks.to_frame().limit.isna().all()


def test_an_attack_gives_no_limit(profile):
    broken = dataclasses.replace(curve(MissingValues(), 0.1, 0.2), step={"noise": "PGD", "level": 0.1})
    (limit,) = limits_of([broken], profile)
    assert "made against the model" in limit.words


def test_columns_hit_together_are_each_held_to_what_passed_for_all(profile, train):
    limit = only(MissingValues(columns=("income", "age")), profile)
    assert limit.over == "each"
    assert "any of `income`, `age` is missing (measured with these columns hit together)" in limit.words
    lost = train.assign(age=train.age.where(np.arange(len(train)) % 5 > 0))  # 20 %
    assert Thresholds([limit]).check(lost) == [
        "20 % of `age` is missing; the limit is 10 %, the model surely fails at 20 %"
    ]


def test_where_each_column_has_its_own_limit_all_together_count_on_average(profile, train):
    curves = [curve(MissingValues(columns=("income", "age")), 0.1, 0.2)]
    curves += [
        curve(Step(MissingValues(columns=(c,)), f"missing-values@{c}"), 0.4, 0.5) for c in ("income", "age")
    ]
    limits = limits_of(curves, profile)
    assert [limit.over for limit in limits] == ["mean", "each", "each"]
    checks = Thresholds(limits)
    every = np.arange(len(train))
    some = train.assign(
        age=train.age.where(every % 5 > 0)
    )  # 20 % of one column: 12.5 % on average, limit 12.25 %
    (said,) = checks.check(some)
    assert said.startswith(
        "on average over `income`, `age`, 12.5 % of the cells are missing; the limit is 12 %"
    )
    assert not checks.check(train.assign(age=train.age.where(every % 6 > 0)))
    errors = pytest.importorskip("pandera.errors")
    schema = checks.to_pandera()
    with pytest.raises(errors.SchemaErrors, match="on average"):
        schema.validate(some, lazy=True)
    assert all(limit.over == "each" for limit in limits_of(curves[:2], profile))


def mixed(profile):
    noises = [MissingValues(columns=("income", "age")), Outliers(columns=("age",)), Typos(columns=("city",)),
              Placeholders(columns=("since",)), Placeholders(columns=("city",)), Shift(columns=("income",)),
              Rounding(columns=("income",)), GaussianNoise(), MissingColumn(columns=("paid",))]  # fmt: skip
    curves = [curve(Step(n, f"step-{i}"), 0.0 if n.unit != "sigma" and n.changes == "schema" else 0.1, 1.0)
              for i, n in enumerate(noises)]  # fmt: skip
    return Thresholds(limits_of(curves, profile))


def test_yaml_is_read_back_and_can_be_checked_without_the_profile(profile, train, tmp_path):
    limits = mixed(profile)
    text = limits.to_yaml(tmp_path / "limits.yaml")
    assert (tmp_path / "limits.yaml").read_text(encoding="utf-8") == text
    again = Thresholds.from_yaml(text)
    assert again == limits
    assert "stop: 'Stop the batch when" in text
    bad = train.assign(city="Paris", age=train.age * 10)
    assert again.check(bad) == limits.check(bad) != []
    with pytest.raises(DataError, match="version 7"):
        Thresholds.from_yaml(text.replace("version: 1", "version: 7"))
    with pytest.raises(DataError, match="quantity"):
        Thresholds.from_yaml(text.replace("quantity: missing", "quantity: lost"))


def test_the_frame_has_a_row_for_each_limit_and_column(profile):
    frame = mixed(profile).to_frame()
    assert frame.column.tolist()[:3] == ["income", "age", "age"]
    assert frame.together.tolist()[:3] == [2, 2, 1]
    assert frame.loc[frame.noise == "step-5", "unit"].item() == "sd"
    assert "income" in mixed(profile)._repr_html_()
    assert repr(mixed(profile)).startswith("Thresholds: 8 of 9 can be checked")


def test_any_library_is_checked_alike(profile, train):
    limits = mixed(profile)
    bad = train.drop(columns="paid").assign(city="Paris", age=train.age * 10)
    bad.loc[::2, "income"] = np.nan
    said = limits.check(bad)
    assert len(said) == 4
    assert limits.check(pl.from_pandas(bad)) == said
    import pyarrow as pa

    assert limits.check(pa.Table.from_pandas(bad)) == said
    for empty in (train.head(0), pl.from_pandas(train.head(0))):
        assert limits.check(empty) == ["the table holds no rows: there is nothing to check but its columns"]
    assert limits.check(train.head(0).drop(columns="paid"))[1:] == ["the column `paid` is not there"]


def test_arrays_are_checked_by_place():
    x = np.random.default_rng(0).normal(size=(500, 2))
    checks = Thresholds([only(MissingValues(columns=(1,)), Profile.learn(x))])
    assert not checks.check(x)
    x[::4, 1] = np.nan
    assert checks.check(x) == ["25 % of `1` is missing; the limit is 10 %, the model surely fails at 20 %"]


def test_columns_that_are_gone_or_of_another_type_break_their_limits(profile, train):
    checks = Thresholds([only(Outliers(columns=("age",)), profile)])
    assert checks.check(train.drop(columns="age")) == ["the column `age` is not there"]
    words = train.assign(age=train.age.astype(str))
    assert checks.check(words) == [
        "`age` held numbers in training and holds text here: read the file the same way, as numbers"
    ]
    assert checks.check(train.assign(age=np.nan)) == []


def test_a_column_beyond_two_limits_is_one_sentence_with_both_noises(profile, train):
    bounds = [Bound("age", "integer", limit=limit, fails_from=fails, smallest=0.0, largest=99.0)
              for limit, fails in ((0.5, None), (0.464, 0.6), (0.5, None))]  # fmt: skip
    names = ("outliers@age", "unit-errors@age", "sign-errors")
    limits = Thresholds(
        Limit("model", "accuracy", n, {"noise": "Outliers"}, ("age",), "fraction", 0.4, None, "outside", (b,))
        for n, b in zip(names, bounds, strict=True)
    )
    assert limits.check(train.assign(age=train.age * 1000)) == [
        "100 % of `age` lies outside 0 to 99; the limit is 50 % for outliers and sign errors and 46 % for unit errors "
        "(the model surely fails at 60 %)"
    ]


def test_a_column_read_in_another_way_is_told_with_the_mend(profile, train):
    checks = Thresholds(
        [only(Placeholders(columns=("age",)), profile), only(Clipping(columns=("income",)), profile)]
    )
    said = checks.check(train.assign(income=train.since))
    assert said == [
        "`income` held numbers in training and holds dates here: read the file the same way, as numbers"
    ]


def test_limits_in_words_have_two_digits_on_the_safe_side_and_stay_exact(profile):
    limit = only(MissingValues(columns=("income",)), profile, 0.105, 0.2015)
    assert limit.bounds[0].limit == pytest.approx(0.14975)
    assert "more than 14 % of `income` is missing: the model surely fails at 25 %." in limit.words
    both = only(MissingValues(columns=("income", "age")), profile, 0.1001, 0.2)
    assert "more than 10 % to 14 % (by column)" in both.words
    assert "fails at 20 % to 24 % (by column)" in both.words


NO_LIMITS = {
    "a number": ("limits: 3", "`limits: 3` holds no limits of hormesis"),
    "another file's name": ("ref.json", "`ref.json` holds no limits of hormesis. .* ends in .yaml or .yml"),
    "a list": ("- 1\n- 2\n", "This text holds no limits"),
    "nothing": ("", "This text holds no limits"),
    "other settings": ("version: 1\nsteps: []\n", "This text holds no limits"),
    "an empty list": ("version: 1\nlimits: []\n", "would let every table through"),
    "rows of another kind": ("version: 1\nlimits:\n- 3\n", "`Thresholds.to_yaml` writes them"),
}


@pytest.mark.parametrize("case", NO_LIMITS)
def test_yaml_without_limits_is_one_clear_error(case, tmp_path):
    text, said = NO_LIMITS[case]
    with pytest.raises(DataError, match=said):
        Thresholds.from_yaml(text)
    path = tmp_path / "limits.json"
    path.write_text(text)
    with pytest.raises(DataError, match="limits"):
        Thresholds.from_yaml(path)


def test_several_models_are_named(profile, train):
    curves = [
        curve(MissingValues(columns=("age",)), level, 0.5, model=m) for m, level in (("a", 0.1), ("b", 0.3))
    ]
    checks = Thresholds(limits_of(curves, profile))
    said = checks.check(train.assign(age=train.age.where(np.arange(len(train)) % 5 > 0)))
    assert said == ["a: 20 % of `age` is missing; the limit is 10 %, the model surely fails at 50 %"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_pandera_schema_says_the_limits_in_words(library, profile, train):
    errors = pytest.importorskip("pandera.errors")
    schema = mixed(profile).to_pandera(library)
    convert = pl.from_pandas if library == "polars" else (lambda frame: frame)
    schema.validate(convert(train), lazy=True)
    bad = train.drop(columns="paid").assign(city="Paris")
    with pytest.raises(errors.SchemaErrors) as caught:
        schema.validate(convert(bad), lazy=True)
    assert "of `city` is none of the 3 values known from training" in str(caught.value)
    assert "paid" in str(caught.value)
    with pytest.raises(errors.SchemaErrors, match=r"lies outside|does not hold"):
        schema.validate(convert(train.assign(age=train.age.astype(str))), lazy=True)


def test_pandera_is_asked_for_by_name_where_it_is_missing(profile, monkeypatch):
    with pytest.raises(SettingError, match="choose one of `pandas`, `polars`"):
        mixed(profile).to_pandera("dask")
    monkeypatch.setitem(__import__("sys").modules, "pandera.pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hormesis\[checks\]'"):
        mixed(profile).to_pandera()


def test_a_long_list_of_categories_counts_its_rare_ones_as_unknown():
    r = np.random.default_rng(0)
    codes = pd.DataFrame(
        {"code": pd.Categorical([f"c{i}" for i in (r.pareto(0.4, 30_000) % 3000).astype(int)])}
    )
    learnt = Profile.learn(codes)
    assert len(learnt["code"].categories) == 1000
    limit = only(UnseenCategory(), learnt)
    (bound,) = limit.checked
    seen = reading(limit.quantity, limit.step, bound, open_table(codes))
    assert bound.baseline == pytest.approx(seen, abs=1e-9)
    assert bound.limit == pytest.approx(seen + (1 - seen) * 0.1)


@pytest.mark.skipif(
    not TELCO.is_file(), reason="the tables are not part of the repository: set HORMESIS_DATA to their folder"
)
@pytest.mark.parametrize(
    "noise",
    [MissingValues(columns=("tenure",)), MissingValues(), Outliers(), Typos(columns=("Contract",)), Placeholders(columns=("tenure",)),
     UnitErrors(columns=("MonthlyCharges",)), Shift(columns=("tenure",)), Masking(columns=("tenure",))],
    ids=lambda n: type(n).__name__,
)  # fmt: skip
def test_customers_below_a_limit_are_let_through_and_above_it_stopped(noise):
    errors = pytest.importorskip("pandera.errors")
    telco = pd.read_csv(TELCO).drop(columns=["customerID", "Churn"])
    telco["TotalCharges"] = pd.to_numeric(telco.TotalCharges, errors="coerce")
    train, batch = telco[::2], telco[1::2]
    learnt = Profile.learn(train)
    checks = Thresholds([only(noise, learnt, 0.3, 0.5)])
    schema = Thresholds.from_yaml(checks.to_yaml()).to_pandera()
    low, high = (noise.at(level).apply(batch, seed=2, profile=learnt) for level in (0.25, 0.35))
    assert checks.check(batch) == checks.check(low) == []
    schema.validate(low, lazy=True)
    assert checks.check(high)
    with pytest.raises(errors.SchemaErrors, match="more than"):
        schema.validate(high, lazy=True)


def test_a_bound_needs_no_numbers_to_say_why_it_has_none():
    bound = Bound("note", "text", reason="free text has no list of known values")
    limit = Limit(
        "m",
        "r2",
        "typos",
        {"noise": "Typos", "level": 0.1},
        ("note",),
        "fraction",
        0.1,
        None,
        "unknown",
        (bound,),
    )
    assert limit.words == "No limit for `note`: free text has no list of known values."
    assert Thresholds([limit]).to_frame().words.item() == limit.words
