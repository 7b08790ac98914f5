"""Results: words per level, frames in three libraries, JSON and its refusals, notebook pages."""

import dataclasses
import json
import math
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hormesis.errors import DataError, MissingExtraError, SettingError
from hormesis.limits import Bound
from hormesis.noise import CATALOGUE
from hormesis.proof import HardenResult
from hormesis.recipe import Recipe
from hormesis.results import (
    SCHEMA_VERSION,
    BreakPoint,
    Checked,
    Cost,
    Crash,
    Curve,
    Difference,
    Estimate,
    Fragility,
    Limit,
    Provenance,
    Slice,
    StressResult,
)
from hormesis.stressing import stress
from hormesis.trials.summary import idle_notes

EVIL = "<script>alert(1)</script>"
LEVELS = (0.1, 0.2, 0.3)


def curve(noise="missing-values", kind="MissingValues", model="model", **given):
    """Passes 10 %, undecided at 20 %, fails at 30 %."""
    point = BreakPoint(model, noise, "accuracy", "fraction", 0.3, 0.1, 0.3, 0.12, 0.26)
    plain = {
        "step": {"noise": kind, "level": 0.3},
        "unit": "fraction",
        "scoring": "accuracy",
        "clean": 0.9,
        "clean_low": 0.88,
        "clean_high": 0.92,
        "levels": LEVELS,
        "score": (0.89, 0.86, 0.8),
        "score_low": (0.87, 0.84, 0.78),
        "score_high": (0.91, 0.88, 0.82),
        "drop": (0.01, 0.04, 0.1),
        "drop_low": (-0.01, 0.02, 0.08),
        "drop_high": (0.03, 0.06, 0.12),
        "changed": (0.1, 0.2, 0.3),
        "errors": (None, None, None),
        "robustness": 0.95,
        "break_point": point,
    }
    return Curve(model=model, noise=noise, **plain | given)


def result(*curves, **given):
    provenance = Provenance(0, 2, 1000, "all 1,000 rows", "abc", 1.5, {"python": "3.12"}, "hormesis.v1")
    return StressResult(curves or (curve(),), 0.05, ("accuracy",), provenance, **given)


def crashed(**given):
    gone = (None, None, None)
    fields = ("score", "score_low", "score_high", "drop", "drop_low", "drop_high")
    error = "KeyError: 'income'"
    return curve(errors=(error,) * 3, robustness=None, **dict.fromkeys(fields, gone), **given)


DIFFERENCE = Difference(
    "plain", "hardened", "missing-values", "accuracy", LEVELS, (0.002, 0.021, -0.03), (-0.01, 0.004, -0.05),
    (0.012, 0.038, -0.01), 0.02, 0.08, 0.14,
)  # fmt: skip
FRAGILE = (
    Fragility("model", "missing-values", "accuracy", 0.3, "fraction", "income", 0.08, 0.06, 0.1, 1e-9, True, 1, 2),
    Fragility("model", "missing-values", "accuracy", 0.3, "fraction", "age", 0.0, -0.01, 0.01, 0.5, False, 2, 9),
    Fragility(
        "model", "missing-values", "accuracy", 0.3, "fraction", "income", 0.12, 0.1, 0.14, 1e-9, True,
        pair_with="age", extra=Estimate(0.04, 0.01, 0.07),
    ),
)  # fmt: skip


