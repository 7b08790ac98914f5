"""What is particular to the noises of writing in tables: settings, categories, dictionaries, notations."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import binom, chi2

import hormesis.noise
from hormesis.errors import SettingError
from hormesis.frames import changed
from hormesis.noise import (
    CaseErrors,
    EncodingErrors,
    Homoglyphs,
    OCRErrors,
    Truncation,
    Typos,
    UnseenCategory,
    WhitespaceErrors,
)
from hormesis.profile import Profile
from hormesis.recipe import Recipe

N = 6000
CITY = pd.Series(
    np.random.default_rng(0).choice(["Bern", "Genf", "Zürich", "Ulm"], N, p=[0.5, 0.3, 0.15, 0.05]),
    dtype="category",
)
LISTED = {"Bern": ("Berne", "Brn"), "Street": ("Stret",), "no": ("know",)}
NOISES = [
    *(Typos(1.0, mix=mix) for mix in ("fast_typist", "weak_speller", "phone", "ocr")),
    Typos(1.0, character_error_rate=0.3),
    Typos(1.0, misspellings=LISTED),
    OCRErrors(1.0, character_error_rate=0.5),
    Homoglyphs(1.0, scripts=("greek", "fullwidth")),
    CaseErrors(1.0),
    WhitespaceErrors(1.0),
    Truncation(1.0),
    EncodingErrors(1.0),
    UnseenCategory(1.0, columns="any", values=3),
]
every_noise = pytest.mark.parametrize("noise", NOISES, ids=repr)
DATA = Path(os.environ.get("HORMESIS_DATA", Path(__file__).parents[3] / "shared" / "data"))
MISSPELLINGS = DATA / "text" / "misspellings.json"


@every_noise
def test_settings_survive_every_notation(noise):
    recipe = Recipe([noise])
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert eval(repr(noise), vars(hormesis.noise)) == noise


@every_noise
def test_categories_that_are_not_text_stay(noise):
    frame = pd.DataFrame({"x": pd.Categorical([1, 2, 3] * 5), "y": ["a böse o", "b Öse l", "c 0öse"] * 5})
    assert changed(frame, noise.apply(frame)).mean(axis=0).tolist() == [0, 1]


@every_noise
def test_text_among_other_categories_is_hit(noise):
    frame = pd.DataFrame({"x": pd.Categorical(["Ö0 l", 2, "Ä1 o"] * 5)})
    assert changed(frame, noise.apply(frame))[:, 0].tolist() == [True, False, True] * 5


@every_noise
def test_another_level_makes_the_same_of_a_hit_cell(noise):
    frame = pd.DataFrame({"x": [f"Bern Street {i} öäü" for i in range(400)]})
    low, high = (noise.at(level).apply(frame) for level in (0.3, 0.7))
    hit = changed(frame, low)
    assert 0 < hit.sum() < 400
    assert not changed(low, high)[hit].any()


@pytest.mark.parametrize("ordered", [False, True])
def test_typos_extend_the_categories_of_pandas(ordered):
    frame = pd.DataFrame({"x": pd.Categorical(CITY, ordered=ordered)})
    out = Typos(0.5).apply(frame)["x"]
    assert out.cat.ordered is ordered
    assert list(out.cat.categories[:4]) == list(frame["x"].cat.categories)
    assert set(out.cat.categories) - set(frame["x"].cat.categories) <= set(out)
    assert len(out.cat.categories) > 4


@pytest.mark.parametrize("noise", [Typos(0.5), UnseenCategory(0.5)], ids=repr)
def test_new_words_extend_a_polars_enum_behind_its_own_categories(noise):
    enum = pl.Enum(["Ulm", "Bern", "Genf", "Zürich"])
    out = noise.apply(pl.DataFrame({"x": pl.Series(CITY.tolist(), dtype=enum)}))["x"]
    assert out.dtype.categories.to_list()[:4] == ["Ulm", "Bern", "Genf", "Zürich"]
    assert out.null_count() == 0


def test_recorded_misspellings_come_before_ordinary_edits():
    frame = pd.DataFrame({"x": ["Bern"] * N + ["14 Street"] + ["Genf"]})
    out = Typos(1.0, misspellings=LISTED, columns="x").apply(frame)["x"]
    low, high = binom.ppf([5e-7, 1 - 5e-7], N, 0.5)
    assert set(out[:N]) == {"Berne", "Brn"}
    assert low <= (out[:N] == "Brn").sum() <= high
    assert out[N] == "14 Stret"
    assert out[N + 1] != "Genf"


@pytest.mark.skipif(not MISSPELLINGS.exists(), reason="set HORMESIS_DATA to the folder of real data")
def test_a_large_dictionary_of_real_misspellings():
    """Phrases are known as whole cells only."""
    listed = {word: tuple(wrong) for word, wrong in json.loads(MISSPELLINGS.read_text()).items()}
    words = [word for word, wrong in listed.items() if set(wrong) != {word} and not set(word) & set(" .")]
    noise = Typos(1.0, misspellings=listed, columns="x")
    out = noise.apply(pd.DataFrame({"x": [f"7 or {word}" for word in words]}))["x"]
    assert all(new.split(" or ")[1] in listed[word] for new, word in zip(out, words, strict=True))
    assert Recipe.from_yaml(Recipe([noise]).to_yaml()) == Recipe([noise])


def test_the_ocr_mix_confuses_mostly_and_always_changes():
    """Of the cells, 15 % get another edit; half of those substitute, which hits a confusion in fewer than 1 of 10."""
    words = pd.DataFrame({"x": ["Amman"] * N + ["xxx"]})
    out = Typos(1.0, mix="ocr", columns="x").apply(words)["x"]
    confused = set(OCRErrors(1.0, columns="x").apply(pd.DataFrame({"x": ["Amman"] * N}))["x"])
    low, _ = binom.ppf([5e-7, 1 - 5e-7], N, 0.85)
    _, high = binom.ppf([5e-7, 1 - 5e-7], N, 0.85 + 0.15 * 0.05)
    assert low <= out[:N].isin(confused).sum() <= high
    assert (out != words["x"]).all()


def test_unseen_categories_are_new_and_alike():
    frame = pd.DataFrame({"x": pd.Categorical(["unseen-1", "unseen-3"] * (N // 2))})
    out = UnseenCategory(1.0, values=3).apply(frame)["x"]
    found = out.value_counts()[lambda n: n > 0].sort_index()
    assert found.index.tolist() == ["unseen-2", "unseen-4", "unseen-5"]
    assert ((found - N / 3) ** 2 / (N / 3)).sum() < chi2.ppf(1 - 1e-6, 2)


def test_a_cell_that_holds_the_new_category_already_takes_the_next():
    profile = Profile.learn(pd.DataFrame({"x": ["a", "b"]}))
    out = UnseenCategory(1.0).apply(pd.DataFrame({"x": ["unseen-1", "a"]}), profile=profile)["x"]
    assert out.tolist() == ["unseen-2", "unseen-1"]


def test_unseen_categories_leave_texts_alone_unless_they_are_named():
    frame = pd.DataFrame({"x": [f"text {i}" for i in range(99)], "y": ["a", "b", "c"] * 33})
    assert changed(frame, UnseenCategory(1.0).apply(frame)).mean(axis=0).tolist() == [0, 1]
    assert changed(frame, UnseenCategory(1.0, columns=["x"]).apply(frame)).mean(axis=0).tolist() == [1, 0]


def test_fields_of_fixed_width_keep_what_fits():
    frame = pd.DataFrame({"x": ["Zürich", "Bern", ""]})
    assert Truncation(1.0, width=4).apply(frame)["x"].tolist() == ["Züri", "Bern", ""]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Typos, {"mix": "fast"}, "mix='fast'.*'fast_typist'"),
        (Typos, {"character_error_rate": 2}, "character_error_rate=2.*at most 1"),
        (Typos, {"misspellings": {"a": ()}}, "misspellings"),
        (CaseErrors, {"cases": ()}, "cases"),
        (WhitespaceErrors, {"kinds": ("inner",)}, "kinds.*'leading'"),
        (Truncation, {"width": 0}, "width=0.*at least 1"),
        (EncodingErrors, {"kinds": ("utf-16",)}, "kinds.*'cp1252'"),
        (Homoglyphs, {"scripts": ("latin",)}, "scripts.*'cyrillic'"),
        (UnseenCategory, {"values": 0}, "values=0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(kind, settings, message):
    with pytest.raises(SettingError, match=message):
        kind(0.1, **settings)
