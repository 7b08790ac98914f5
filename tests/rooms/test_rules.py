"""Rules keep rows plausible under noise, and say where they cannot."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hormesis.errors import RecipeError, SettingError
from hormesis.noise import GaussianNoise, LabelFlips, MissingValues, Outliers
from hormesis.profile import Profile
from hormesis.recipe import Recipe, noisy
from hormesis.rules import AtMost, RuleWarning, Sum, Within, broken

RNG = np.random.default_rng(0)
N = 400
NET = RNG.integers(0, 100, N)
START = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 1000, N), unit="h")
FRAME = pd.DataFrame(
    {
        "age": RNG.integers(0, 100, N),
        "low": RNG.normal(0, 1, N),
        "net": NET,
        "tax": NET // 5,
        "total": NET + NET // 5,
        "start": START,
        "end": START + pd.to_timedelta(RNG.integers(0, 90, N), unit="h"),
    }
).assign(high=lambda f: f["low"] + RNG.random(N))
RULES = (Within("age", 0, 100), AtMost("low", "high"), Sum("total", ("net", "tax")), AtMost("start", "end"))
LIBRARIES = {"pandas": lambda f: f, "polars": pl.from_pandas, "arrow": pa.Table.from_pandas}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "noise", [GaussianNoise(1.0), Outliers(0.5), GaussianNoise(0.1, columns=("low", "net"))]
)
@given(seed=st.integers(0, 20))
def test_rows_that_keep_the_rules_keep_them_under_noise(noise, library, seed):
    table = LIBRARIES[library](FRAME)
    out = Recipe([noise], rules=RULES).apply(table, seed=seed)
    assert set(broken(out, RULES).values()) == {0}
    assert any(broken(Recipe([noise]).apply(table, seed=seed), RULES).values())


def test_what_a_noise_throws_beyond_a_range_rests_at_its_end():
    frame = pd.DataFrame({"x": [0.0, 5.0, 10.0]})
    rules = [Within("x", low=0, high=10)]
    free = Recipe([GaussianNoise(3.0)]).apply(frame)["x"]
    assert Recipe([GaussianNoise(3.0)], rules=rules).apply(frame)["x"].tolist() == free.clip(0, 10).tolist()
    assert ((free < 0) | (free > 10)).any()


def test_what_moved_stops_where_the_other_column_stands():
    frame = pd.DataFrame({"a": np.zeros(200), "b": np.ones(200), "x": RNG.normal(size=200)})
    profile = Profile.learn(pd.DataFrame({"a": [-1.0, 0, 1], "b": [0.0, 1, 2], "x": [0.0, 1, 2]}))
    out = Recipe([GaussianNoise(2.0, columns=("a",))], rules=[AtMost("a", "b")]).apply(frame, profile=profile)
    assert (out["b"] == 1).all()
    assert (out["a"] == 1).any()
    assert (out["a"] <= 1).all()


def test_rows_that_broke_a_rule_before_are_left_alone():
    frame = pd.DataFrame({"x": [-5.0, 50.0, 3.0, 4.0]})
    out = Recipe([GaussianNoise(0.01)], rules=[Within("x", 0, 10)]).apply(frame)
    assert (out["x"] != frame["x"]).all()
    assert broken(out, [Within("x", 0, 10)]) == {"0 <= x <= 10": 2}


def test_missing_values_leave_a_rule_open():
    out = Recipe([MissingValues(0.5)], rules=RULES).apply(FRAME)
    assert set(broken(out, RULES).values()) == {0}


def test_what_cannot_be_kept_is_said():
    """Clipping the upper end afterwards breaks the order again: the rules are kept in turn, and not searched."""
    frame = pd.DataFrame({"a": np.full(50, 4.0), "b": np.full(50, 5.0)})
    profile = Profile.learn(pd.DataFrame({"a": [0.0, 4, 8], "b": [0.0, 5, 10]}))
    recipe = Recipe([GaussianNoise(1.0)], rules=[AtMost("a", "b"), Within("b", high=5)])
    with pytest.warns(
        RuleWarning, match=r"rows break the rule `a <= b` after `gaussian-noise` and cannot"
    ) as said:
        out = recipe.apply(frame, profile=profile)
    assert str(said[0].message).split()[0] == str(int((out["a"] > out["b"]).sum())) != "0"


@pytest.mark.parametrize("rules", [RULES, RULES[:1], ()])
def test_rules_travel_with_the_recipe(rules):
    recipe = Recipe([GaussianNoise(0.1)], seed=3, rules=rules)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    names = {"Recipe": Recipe, "GaussianNoise": GaussianNoise, "Within": Within, "AtMost": AtMost, "Sum": Sum}
    assert eval(repr(recipe), names) == recipe
    assert recipe != Recipe([GaussianNoise(0.1)], seed=3, rules=[Within("age", low=1)])


def test_steps_of_a_recipe_bring_their_rules_into_another():
    """As the search for a dose does, whose recipe is written to a file."""
    recipe = Recipe([GaussianNoise(0.1), LabelFlips(0.1)], rules=RULES)
    for other in (Recipe(recipe), Recipe([step.at(0.2) for step in recipe.steps])):
        assert other.rules == RULES
        assert Recipe.from_yaml(other.to_yaml()).rules == RULES
        assert other.labels.rules == ()
        assert other.labels.apply(np.array([0, 1] * 20)).size == 40


def test_rules_hold_in_stress_tests_and_training_copies():
    recipe = Recipe([GaussianNoise(2.0)], rules=RULES)
    profile = Profile.learn(FRAME)
    for out in (noisy(recipe.steps[0], FRAME, profile, seed=1)[0], recipe.training_copy(FRAME, copy=1)):
        assert set(broken(out, RULES).values()) == {0}


def test_all_mistakes_of_rules_are_said():
    text = """
steps:
- {noise: GaussianNoise}
rules:
- {column: age}
- {lower: a}
- {column: age, low: 3, high: 1}
- {min: 3}
"""
    with pytest.raises(RecipeError) as error:
        Recipe.from_yaml(text)
    said = str(error.value).splitlines()
    assert [line.split(":")[0] for line in said] == [f"rules[{i}]" for i in range(4)]
    assert "empty" in said[2]


def test_a_rule_of_no_column_or_of_text_is_refused():
    with pytest.raises(SettingError, match="Did you mean `age`"):
        Recipe([GaussianNoise(0.1)], rules=[Within("ages", low=0)]).apply(FRAME)
    with pytest.raises(SettingError, match="holds string values"):
        Recipe([GaussianNoise(0.1)], rules=[Within("t", low=0)]).apply(pd.DataFrame({"t": ["a"], "x": [1.0]}))


def test_no_rule_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recipe([GaussianNoise(1.0)]).apply(FRAME)


def test_one_rule_needs_no_list():
    several = Recipe([GaussianNoise(0.1)], rules=[Within("age", low=0)])
    assert Recipe([GaussianNoise(0.1)], rules=Within("age", low=0)) == several
    assert Recipe([GaussianNoise(0.1)], rules={"column": "age", "low": 0}) == several
    with pytest.raises(SettingError, match="'age > 0' was given; a rule is a range"):
        Recipe([GaussianNoise(0.1)], rules="age > 0")
