"""Defects found in other libraries, each tried on ours; what a law holds already is told in docs/tables-compared.md."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from hormesis.errors import SettingError
from hormesis.frames import changed
from hormesis.noise import CategorySwap, GaussianNoise, MissingValues, SwapNoise, Typos, Where
from hormesis.profile import Profile

N = 3000


@pytest.mark.parametrize("dtype", ["object", "str", "string", "category"])
def test_lost_texts_are_missing_and_not_the_text_of_a_missing_value(dtype):
    frame = pd.DataFrame({"x": pd.Series(["a", "b"] * 50, dtype=dtype)})
    out = MissingValues(1.0).apply(frame)
    assert out["x"].isna().all()
    assert out["x"].dtype == frame["x"].dtype


def test_a_category_is_swapped_cell_by_cell_and_not_all_alike():
    frame = pd.DataFrame({"x": pd.Series(list("abcd") * (N // 4), dtype="category")})
    out = CategorySwap(1.0).apply(frame)["x"]
    low, high = binom.ppf([5e-7, 1 - 5e-7], N // 4, 1 / 3)
    counts = pd.crosstab(frame["x"], out).to_numpy()
    off = counts[~np.eye(4, dtype=bool)]
    assert ((low <= off) & (off <= high)).all()
    assert not counts.diagonal().any()


def test_noise_of_one_column_is_on_its_own_scale():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"small": rng.normal(0, 1, N), "large": rng.normal(0, 1e6, N)})
    moved = GaussianNoise(0.1).apply(frame) - frame
    for name in frame:
        assert moved[name].std() == pytest.approx(0.1 * Profile.learn(frame)[name].spread, rel=0.07)


def test_features_in_other_units_get_the_same_noise():
    x = np.random.default_rng(0).normal(5, 1, (N, 1))
    small, large = GaussianNoise(0.1).apply(x), GaussianNoise(0.1).apply(x * 1024)
    np.testing.assert_allclose(small * 1024, large, rtol=1e-12)


def test_the_size_of_gaussian_noise_is_the_level_and_no_draw():
    x = np.random.default_rng(0).normal(0, 1, (N, 1))
    sizes = [(GaussianNoise(0.5).apply(x, seed=s) - x).std() for s in range(5)]
    assert max(sizes) / min(sizes) < 1.2


@pytest.mark.parametrize(("strength", "larger"), [(3.0, True), (-3.0, False)])
def test_missing_not_at_random_loses_the_side_that_is_asked(strength, larger):
    x = pd.DataFrame({"x": np.random.default_rng(0).normal(0, 1, N)})
    lost = MissingValues(0.2, where=Where("MNAR", strength=strength)).apply(x)["x"].isna()
    assert (x["x"][lost].mean() > x["x"][~lost].mean()) == larger
    low, high = binom.ppf([5e-7, 1 - 5e-7], N, 0.2)
    assert low <= lost.sum() <= high


def test_the_chance_to_be_lost_rises_with_the_driver_without_a_hard_block():
    frame = pd.DataFrame({"x": np.ones(N), "age": np.arange(N)})
    noise = MissingValues(0.2, columns=["x"], where=Where("MAR", driver="age", strength=1.0))
    tenths = noise.apply(frame)["x"].isna().to_numpy().reshape(10, -1).mean(axis=1)
    assert tenths[-1] > tenths[0] > 0
    assert tenths.max() < 1


def test_a_duplicate_index_and_missing_cells_keep_the_rate():
    x = np.where(np.arange(N) % 5, 1.5, np.nan)
    frame = pd.DataFrame({"x": x}, index=[0] * N)
    hit = changed(frame, MissingValues(0.1).apply(frame)).sum()
    low, high = binom.ppf([5e-7, 1 - 5e-7], N - N // 5, 0.1)
    assert low <= hit <= high


def test_whole_numbers_for_names_are_names():
    frame = pd.DataFrame({1: [1.0, 2.0, 3.0], 0: [7.0, 8.0, 9.0]})
    out = MissingValues(1.0, columns=[0]).apply(frame)
    assert out[0].isna().all()
    assert out[1].notna().all()


def test_texts_of_any_script_are_really_misspelt():
    frame = pd.DataFrame({"x": ["東京", "Łódź", "ñ", "Ωμέγα"] * 25})
    assert changed(frame, Typos(1.0).apply(frame)).all()


def test_noises_are_independent_of_what_was_noised_before():
    a, b = pd.DataFrame({"x": np.arange(50.0)}), pd.DataFrame({"x": np.arange(50.0) * 1e6})
    noise = SwapNoise(0.5)
    first = noise.apply(a, seed=1)
    noise.apply(b, seed=2)
    pd.testing.assert_frame_equal(first, noise.apply(a, seed=1))


def test_both_ends_of_the_level_are_allowed_and_a_wrong_name_is_told():
    x = np.ones((20, 1))
    assert not changed(x, MissingValues(0.0).apply(x)).any()
    assert changed(x, MissingValues(1.0).apply(x)).all()
    with pytest.raises(SettingError, match="mechanism"):
        MissingValues(0.1, where={"mechanism": "MCRA"})
