"""A noise is a frozen record: it travels through every notation, says what it is, and refuses nonsense."""

import copy
import dataclasses
import doctest
import inspect
import pickle
import sys

import lawbook as law
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawbook import every_noise

import hormesis.noise
from hormesis.errors import SettingError
from hormesis.noise.base import unit_of
from hormesis.recipe import Recipe
from hormesis.step import Step

names = st.text(min_size=1, max_size=9).filter(lambda s: max(s) < "\ud800" or max(s) > "\udfff")


@every_noise
@given(data=st.data(), seed=st.integers(), name=names, probability=st.floats(0, 1))
def test_recipes_come_back_from_every_notation(kind, data, seed, name, probability):
    noise = data.draw(law.noises(kind))
    recipe = Recipe([Step(noise, name, probability), Step(noise, name + "2")], seed)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert eval(repr(recipe), vars(hormesis.noise) | {"Recipe": Recipe, "Step": Step}) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert copy.deepcopy(recipe) == recipe


@every_noise
@given(data=st.data())
def test_noises_come_back_from_every_notation(kind, data):
    noise = data.draw(law.noises(kind))
    assert eval(repr(noise), vars(hormesis.noise)) == noise
    assert pickle.loads(pickle.dumps(noise)) == noise
    assert copy.deepcopy(noise) == noise
    assert noise.at(noise.level) == noise
    assert noise.at(0).level == 0


@every_noise
def test_a_noise_is_frozen(kind):
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().level = 0.5


@every_noise
@pytest.mark.parametrize("level", [-0.1, float("nan"), float("inf"), "much", None, True, False])
def test_a_level_out_of_range_is_refused_with_its_unit(kind, level):
    with pytest.raises(SettingError, match=rf"`{kind.__name__}\(level=.*{unit_of(kind).rule}"):
        kind(level)


@every_noise
def test_an_unknown_setting_is_refused_with_the_nearest_word(kind):
    with pytest.raises(SettingError, match="Did you mean `columns`"):
        kind(column="a")


@every_noise
def test_level_is_the_first_setting_and_the_only_positional_one(kind):
    assert next(iter(dataclasses.fields(kind))).name == "level"
    assert kind(0.25) == kind(level=0.25)
    with pytest.raises(SettingError, match="positional"):
        kind(0.25, "numeric")


@every_noise
def test_a_noise_is_documented(kind):
    text = inspect.getdoc(kind)
    first = text.splitlines()[0]
    assert 20 < len(first) < 120
    assert first.endswith(".")
    for part in ("Unit of `level`:", "Source:", "Examples\n--------", ">>> "):
        assert part in text.replace("Unit of\n", "Unit of ")
    assert kind.__name__ in hormesis.noise.__all__


@every_noise
def test_the_example_in_the_docs_is_true(kind):
    module = sys.modules[kind.__module__]
    found = doctest.DocTestFinder(recurse=False).find(
        kind, kind.__name__, module, vars(module) | vars(hormesis.noise)
    )
    assert sum(len(t.examples) for t in found)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False)
    assert sum(runner.run(t).failed for t in found) == 0