def everything():
    """A result in which every field holds something, None and the ends of ranges among it."""
    whole = curve(
        rows=(156, 1000, 312),
        flips=(0.01, None, 0.2),
        calibration=(0.02, 0.03, None),
        clean_calibration=0.01,
        calibration_change=(0.01, 0.02, None),
        calibration_change_low=(-0.01, 0.01, None),
        calibration_change_high=(0.03, 0.04, None),
        worst=(None, Slice("city", "Ulm", 40, 0.2, None, 0.4), None),
        crashes=(None, None, Crash("ValueError", "unknown city", 0.03, 312)),
    )
    bound = Bound("income", "number", baseline=0.02, limit=0.12, fails_from=0.22)
    limit = Limit(
        "model", "accuracy", "missing-values", {"noise": "MissingValues", "level": 0.0}, ("income",), "fraction", 0.1,
        0.2, "missing", (bound,),
    )  # fmt: skip
    return result(
        whole,
        crashed(noise="typos", kind="Typos"),
        notes=(EVIL,),
        finished=False,
        differences=(DIFFERENCE,),
        fragile=FRAGILE,
        limits=(limit,),
        checked=(Checked("missing-values", 0.3, "fraction", "fails", True),),
        cost=Cost(34_120, 1000, 45, 12.1, 12.9, 1000, 500, 13_000),
        library="polars",
    )


def test_a_level_has_one_of_four_words():
    assert curve().words_at(0.05) == ("passes", "undecided", "fails")
    assert crashed().words_at(0.05) == ("fails",) * 3
    few = dataclasses.replace(curve().break_point, reason="only 12 test rows")
    assert curve(break_point=few).words_at(0.05) == ("not measurable",) * 3
    at_the_edge = curve(drop_low=(0.05,) * 3, drop_high=(0.05,) * 3)
    assert at_the_edge.words_at(0.05) == ("passes",) * 3


@pytest.mark.parametrize(
    ("library", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)]
)
def test_frames_come_out_in_the_library_of_the_user(library, kind):
    made = dataclasses.replace(everything(), library=library)
    frames = {name: getattr(made, name)() for name in ("to_frame", "break_points", "robustness", "fragility",
                                                       "compare", "crashes")}  # fmt: skip
    assert all(type(f) is kind for f in frames.values())
    sizes = {name: (f.num_rows if kind is pa.Table else len(f)) for name, f in frames.items()}
    assert sizes == {
        "to_frame": 6, "break_points": 2, "robustness": 2, "fragility": 3, "compare": 4, "crashes": 4,
    }  # fmt: skip


def test_frames_keep_their_types_where_nothing_was_measured():
    gone = result(crashed()).to_frame()
    assert gone["drop"].dtype == np.float64
    assert gone["drop"].isna().all()
    assert gone["rows"].tolist() == [1000] * 3
    none = result(crashed(), library="polars").to_frame()
    assert none["drop"].to_list() == [None] * 3
    assert none.schema["score"] == pl.Float64
    assert result(library="polars").crashes().schema["drop"] == pl.Float64


def test_a_library_that_is_gone_is_said(monkeypatch):
    import narwhals.stable.v2 as nw

    def gone(*given, **settings):
        raise ModuleNotFoundError("No module named 'polars'")

    monkeypatch.setattr(nw, "from_dict", gone)
    with pytest.raises(MissingExtraError, match="pip install polars"):
        everything().to_frame()


def test_the_tidy_frame_says_verdict_rows_and_worst_slice():
    frame = dataclasses.replace(everything(), library="pandas").to_frame()
    first = frame[frame["noise"] == "missing-values"]
    assert first["verdict"].tolist() == ["passes", "undecided", "fails"]
    assert first["rows"].tolist() == [156, 1000, 312]
    assert first["worst_value"].tolist()[1] == "Ulm"
    assert first["flips"].tolist()[::2] == [0.01, 0.2]
    assert set(frame["error"].dropna()) == {"KeyError: 'income'"}


def test_everything_travels_as_json():
    made = everything()
    text = made.to_json()
    assert StressResult.from_json(text) == made
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION == 2
    strict = json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    assert strict["curves"][0]["rows"] == [156, 1000, 312]


def test_numbers_that_json_cannot_say_become_none():
    made = result(curve(drop_high=(0.03, math.inf, math.nan), robustness=-math.inf))
    assert made.curves[0].drop_high == (0.03, None, None)
    assert made.curves[0].robustness is None
    assert StressResult.from_json(made.to_json()) == made


