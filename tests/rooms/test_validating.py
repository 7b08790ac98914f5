"""Validators of every kind: what they accept, what they reject and why, and the harm they do not notice."""

import json
import types

import numpy as np
import pandas as pd
import polars as pl
import pytest

from hormesis.errors import DataError, SettingError
from hormesis.limits import Bound, Checked, Limit
from hormesis.thresholds import Thresholds
from hormesis.validating import Noticed, Validation, Verdict, as_validator

CLEAN = pd.DataFrame({"age": [31.0, 45.0, 52.0, 28.0], "city": ["Bern", "Genf", "Chur", "Bern"]})
BAD = CLEAN.assign(age=[31.0, None, None, 28.0])


def asserting(table):
    assert table.age.notna().all(), "ages are missing"


def raising(table):
    if table.age.isna().any():
        raise ValueError("2 ages are missing")
    return table


@pytest.mark.parametrize(
    ("validator", "reason"),
    [
        (lambda t: bool(t.age.notna().all()), "it returned False"),
        (lambda t: t.age.notna().all(), "it returned False"),  # a NumPy boolean
        (asserting, "ages are missing"),
        (raising, "ValueError: 2 ages are missing"),
        (lambda t: ["age: 2 missing", "age: few"] if t.age.isna().any() else [], "age: 2 missing; age: few"),
        (lambda t: {"success": not t.age.isna().any()}, "success is False"),
        (lambda t: types.SimpleNamespace(success=not t.age.isna().any()), "success is False"),
        (types.SimpleNamespace(validate=raising), "ValueError: 2 ages are missing"),
    ],
)
def test_any_way_to_reject_is_understood(validator, reason):
    judge = as_validator(validator)
    assert judge(CLEAN) == Verdict(accepted=True)
    assert judge(BAD) == Verdict(accepted=False, reason=reason)
    assert (
        Validation(validator, CLEAN).look("n", 0.1, "fraction", "fails", BAD).verdict == "harmful and noticed"
    )


def test_an_assertion_without_words_still_has_a_reason():
    def bare(table):
        assert table is None

    assert as_validator(bare)(CLEAN).reason.startswith(("AssertionError", "assert "))


def test_a_validator_may_change_its_table():
    def greedy(table):
        del table["age"]

    assert as_validator(greedy)(CLEAN).accepted
    assert list(CLEAN.columns) == ["age", "city"]
    array = np.ones((2, 2))
    as_validator(lambda a: a.fill(0))(array)
    assert array.all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_pandera_schemas_and_models_are_asked_lazily(library):
    pandera = pytest.importorskip(f"pandera.{library}")
    convert = pl.from_pandas if library == "polars" else (lambda frame: frame)
    adult = pandera.Column(float, pandera.Check.ge(18, error="an adult is 18 or older"), nullable=True)
    town = pandera.Column(str, pandera.Check.isin(["Bern", "Genf", "Chur"]))
    judge = as_validator(pandera.DataFrameSchema({"age": adult, "city": town}))
    assert judge(convert(CLEAN)) == Verdict(accepted=True)
    said = judge(convert(CLEAN.assign(age=[3.0, 45.0, 52.0, 28.0], city="Paris")))
    assert not said.accepted
    assert "an adult is 18 or older; " in said.reason
    assert "isin(['Bern', 'Genf', 'Chur'])" in said.reason
    assert not judge(convert(CLEAN[["age"]])).accepted

    class People(pandera.DataFrameModel):
        age: float = pandera.Field(nullable=False)

    judge = as_validator(People)
    assert judge(convert(CLEAN)).accepted
    assert not judge(convert(BAD.convert_dtypes() if library == "polars" else BAD)).accepted


def test_our_own_limits_are_a_validator():
    bound = Bound("age", "number", baseline=0.0, limit=0.3, fails_from=0.5)
    step = {"noise": "MissingValues", "level": 0.1}
    limit = Limit("m", "r2", "missing-values", step, ("age",), "fraction", 0.3, 0.5, "missing", (bound,))
    judge = as_validator(Thresholds([limit]))
    assert judge(CLEAN).accepted
    assert judge(BAD).reason == "50 % of `age` is missing; the limit is 30 %, the model surely fails at 50 %"


def test_great_expectations_results_are_read():
    """The shape that great_expectations 1.24 documents: results of expectations, alone or below a checkpoint's runs."""
    failed = {
        "success": False,
        "expectation_config": {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}},
    }
    passed = {"success": True, "expectation_config": {"type": "expect_table_row_count_to_be_between"}}
    plain = {"success": False, "results": [passed, failed]}

    class Result:
        success = False

        def to_json_dict(self):
            return json.loads(json.dumps(plain))

    class CheckpointResult:
        success = False

        def __init__(self):
            self.run_results = {"a run": Result(), "another": types.SimpleNamespace(success=True)}

    class Checkpoint:
        def run(self, batch_parameters=None):
            assert list(batch_parameters) == ["dataframe"]
            good = not batch_parameters["dataframe"].age.isna().any()
            return types.SimpleNamespace(success=True) if good else CheckpointResult()

        @classmethod
        def validate(cls, value):  # of the records it is made of, not of tables
            raise TypeError(value)

    for validator in (lambda _: plain, lambda _: Result(), lambda _: CheckpointResult(), Checkpoint()):
        verdict = as_validator(validator)(BAD)
        assert verdict == Verdict(accepted=False, reason="expect column values to not be null (`age`)")
    assert as_validator(Checkpoint())(CLEAN).accepted


