"""Recipes: all mistakes at once, unique names, probabilities, and a schema that tells the truth."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import binom

from hormesis.errors import DataError, RecipeError, SettingError
from hormesis.frames import changed
from hormesis.noise import CATALOGUE, GaussianNoise, LabelFlips, MissingValues, Outliers, Typos
from hormesis.notation import schema
from hormesis.profile import Profile
from hormesis.recipe import Recipe, noisy, repeat_seed
from hormesis.step import Step

FRAME = pd.DataFrame({"x": np.random.default_rng(0).normal(size=4000), "y": np.arange(4000) % 7})
PROFILE = Profile.learn(FRAME)


def mistakes(text):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_yaml(text)
    return str(caught.value).splitlines()


def test_all_mistakes_are_told_at_once_with_their_place_and_the_nearest_word():
    told = mistakes("""
    seed: one
    stepz: 3
    steps:
    - {noise: MissingValues, level: 20, where: {mechansim: MAR}}
    - {noise: Outlier}
    - {noise: GaussianNoise, levl: 0.1, probability: 1.5}
    - {noise: Typos, name: 7}
    - {noise: Masking}
    - {noise: Masking}
    - GaussianNoise
    """)
    expected = [
        ("stepz", "Did you mean `steps`"),
        ("seed", "whole number"),
        ("steps[0]", "level is a fraction of cells, 0 to 1. Did you mean 0.2?"),
        ("steps[0]", "Did you mean `mechanism`"),
        ("steps[1]", "Did you mean `Outliers`"),
        ("steps[2]", "probability: 1.5"),
        ("steps[2]", "Did you mean `level`"),
        ("steps[3]", "a name is text"),
        ("steps[5].name", "`masking` is taken"),
        ("steps[6]", "a mapping with a `noise`"),
    ]
    assert len(told) == len(expected)
    for place, words in expected:
        assert any(line.startswith(place) and words in line for line in told), (place, words)


@pytest.mark.parametrize("text", ["", "3", "[]", "steps: 3", "{seed: 0}", "a: [", "\t"])
def test_what_is_no_recipe_is_refused(text):
    assert mistakes(text)
    with pytest.raises(RecipeError):
        Recipe.from_json(text)


def test_two_steps_of_one_name_are_refused():
    with pytest.raises(RecipeError, match="`gaussian-noise`"):
        Recipe([GaussianNoise(0.1), GaussianNoise(0.2)])


@pytest.mark.parametrize("thing", [GaussianNoise, "GaussianNoise", [1], None])
def test_what_is_no_noise_is_refused(thing):
    with pytest.raises(RecipeError, match="holds noises"):
        Recipe(thing)


@pytest.mark.parametrize("probability", [-0.1, 1.1, True, "0.5", None])
def test_a_probability_out_of_range_is_refused(probability):
    with pytest.raises(RecipeError, match="0 to 1"):
        Step(GaussianNoise(0.1), probability=probability)


def test_names_address_noise():
    """The name and nothing else: neither the place among the steps nor the other steps."""
    alone = Recipe([Step(Outliers(0.3, columns=["x"]), "spikes")]).apply(FRAME)
    later = Recipe([MissingValues(0.1, columns=["y"]), Step(Outliers(0.3, columns=["x"]), "spikes")]).apply(
        FRAME
    )
    other = Recipe([Step(Outliers(0.3, columns=["x"]), "peaks")]).apply(FRAME)
    pd.testing.assert_series_equal(alone["x"], later["x"])
    assert not alone["x"].equals(other["x"])
    assert alone.equals(Outliers(0.3, columns=["x"]).apply(FRAME)) is False
    assert Recipe(Outliers(0.3)).apply(FRAME).equals(Outliers(0.3).apply(FRAME))


@pytest.mark.parametrize("noise", [GaussianNoise(0.5, columns=["x"]), Outliers(0.8, columns=["x"])])
@pytest.mark.parametrize("probability", [0.0, 0.2, 0.9, 1.0])
def test_a_step_touches_a_row_with_its_probability(noise, probability):
    """A touched row of Outliers is hit with 0.8 more; both bands are binomial, 1e-6."""
    hit = changed(FRAME, Recipe(Step(noise, probability=probability)).apply(FRAME, profile=PROFILE))[:, 0]
    low, high = binom.ppf(
        [5e-7, 1 - 5e-7], 4000, probability * (noise.level if noise.unit == "fraction" else 1)
    )
    assert low <= hit.sum() <= high


def test_the_rows_that_a_step_touches_are_the_same_in_all_columns_and_nested():
    table = FRAME.assign(z=FRAME["x"])
    masks = [
        changed(table, Recipe(Step(GaussianNoise(1.0, columns=["x", "z"]), probability=p)).apply(table))
        for p in (0.2, 0.6)
    ]
    np.testing.assert_array_equal(masks[0][:, 0], masks[0][:, 2])
    assert not (masks[0] & ~masks[1]).any()


def test_training_copies_are_fresh_and_come_again():
    recipe = Recipe(GaussianNoise(0.5))
    copies = [recipe.training_copy(FRAME, copy=i)["x"] for i in (0, 1, 0)]
    assert copies[0].equals(copies[2])
    assert not copies[0].equals(copies[1])
    assert abs(np.corrcoef(copies[0] - FRAME["x"], copies[1] - FRAME["x"])[0, 1]) < 4.9 / np.sqrt(4000)


def test_repeats_come_in_antithetic_pairs():
    assert [repeat_seed(5, i) for i in (0, 1)] == [(5, False), (5, True)]
    assert repeat_seed(5, 2)[0] == repeat_seed(5, 3)[0] != 5
    moves = [
        noisy(Step(GaussianNoise(0.5)), FRAME, PROFILE, seed=5, repeat=i)[0]["x"] - FRAME["x"]
        for i in range(4)
    ]
    np.testing.assert_allclose(moves[0], -moves[1], atol=1e-12)
    np.testing.assert_allclose(moves[2], -moves[3], atol=1e-12)
    assert not np.allclose(moves[0], moves[2])


def test_features_and_labels_are_told_apart():
    recipe = Recipe([GaussianNoise(0.1), LabelFlips(0.1)], seed=4)
    assert recipe.features == Recipe(GaussianNoise(0.1), seed=4)
    assert recipe.labels == Recipe(LabelFlips(0.1), seed=4)


def test_defaults_are_left_out_and_the_level_is_always_said():
    recipe = Recipe([Step(Typos(0.1)), Step(MissingValues(0.2, where={"mechanism": "MNAR"}), "lost", 0.5)])
    assert recipe.to_dict()["steps"] == [
        {"noise": "Typos", "level": 0.1},
        {
            "noise": "MissingValues",
            "name": "lost",
            "level": 0.2,
            "where": {"mechanism": "MNAR"},
            "probability": 0.5,
        },
    ]


def test_files_are_read_by_their_kind(tmp_path):
    recipe = Recipe(GaussianNoise(1e-5), seed=3)
    (tmp_path / "r.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    (tmp_path / "r.json").write_text(recipe.to_json(), encoding="utf-8")
    assert Recipe.load(tmp_path / "r.yaml") == Recipe.load(tmp_path / "r.json") == recipe
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.load(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.load(tmp_path / "bytes.yaml")


def valid(value, rule, root):
    """Say whether a value follows a JSON schema, of which only the words used here are known."""
    known = {
        "$ref",
        "const",
        "enum",
        "anyOf",
        "oneOf",
        "type",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "properties",
    }
    known |= {
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "default",
        "title",
        "description",
        "$defs",
        "$schema",
    }
    assert set(rule) <= known, set(rule) - known
    if "$ref" in rule:
        return valid(value, root["$defs"][rule["$ref"].removeprefix("#/$defs/")], root)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    types = {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "integer": number and value == int(value),
        "number": number,
        "null": value is None,
    }
    checks = [
        "const" not in rule or value == rule["const"],
        "enum" not in rule or value in rule["enum"],
        "anyOf" not in rule or any(valid(value, r, root) for r in rule["anyOf"]),
        "oneOf" not in rule or sum(valid(value, r, root) for r in rule["oneOf"]) == 1,
        "type" not in rule or types[rule["type"]],
    ]
    if number:
        checks.append(rule.get("minimum", value) <= value <= rule.get("maximum", value))
        checks.append("exclusiveMinimum" not in rule or value > rule["exclusiveMinimum"])
    if isinstance(value, list):
        checks.append(len(value) >= rule.get("minItems", 0))
        checks += [valid(v, rule.get("items", {}), root) for v in value]
    if isinstance(value, dict):
        checks += [name in value for name in rule.get("required", [])]
        rest = rule.get("additionalProperties", True)
        named = rule.get("properties", {})
        for name, v in value.items():
            more = valid(v, rest, root) if isinstance(rest, dict) else rest
            checks.append(valid(v, named[name], root) if name in named else more)
    return all(checks)


GOOD = [
    *({"noise": name} for name in CATALOGUE),
    {
        "noise": "MissingValues",
        "level": 0.2,
        "columns": ["a", 3],
        "where": {"mechanism": "MAR", "driver": "b", "strength": -2},
    },
    {"noise": "Masking", "name": "m", "fill": "zero", "columns": "num*", "probability": 0.5},
    {"noise": "Masking", "fill": -7.5},
    {"noise": "UnitErrors", "factors": [10, 0.1]},
    {"noise": "LabelFlips", "by_class": {"1": 0.5}, "transition": {"1": {"2": 3}}},
    {"noise": "Shift", "level": 7, "direction": "up"},
]
BAD = [
    {"level": 0.1},
    {"noise": "Nothing"},
    {"noise": "Outliers", "level": 7},
    {"noise": "GaussianNoise", "level": -1},
    {"noise": "GaussianNoise", "columns": 3},
    {"noise": "GaussianNoise", "magnitude": 3},
    {"noise": "MissingValues", "where": {"mechanism": "MARR"}},
    {"noise": "MissingValues", "where": {"mechansim": "MAR"}},
    {"noise": "MissingValues", "where": {"mechanism": "MNAR", "strength": 21}},
    {"noise": "UnitErrors", "factors": []},
    {"noise": "UnitErrors", "factors": [-1]},
    {"noise": "LabelFlips", "by_class": {"1": 2}},
    {"noise": "Shift", "direction": "sideways"},
    {"noise": "Typos", "probability": 2},
    {"noise": "Typos", "name": 3},
]


@pytest.mark.parametrize("step", GOOD, ids=json.dumps)
def test_the_schema_takes_what_the_reader_takes(step):
    recipe = {"steps": [step]}
    read = Recipe.from_dict(recipe)
    assert valid(recipe, schema(), schema())
    assert valid(yaml.safe_load(read.to_yaml()), schema(), schema())


@pytest.mark.parametrize("step", BAD, ids=json.dumps)
def test_the_schema_refuses_what_the_reader_refuses(step):
    with pytest.raises(RecipeError):
        Recipe.from_dict({"steps": [step]})
    assert not valid({"steps": [step]}, schema(), schema())


def test_the_schema_tells_every_noise_by_its_first_sentence():
    steps = schema()["properties"]["steps"]["items"]["oneOf"]
    assert {s["title"] for s in steps} == set(CATALOGUE)
    assert all(s["description"].endswith(".") for s in steps)
    json.dumps(schema())


def test_a_profile_of_other_data_is_refused():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    other = Profile.learn(frame.rename(columns={"x": "y"}))
    for subject in (GaussianNoise(0.5), Recipe([GaussianNoise(0.5)])):
        with pytest.raises(DataError, match=r"has the columns `x` and shares none .* which have `y`"):
            subject.apply(frame, profile=other)
        with pytest.raises(SettingError, match=r"`profile` is what .* returns; DataFrame was given"):
            subject.apply(frame, profile=frame)