def hardened():
    return HardenResult(
        None, Recipe([]), "keep", "nothing gained", "accuracy", False, 3, 0.9, 0.9, None, 0.01, None, None, (), (), (),
        result(),
    )  # fmt: skip


WRONG = {
    "no JSON": (lambda: "nope", "`nope` is not JSON"),
    "empty": (lambda: "", "is not JSON"),
    "cut off": (lambda: everything().to_json()[:-200], "may be cut off"),
    "an older version": (
        lambda: everything().to_json().replace('"schema_version": 2', '"schema_version": 1'),
        "schema version 1; this hormesis reads version 2",
    ),
    "another record": (lambda: hardened().to_json(), "a HardenResult, not of a StressResult"),
    "a list": (lambda: "[1, 2]", "holds a list"),
    "strange JSON": (lambda: '{"a": 1}', "no `schema_version`"),
    "a field too many": (lambda: everything().to_json().replace('"finished"', '"done"'), "look at `done`"),
    "a field of another type": (
        lambda: everything().to_json().replace('"max_drop": 0.05', '"max_drop": "much"'),
        "look at `max_drop`",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_text_that_is_no_result_is_one_clear_error(case):
    text, said = WRONG[case]
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        StressResult.from_json(text())
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)


def test_a_stress_result_is_no_harden_result():
    with pytest.raises(DataError, match=r"StressResult\.from_json"):
        HardenResult.from_json(everything().to_json())
    made = hardened()
    assert HardenResult.from_json(made.to_json()).proof == made.proof


def test_what_was_not_measured_says_how_to_ask():
    with pytest.raises(SettingError, match="by_column=True"):
        result().fragility()
    with pytest.raises(SettingError, match=r"one model, `model`, was measured. Give two or more in a dict"):
        result().compare()


def test_differences_speak_for_the_second_model():
    assert DIFFERENCE.words == "hardened holds 8 points longer [2, 14]"
    assert DIFFERENCE.words_at(0) == "not shown to differ at 10 % [-0.010, 0.012]"
    assert DIFFERENCE.words_at(1) == "hardened loses 0.021 less at 20 % [0.004, 0.038]"
    assert DIFFERENCE.words_at(2) == "hardened loses 0.030 more at 30 % [0.010, 0.050]"
    frame = result(differences=(DIFFERENCE,)).compare()
    assert frame["measure"].tolist() == ["drop"] * 3 + ["break point"]
    assert frame["words"].tolist()[-1] == DIFFERENCE.words
    assert frame["difference"].tolist() == [0.002, 0.021, -0.03, 0.08]


@pytest.mark.parametrize(
    ("ends", "unit", "said"),
    [
        ((-0.02, 0.03, 0.08), "fraction", "break points not shown to differ"),
        ((-0.14, -0.08, -0.02), "fraction", "hardened breaks 8 points sooner [2, 14]"),
        ((0.3, 0.5, 0.7), "sigma", "hardened holds 0.5 sd longer [0.3, 0.7]"),
        ((0.01, None, None), "fraction", "hardened holds at least 1 point longer"),
        ((None, None, -0.02), "fraction", "hardened breaks at least 2 points sooner"),
        ((None, None, None), "fraction", "break points not shown to differ"),
    ],
)
def test_break_points_differ_in_words(ends, unit, said):
    low, value, high = ends
    made = dataclasses.replace(DIFFERENCE, break_low=low, break_value=value, break_high=high, unit=unit)
    assert made.words == said


def test_scores_are_compared_where_they_were_measured():
    made = dataclasses.replace(
        DIFFERENCE, score=(0.0, 0.02, None), score_low=(-0.01, 0.01, None), score_high=(0.01, 0.03, None)
    )
    frame = result(differences=(made,)).compare()
    assert frame["measure"].tolist() == ["drop", "score", "drop", "score", "drop", "break point"]
    assert frame["words"][3] == "hardened scores 0.020 more at 20 % [0.010, 0.030]"


SCHEMA = next(name for name, kind in CATALOGUE.items() if kind.changes == "schema")


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [((-0.01, 0.01), "within tolerance"), ((0.1, 0.3), "silent"), ((0.01, 0.2), "undecided")],
)
def test_noise_of_whole_columns_is_silent_within_tolerance_or_undecided(ends, outcome):
    low, high = ((v,) * 3 for v in ends)
    frame = result(curve("whole", SCHEMA, drop_low=low, drop_high=high)).crashes()
    assert frame["outcome"].tolist() == [outcome] * 3