def test_great_expectations_itself():
    gx = pytest.importorskip("great_expectations")
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("people").add_dataframe_asset("people")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite("ages"))
    suite.add_expectation(gx.expectations.ExpectColumnValuesToNotBeNull(column="age"))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="ages", data=batch, suite=suite)
    )
    checkpoint = context.checkpoints.add(gx.Checkpoint(name="ages", validation_definitions=[definition]))
    for validator in (definition, checkpoint, lambda t: batch.get_batch({"dataframe": t}).validate(suite)):
        judge = as_validator(validator)
        assert judge(CLEAN).accepted
        assert judge(BAD).reason == "expect column values to not be null (`age`)"


@pytest.mark.parametrize("given", [3, "pandera", dict, None])
def test_what_is_no_validator_is_refused(given):
    with pytest.raises(SettingError, match=r"`validator` is a function of a table"):
        as_validator(given)


def test_an_answer_that_says_neither_yes_nor_no_is_refused():
    with pytest.raises(SettingError, match=r"`validator` returned .*; it accepts by True"):
        Validation(lambda t: t.age > 3, CLEAN)
    with pytest.raises(SettingError, match=r"`validator` returned 'fine'"):
        Validation(lambda _: "fine", CLEAN)


def test_clean_rows_must_be_accepted():
    with pytest.raises(
        DataError, match=r"rejects the clean rows: ages are missing\. What it says of noisy rows"
    ):
        Validation(asserting, BAD)


def test_a_validator_that_crashes_on_clean_rows_is_told_from_one_that_rejects():
    with pytest.raises(
        SettingError, match=r"crashes on the clean rows: KeyError: 'income'\. It is given the table alone"
    ):
        Validation(lambda t: t["income"].max() < 9, CLEAN)
    with pytest.raises(SettingError, match=r"crashes on the clean rows: TypeError"):
        Validation(lambda: True, CLEAN)
    lost = Validation(lambda t: t["age"].max() < 99, CLEAN).look(
        "missing-column", 1.0, "fraction", "fails", CLEAN[["city"]]
    )
    assert (lost.verdict, lost.reason) == ("harmful and noticed", "KeyError: 'age'")


def test_ctrl_c_is_not_a_rejection():
    def stopped(table):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        as_validator(stopped)(CLEAN)


def test_each_noisy_table_is_shown_once():
    shown = []
    validation = Validation(lambda t: shown.append(len(t)), CLEAN)
    for model in ("a", "b"):
        for level in (0.1, 0.2):
            made = validation.look("typos", level, "fraction", "passes", BAD, model=model, scoring="r2")
            assert (made.model, made.scoring, made.level) == (model, "r2", level)
    assert len(shown) == 3  # the clean rows, and two levels


def test_the_table_of_harm_and_notice():
    words = ["fails", "fails", "passes", "passes", "passes", "undecided", "undecided", "not measurable"]
    accepted = [True, False, True, True, False, True, False, True]
    made = Noticed(
        Checked("noise", i / 10, "fraction", w, a, "" if a else "too bad") for i, (w, a) in enumerate(zip(words, accepted, strict=True))
    )  # fmt: skip
    assert made.counts() == {
        "harmful and unnoticed": 1,
        "harmful and noticed": 1,
        "harmless and rejected": 1,
        "harmless and accepted": 2,
        "undecided and accepted": 1,
        "undecided and rejected": 1,
        "not measurable and accepted": 1,
    }
    frame = made.to_frame()
    assert frame.verdict.tolist()[:3] == [
        "harmful and unnoticed",
        "harmful and noticed",
        "harmless and rejected",
    ]
    assert frame.reason.tolist()[:2] == ["", "too bad"]
    assert repr(made).splitlines()[1:] == [
        "  noise at 0 %: harmful and unnoticed",
        "  noise at 40 %: harmless and rejected (too bad)",
    ]
    assert "harmless and rejected" in made._repr_html_()
    assert Noticed([]).counts()["harmful and unnoticed"] == 0
    assert len(Noticed([]).to_frame()) == 0
    assert repr(Noticed([])) == "Noticed: nothing"


def test_a_long_reason_is_cut():
    reason = as_validator(lambda _: ["much " * 200])(CLEAN).reason
    assert len(reason) == 300
    assert reason.endswith(" ...")
