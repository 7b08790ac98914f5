"""Records refuse mistakes in one sentence: what was typed, the rule, the mend; in Python and in recipes alike."""

import numpy as np
import pandas as pd
import pytest

from hormesis.errors import DataError, RecipeError, SettingError
from hormesis.noise import (
    CaseErrors,
    GaussianNoise,
    LabelFlips,
    Masking,
    MissingValues,
    OCRErrors,
    PriorShift,
    RenamedColumn,
    Rounding,
    SignErrors,
    Typos,
    UnitChange,
    UnitErrors,
    Where,
)
from hormesis.profile import Profile
from hormesis.recipe import Recipe
from hormesis.rules import AtMost, Sum, Within

TOLD = {
    "no driver": (lambda: Where("MAR"), "`Where('MAR')`: mechanism MAR needs a driver"),
    "an unknown word": (
        lambda: Where("MARR"),
        "`Where(mechanism='MARR')`: mechanism: expected 'MCAR', 'MAR'",
    ),
    "a place": (lambda: Where("MAR", "age", "x"), "`Where(strength='x')`: strength: expected a number."),
    "an unknown setting": (lambda: Where(bursts=3), "Did you mean `burst`?"),
    "below its range": (lambda: Where(burst=0), "`Where(burst=0)`: burst: expected at least 1."),
    "an empty range": (lambda: Within("a", 5, 1), "`Within('a', 5, 1)`: the range from 5 to 1 is empty."),
    "no end": (lambda: Within("a"), "`Within('a')`: a range has a low end"),
    "something left out": (lambda: AtMost("a"), "`AtMost('a')`: `upper` is missing."),
    "no parts": (lambda: Sum("t", ()), "`Sum(parts=())`: parts: expected at least 1 of them."),
    "no list": (lambda: Sum("t", parts="ab"), "`Sum(parts='ab')`: parts: expected a list."),
    "too many": (lambda: Within("a", 1, 2, 3), "Within has `column`, `low`, `high`."),
    "nested": (
        lambda: MissingValues(0.1, where={"mechanism": "MAR"}),
        "`MissingValues(where={'mechanism': 'MAR'})`: mechanism MAR needs a driver",
    ),
    "nested deeper": (
        lambda: MissingValues(0.1, where={"strenght": 1}),
        "`MissingValues(where.strenght=1)`: no such setting; Where has",
    ),
    "either kind": (lambda: Masking(fill="median"), "fill: expected 'mean' or 'zero' or a number."),
    "one of a list": (
        lambda: CaseErrors(cases=("x",)),
        "`CaseErrors(cases.0='x')`: cases.0: expected 'upper'",
    ),
    "a factor of one": (lambda: UnitErrors(factors=(10, 1)), "factors.1: expected a factor other than 1"),
    "one factor of one": (lambda: UnitChange(factor=1), "factor: expected a factor other than 1"),
    "an empty prefix": (lambda: RenamedColumn(prefix=""), "prefix: expected"),
}
BOOLEANS = {
    "digits": lambda: Rounding(digits=True),
    "where.strength": lambda: MissingValues(where={"strength": np.True_}),
    "strength": lambda: Where("MNAR", strength=True),
    "columns.0": lambda: Typos(columns=[False]),
    "by_class.a": lambda: LabelFlips(by_class={"a": True}),
    "low": lambda: Within("a", low=True),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_mistake_is_one_sentence(case):
    call, said = TOLD[case]
    with pytest.raises(SettingError) as error:
        call()
    assert said in str(error.value)
    assert str(error.value).count("`: ") == 1
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize("path", BOOLEANS)
def test_truth_values_are_no_numbers(path):
    with pytest.raises(SettingError, match=f"{path}=.*expected a number or text; YAML takes yes, no"):
        BOOLEANS[path]()


def test_classes_may_be_truth_values():
    assert PriorShift(toward=True).toward == "True"
    assert LabelFlips(by_class={True: 0.5}).by_class == {"True": 0.5}


def test_recipes_tell_every_mistake_in_the_same_words():
    text = """
steps:
- {noise: MissingValues, level: yes}
- {noise: Typos, where: {mechanism: MAR}}
- {noise: DropRows, where: {mechanism: XX, burst: 0}}
rules:
- {column: age, lo: 0}
- {column: age, low: no}
"""
    with pytest.raises(RecipeError) as error:
        Recipe.from_yaml(text)
    said = str(error.value).splitlines()
    assert [line.split(":")[0] for line in said] == [
        "rules[0]", "rules[1]", "steps[0]", "steps[1]", "steps[2]", "steps[2]"
    ]  # fmt: skip
    assert "`MissingValues(level=True)`: level is a fraction of cells" in said[2]


def test_the_name_keeps_an_acronym_in_one_word():
    assert (OCRErrors().name, UnitErrors().name) == ("ocr-errors", "unit-errors")


@pytest.mark.parametrize("noise", [GaussianNoise(0.5), UnitChange(1.0), SignErrors(1.0)])
def test_text_where_training_had_numbers_is_refused(noise):
    frame = pd.DataFrame({"age": [31, 45, 27]})
    with pytest.raises(
        DataError, match="`age` was integer in the training data and holds string values here"
    ):
        noise.apply(frame.astype({"age": "str"}), profile=Profile.learn(frame))


@pytest.mark.parametrize("seed", ["a", 1.5, None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(SettingError, match=f"`seed={seed!r}`: a seed is a whole number"):
        GaussianNoise(0.5).apply(np.arange(3.0), seed=seed)