def test_a_crash_is_loud_whatever_the_noise():
    loud = result(crashed(), curve("typos", "Typos"), crashed(noise="whole", kind=SCHEMA)).crashes()
    assert loud["outcome"].tolist() == ["raises"] * 6
    assert loud["words"][0] == "raises KeyError: 'income'"
    assert loud["kind"][0] == "KeyError"
    half = curve(crashes=(None, Crash("ValueError", "unknown city", 0.03, 400), None))
    said = result(half).crashes()["words"].tolist()
    assert said == ["raises ValueError: unknown city (on 3 % of 400 rows)"]


def test_a_silent_loss_says_how_much():
    words = result(curve("whole", SCHEMA)).crashes()["words"].tolist()
    assert words == [
        "within the tolerance: loses 0.010 [-0.010, 0.030]",
        "undecided: loses 0.040 [0.020, 0.060]",
        "silently loses 0.100 [0.080, 0.120]",
    ]


def test_noise_of_whole_columns_has_words_of_its_own():
    point = dataclasses.replace(
        curve().break_point, noise="renamed-column", tested_to=1.0, passes_to=0.0, fails_from=1.0, whole=True
    )
    loud = dataclasses.replace(point, raises="ValueError: no `income`")
    assert str(loud) == "renamed column: raises ValueError: no `income`"
    assert point.words == "silently loses more than tolerated"
    assert dataclasses.replace(point, fails_from=None, passes_to=1.0).words == "within the tolerance"
    assert dataclasses.replace(point, fails_from=None).words == "undecided"


def test_a_noise_that_changed_nothing_shows_nothing_unless_it_moved_columns_or_the_model_raised():
    still = (0.0, 0.0, 0.0)
    said = result(
        curve(changed=still), crashed(changed=still), curve("whole", SCHEMA, changed=still), curve()
    ).verdicts()
    assert ["shows nothing" in line for line in said] == [True, False, False, False]


def test_the_repr_says_once_what_it_is_about_and_where_it_stopped_early():
    text = repr(result(curve(rows=(156, 1000, 312)), curve("typos", "Typos", rows=(1000,) * 3)))
    assert text.count("on rows like these that the model has not seen") == 1
    first, second = (line for line in text.splitlines() if "passes" in line)
    assert first.endswith("(measured on 156 to 1,000 of 1,000 rows)")
    assert "measured on" not in second
    grouped = result()
    grouped = dataclasses.replace(grouped, provenance=dataclasses.replace(grouped.provenance, groups=40))
    assert "40 groups of rows as the sample" in grouped.estimand


def test_the_notebook_page_is_whole_and_escaped():
    page = everything()._repr_html_()
    said = [
        "breaks", "passes 10 %, fails at 30 %", "measured on 156 to 1,000 of 1,000 rows", "new noise of this kind",
        "34.1 times the 1,000 test rows", "hardened holds 8 points longer", "income: loses 0.080",
        "Stop the batch when more than 12 % of `income` is missing", "harmful and unnoticed",
    ]  # fmt: skip
    assert [s for s in said if s not in page] == []
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "not shown to matter" not in page


def test_a_cost_is_said_in_words():
    assert repr(Cost(1000, 1000, 1, 0.5, 0.75, 1000)) == (
        "predicted 1,000 rows (1.0 times the 1,000 test rows), 0.5 s in 1 call of 0.8 s"
    )
    kept = Cost(34_120, 10_000, 45, 12.1, 12.9, 10_000, 8000, 130_000)
    assert kept.multiple == pytest.approx(3.412)
    assert repr(kept).endswith("; 8,000 rows more came from the store")
    assert "a grid of the same levels takes 13.0" in str(kept)


