"""Which cells are hit: the expected rate is exactly the level, whoever decides."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from hormesis.errors import RowIdError, SettingError
from hormesis.frames import changed, open_table
from hormesis.noise import MissingValues, SwapNoise, Where
from hormesis.profile import Profile

N = 1000
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "skewed": RNG.lognormal(sigma=2, size=N),
        "age": RNG.integers(18, 30, N),
        "city": RNG.choice(["Bern", "Zürich", "Genf"], N, p=[0.7, 0.2, 0.1]),
        "paid": RNG.random(N) < 0.1,
        "gaps": np.where(RNG.random(N) < 0.3, np.nan, RNG.normal(size=N)),
        "when": pd.date_range("2020", periods=N).to_numpy(),
        "same": 1.0,
    }
)
PROFILE = Profile.learn(FRAME)
drivers = st.sampled_from(list(FRAME.columns))


@given(driver=drivers, level=st.floats(0, 1), strength=st.floats(-20, 20))
def test_the_mean_probability_is_the_level_whatever_the_driver(driver, level, strength):
    p = Where("MAR", driver=driver, strength=strength).by_driver(level, open_table(FRAME), PROFILE)
    assert abs(p.mean() - level) < 1e-9
    assert ((p >= 0) & (p <= 1)).all()


@given(column=drivers, level=st.floats(0, 1), strength=st.floats(-20, 20))
def test_the_mean_probability_is_the_level_whatever_the_values(column, level, strength):
    values = FRAME[column].dropna().to_numpy(dtype=object if column == "city" else None)
    values = values.astype("datetime64[ns]").astype(int) if column == "when" else values
    p = Where("MNAR", strength=strength).by_value(level, values, PROFILE[column])
    assert abs(p.mean() - level) < 1e-9


@pytest.mark.parametrize("where", [Where("MAR", driver="age", strength=0), Where("MNAR", strength=0)])
def test_strength_zero_is_completely_at_random_bit_for_bit(where):
    a = MissingValues(0.3, columns=["x", "city"]).apply(FRAME, profile=PROFILE)
    b = MissingValues(0.3, columns=["x", "city"], where=where).apply(FRAME, profile=PROFILE)
    pd.testing.assert_frame_equal(a, b)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("driver", ["x", "age", "skewed", "when"])
def test_a_positive_strength_hits_high_values_of_the_driver(driver, sign):
    where = Where("MAR", driver=driver, strength=2 * sign)
    hit = MissingValues(0.3, columns=["same"], where=where).apply(FRAME, profile=PROFILE)["same"].isna()
    ranks = FRAME[driver].rank()
    assert np.sign(ranks[hit].mean() - ranks[~hit].mean()) == sign
    assert abs(np.corrcoef(ranks, hit)[0, 1]) > 0.4


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_positive_strength_hits_high_values_themselves(sign):
    noise = MissingValues(0.3, columns=["skewed"], where=Where("MNAR", strength=2 * sign))
    hit = noise.apply(FRAME, profile=PROFILE)["skewed"].isna()
    ranks = FRAME["skewed"].rank()
    assert np.sign(ranks[hit].mean() - ranks[~hit].mean()) == sign


def test_rare_categories_rank_high():
    noise = MissingValues(0.3, columns=["city"], where=Where("MNAR", strength=2))
    lost = noise.apply(FRAME, profile=PROFILE)["city"].isna().groupby(FRAME["city"]).mean()
    assert lost["Bern"] < lost["Zürich"] < lost["Genf"]


def test_the_realised_rate_follows_the_level():
    """Independent hits of unequal chance vary less than a binomial, so its 1e-6 band holds."""
    for where in (Where("MAR", driver="gaps", strength=3), Where("MNAR", strength=3)):
        noise = SwapNoise(0.3, columns=["x", "skewed"], where=where)
        low, high = binom.ppf([5e-7, 1 - 5e-7], N, 0.3)
        hits = changed(FRAME, noise.apply(FRAME, profile=PROFILE))[:, :2].sum(axis=0)
        assert ((low <= hits) & (hits <= high)).all()


def test_a_missing_driver_counts_as_average():
    where = Where("MAR", driver="gaps", strength=5)
    p = where.by_driver(0.5, open_table(FRAME), PROFILE)
    gone = FRAME["gaps"].isna()
    assert np.unique(p[gone]).size == 1
    assert p[~gone].min() < p[gone][0] < p[~gone].max()


def test_the_driver_is_read_before_it_is_changed_itself():
    noise = SwapNoise(0.5, columns=["x", "age"], where=Where("MAR", driver="x", strength=5))
    both = changed(FRAME, noise.apply(FRAME, profile=PROFILE))[:, [0, 2]]
    top = (FRAME["x"].rank() > N / 2).to_numpy()
    assert (both[top].mean(axis=0) > 0.8).all()


def test_an_unknown_driver_is_refused_with_the_nearest_name():
    with pytest.raises(SettingError, match=r"driver `skewd`.*Did you mean `skewed`"):
        MissingValues(0.3, where=Where("MAR", driver="skewd")).apply(FRAME)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"mechanism": "MAR"}, "needs a driver"),
        ({"mechanism": "MNAR", "driver": "x"}, "goes with mechanism MAR"),
        ({"driver": "x"}, "goes with mechanism MAR"),
        ({"strength": 21}, "strength"),
        ({"mechansim": "MAR"}, "Did you mean `mechanism`"),
    ],
)
def test_contradictions_are_refused(settings, rule):
    with pytest.raises(SettingError, match=rule):
        MissingValues(0.3, where=settings)


def test_free_text_cannot_decide():
    frame = pd.DataFrame({"note": [f"note {i}" for i in range(100)], "x": range(100)})
    with pytest.raises(SettingError, match=r"`note` is text.*no order"):
        MissingValues(0.3, where=Where("MAR", driver="note")).apply(frame)


@pytest.mark.parametrize("where", [Where(burst=7), Where("MAR", driver="a", strength=2, burst=7)])
def test_a_burst_hits_runs_of_rows_and_each_column_its_own(where):
    frame = pd.DataFrame({"a": [3.0] * 7000, "b": np.arange(7000.0)})
    lost = MissingValues(0.3, where=where).apply(frame, seed=2).isna().to_numpy()
    for column in lost.T:
        starts = np.flatnonzero(np.diff(column.astype(int))) + 1
        assert set(np.diff(starts) % 7) == {0}
    low, high = binom.ppf([5e-7, 1 - 5e-7], 1000, 0.3)
    assert low <= lost[:, 0].sum() / 7 <= high
    assert (lost[:, 0] != lost[:, 1]).mean() > 0.3


def test_a_burst_belongs_to_the_ids_not_to_the_batch():
    frame = pd.DataFrame({"id": np.arange(100, 300), "a": 1.0})
    noise = MissingValues(0.5, columns=("a",), where=Where(burst=10))
    whole = noise.apply(frame, row_id="id")
    part = noise.apply(frame.iloc[37:99], row_id="id")
    pd.testing.assert_frame_equal(part, whole.iloc[37:99])


def test_a_burst_needs_ids_with_neighbours():
    frame = pd.DataFrame({"id": list("abc"), "a": 1.0})
    with pytest.raises(RowIdError, match="whole numbers"):
        MissingValues(0.5, columns=("a",), where=Where(burst=10)).apply(frame, row_id="id")


@pytest.mark.parametrize(
    "site",
    [
        np.arange(3000) % 100,
        pd.Series(np.arange(3000) % 100).astype(str),
        pd.Series(np.arange(3000) % 100).astype(str).astype("category"),
        pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(3000) % 100, unit="D"),
        pd.Series(np.where(np.arange(3000) % 100 == 0, None, np.arange(3000) % 100)).astype("Int64"),
        pd.Series(np.where(np.arange(3000) % 100 == 0, None, np.arange(3000) % 100)).astype("float64"),
    ],
    ids=lambda v: str(v.dtype),
)
def test_a_group_goes_bad_as_one_in_each_column(site):
    frame = pd.DataFrame({"site": site, "a": 1.0, "b": 2.0})
    lost = MissingValues(0.4, columns=("a", "b"), where=Where(group="site")).apply(frame, seed=1).isna()
    share = lost[["a", "b"]].groupby(np.arange(3000) % 100).mean()
    assert set(np.unique(share)) == {0.0, 1.0}
    low, high = binom.ppf([5e-7, 1 - 5e-7], 100, 0.4)
    assert ((low <= share.sum()) & (share.sum() <= high)).all()
    assert (share["a"] != share["b"]).any()


def test_a_group_of_fractions_and_an_unknown_group_are_refused():
    frame = pd.DataFrame({"site": [0.5, 1.5], "a": 1.0})
    with pytest.raises(RowIdError, match="holds fractions"):
        MissingValues(0.5, where=Where(group="site")).apply(frame)
    with pytest.raises(SettingError, match="Did you mean `site`"):
        MissingValues(0.5, where=Where(group="sites")).apply(frame)
    with pytest.raises(ValueError, match="exclude each other"):
        Where(group="site", burst=2)