def test_findings_are_sentences():
    assert str(FRAGILE[0]) == "income: loses 0.080 [0.060, 0.100], matters, rank 1 to 2"
    assert str(FRAGILE[1]) == "age: loses 0.000 [-0.010, 0.010], not shown to matter, rank 2 to 9"
    assert str(FRAGILE[2]) == (
        "income and age: together 0.040 [0.010, 0.070] more than the two apart (0.120 [0.100, 0.140] in all)"
    )
    less = dataclasses.replace(FRAGILE[2], extra=Estimate(-0.04, -0.07, -0.01))
    assert "together 0.040 [0.010, 0.070] less than the two apart" in str(less)
    unsure = dataclasses.replace(FRAGILE[2], matters=False, extra=Estimate(0.04, -0.01, 0.09))
    assert "not shown to lose more together than apart [-0.010, 0.090]" in str(unsure)
    assert not any("matters" in str(f) for f in (FRAGILE[2], less, unsure))
    assert str(Slice("age", "61 to 70", 1200, 0.2, 0.1, 0.3)) == (
        "age 61 to 70 (1,200 rows): loses 0.200 [0.100, 0.300]"
    )


def alone(column, verdict, noise="missing-values", **given):
    """One column under one noise: "breaks" at 30 %, "undecided" or "holds"."""
    ends = {"breaks": (0.1, 0.3), "undecided": (0.1, None), "holds": (0.3, None)}[verdict]
    point = dataclasses.replace(
        curve().break_point, noise=f"{noise}@{column}", passes_to=ends[0], fails_from=ends[1]
    )
    step = {"noise": "MissingValues", "level": 0.3, "columns": [column]}
    return curve(f"{noise}@{column}", break_point=point, step=step, **given)


def renamed(column, raises=None, fails=None):
    point = BreakPoint(
        "model", f"renamed-column@{column}", "accuracy", "fraction", 1.0, 0.0 if fails else 1.0, fails, 0.5, None,
        raises=raises, whole=True,
    )  # fmt: skip
    step = {"noise": "RenamedColumn", "level": 1.0, "columns": [column]}
    return curve(f"renamed-column@{column}", break_point=point, step=step)


def test_columns_alone_take_a_line_each_only_where_they_do_not_hold():
    still = alone("flag", "holds", changed=(0.0,) * 3)
    verdicts = {"a": "holds", "income": "breaks", "b": "holds", "age": "undecided", "c@d": "holds"}
    made = result(curve(), *(alone(name, verdict) for name, verdict in verdicts.items()), still)
    assert made.lines()[2:] == [
        "  missing values: passes 10 %, fails at 30 %",
        "  missing values in `income` alone: passes 10 %, fails at 30 %",
        "  missing values in `age` alone: passes 10 %, undecided from there to 30 %",
        "  missing values in each of 3 other columns alone: holds to 30 %, the highest level tested",
        "  missing values in `flag` alone: nothing changed in these rows",
    ]
    assert len(made.verdicts()) == 7
    assert all(line in repr(made) for line in made.lines()[2:])
    assert "missing values in `income` alone: passes 10 %" in made._repr_html_()
    every = result(*(alone(f"c{i}", "holds") for i in range(40)))
    assert every.lines()[2:] == [
        "  missing values in each of 40 columns alone: holds to 30 %, the highest level tested"
    ]


def test_columns_that_break_alike_are_one_line():
    lines = result(*(alone(f"c{i}", "breaks") for i in range(100))).lines()
    names = ", ".join(f"`c{i}`" for i in range(12))
    assert lines[2:] == [f"  missing values in each of {names} and 88 more alone: passes 10 %, fails at 30 %"]


def test_models_are_compared_column_by_column_only_where_they_surely_differ():
    columns = {"a": "longer", "b": "longer", "c": "unsure", "d": "unsure"}
    curves = [alone(name, "holds", model=m) for name in columns for m in ("plain", "hardened")]
    same = {"break_low": -0.1, "break_high": 0.1}
    made = [
        dataclasses.replace(DIFFERENCE, noise=f"missing-values@{name}", **({} if how == "longer" else same))
        for name, how in columns.items()
    ]
    lost = dataclasses.replace(FRAGILE[0], model="hardened")
    lines = result(*curves, differences=(DIFFERENCE, *made), fragile=(lost,)).lines()
    assert lines[-4:] == [
        "  hardened: missing values in income: loses 0.080 [0.060, 0.100], matters, rank 1 to 2",
        "  missing values, plain and hardened: hardened holds 8 points longer [2, 14]",
        "  missing values in each of `a`, `b` alone, plain and hardened: hardened holds 8 points longer [2, 14]",
        "  noise in one column alone: break points not shown to differ, 2 times",
    ]


def test_whole_columns_one_at_a_time_are_one_line():
    gone = [renamed(f"c{i}", raises=f"KeyError: 'c{i}'", fails=1.0) for i in range(19)]
    lines = result(*gone, renamed("id"), renamed("city", fails=1.0)).lines()
    assert lines[2:] == [
        "  renamed column, one column at a time: raises for 19 of 21 columns: KeyError: 'c0'; silently loses more than "
        "tolerated for `city`; within the tolerance for 1 of 21 columns"
    ]


def test_notes_on_levels_that_changed_nothing_are_one():
    some = [alone(name, "holds", changed=(0.0, 0.2, 0.3)) for name in ("a", "b")]
    one, both = (result(*c, notes=(EVIL, *idle_notes(c))) for c in (some[:1], some))
    assert (
        one.lines()[2]
        == "  note: missing values@a changed nothing in these rows at level 0.1: to pass there shows nothing"
    )
    assert both.lines()[1:3] == [
        f"  note: {EVIL}",
        "  note: changed nothing in these rows at some levels, so that passing there shows nothing: "
        "`missing values@a`, `missing values@b`",
    ]


def test_several_models_are_named_at_their_clean_scores_and_compared():
    lines = result(curve(model="plain"), curve(model="hardened"), differences=(DIFFERENCE,)).lines()
    assert lines[1:] == [
        "  plain: clean accuracy 0.900 [0.880, 0.920]",
        "  hardened: clean accuracy 0.900 [0.880, 0.920]",
        "  plain: missing values: passes 10 %, fails at 30 %",
        "  hardened: missing values: passes 10 %, fails at 30 %",
        "  missing values, plain and hardened: hardened holds 8 points longer [2, 14]",
    ]


class Sign:
    """Answers by the sign of the first column."""

    classes_ = np.array([0, 1])

    def predict(self, X):
        return (np.asarray(X)[:, 0] > 0).astype(int)


def test_a_result_that_was_cut_short_does_not_look_finished():
    X = np.random.default_rng(0).normal(size=(400, 3))
    asked = {"noises": ["GaussianNoise", "Outliers"], "scoring": "accuracy", "by_column": True}
    cut = stress(Sign(), X, (X[:, 0] > 0).astype(int), **asked, budget=0.0, progress=False)
    text = repr(cut)
    assert not cut.finished
    assert text.startswith("StressResult (not finished): accuracy")
    assert "note: cut short (the time budget was spent)" in text or "note: left out (the time budget" in text
    assert "not finished" not in repr(result())
    long = result(notes=("left out (interrupted): " + ", ".join(f"missing-values@c{i}" for i in range(300)),))
    (note,) = (line for line in repr(long).splitlines() if "note" in line)
    assert len(note) < 450
    shown = note.count("@")
    assert note.endswith(f"@c{shown - 1} and {300 - shown} more")
