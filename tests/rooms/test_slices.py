"""The worst slice: found where it is, never claimed where there is none, said in words."""

import numpy as np
import pytest
from scipy.stats import binom

from hormesis.errors import DataError
from hormesis.statistics import Sample, drop_of, t_quantile
from hormesis.statistics.slices import Slices

CITIES = np.array(["Bern", "Genf", "Chur", "Brig"], object)


def table(r, rows):
    numbers = [(f"x{i}", r.normal(size=rows), None) for i in range(8)]
    cities = [(f"city{i}", CITIES[r.integers(0, 4, rows)], r.random(rows) < 0.05) for i in range(4)]
    return Slices.of(numbers + cities)


DROPS = {
    "rows that go wrong": (lambda r, n: (r.random(n) < 0.02) * 1.0, 0.02),
    "rows that go right": (lambda r, n: (r.random(n) < 0.02) * -1.0, -0.02),
    "both": (lambda r, n: r.choice([-1.0, 0.0, 1.0], n, p=[0.05, 0.85, 0.1]), 0.05),
    "half": (lambda r, n: (r.random(n) < 0.5) * 1.0, 0.5),
    "heavy tails": (lambda r, n: r.standard_t(3, n), 0.0),
    "skewed": (lambda r, n: r.exponential(size=n), 1.0),
}


@pytest.mark.parametrize("kind", DROPS)
def test_without_a_difference_none_is_claimed_and_the_largest_is_covered(kind):
    draw, truth = DROPS[kind]
    r, runs = np.random.default_rng(0), 200
    tables = [table(r, 1000) for _ in range(5)]
    found = [tables[k % 5].worst(draw(r, 1000), 1.0 if abs(truth) < 1 else 4.6) for k in range(runs)]
    assert sum(f.surely for f in found) <= binom.ppf(1 - 1e-6, runs, 0.05)
    assert sum(f.low <= truth <= f.high for f in found) >= binom.ppf(1e-6, runs, 0.95)
    assert found[0].tried > 90


def test_a_slice_that_is_worse_is_found_and_its_drop_is_covered():
    r, runs = np.random.default_rng(1), 100
    hits = covered = 0
    for _ in range(runs):
        city = CITIES[r.integers(0, 4, 2000)]
        slices = Slices.of([("city", city, None), *((f"x{i}", r.normal(size=2000), None) for i in range(8))])
        found = slices.worst((r.random(2000) < np.where(city == "Chur", 0.2, 0.04)) * 1.0, 1.0)
        hits += found.surely and found.words == "city = Chur"
        covered += found.low <= 0.2 <= found.high
    assert hits == runs
    assert covered >= binom.ppf(1e-6, runs, 0.95)


def test_the_interval_is_that_of_a_drop_with_alpha_over_all_slices():
    r = np.random.default_rng(2)
    city = CITIES[r.integers(0, 4, 400)]
    d = r.normal(size=400) + (city == "Brig")
    found = Slices.of([("city", city, None)]).worst(d, 2.0)
    inside = d[city == "Brig"]
    n = inside.size
    drop = drop_of(Sample(inside.mean(), inside - inside.mean(), n), [Sample(0.0, np.zeros(n), n)], 2.0)
    half = t_quantile(n - 1, 0.05 / 4) * drop.se
    assert (found.drop, found.low, found.high) == pytest.approx(
        (drop.value, drop.value - half, drop.value + half)
    )
    rest = d[city != "Brig"]
    assert found.rest == pytest.approx(rest.sum() / (rest.size + 2))
    assert (found.column, found.value, found.rows, found.tried) == ("city", "Brig", n, 4)


def words(values, missing=None):
    slices = Slices.of([("it", values, missing)])
    return [f"it{p}" for column in slices.phrases for p in column]


def test_slices_are_said_in_words():
    few = np.array(["Bern"] * 60 + ["Genf"] * 40 + [f"village {i}" for i in range(50)], object)
    assert words(few) == ["it = Bern", "it = Genf", "it: rarer values"]
    assert words(np.arange(17, 317))[0] == "it 17 to 46"
    assert words(np.arange(300) / 8)[0] == "it 0 to 3.625"
    assert words(np.repeat([True, False], 50)) == ["it = True", "it = False"]
    assert words(np.repeat([1.0, 2.5], 50)) == ["it = 1", "it = 2.5"]
    days = np.datetime64("2020-01-01") + np.arange(60)
    assert words(days) == ["it 2020-01-01 to 2020-01-30", "it 2020-01-31 to 2020-02-29"]
    assert words(np.array([None] * 40 + ["a"] * 40, object)) == ["it = a", "it missing"]
    assert words(np.append(np.full(40, np.nan), np.ones(40))) == ["it = 1", "it missing"]
    assert words(np.ones(80), np.arange(80) < 30) == ["it = 1", "it missing"]


def test_a_number_that_is_mostly_one_value_keeps_that_value_as_a_slice():
    spiked = np.append(np.zeros(500), np.arange(1, 501))
    said = words(spiked)
    assert said[0] == "it = 0"
    assert said[-1] == "it 401 to 500"
    assert len(said) == 6


def test_what_has_no_repeated_values_has_no_slices():
    texts = np.array([f"comment {i}" for i in range(500)], object)
    lists = np.empty(100, object)
    lists[:] = [[1]] * 100
    assert Slices.of([("text", texts, None)]).worst(np.ones(500), 1.0) is None
    assert Slices.of([("lists", lists, None)]).worst(np.ones(100), 1.0) is None
    assert Slices.of([("few", np.arange(20), None)]).worst(np.ones(20), 1.0) is None
    assert Slices.of([("same", np.ones(200), None)]).worst(np.ones(200), 1.0) is None
    assert Slices.of([]).worst(np.ones(200), 1.0) is None


def test_more_values_than_codes_are_cut_to_the_most_frequent():
    many = np.repeat(np.arange(300), np.arange(300, 0, -1)).astype(object)
    slices = Slices.of([("shop", many, None)])
    d = (many == 150).astype(float)
    found = slices.worst(d, 1.0)
    assert (found.words, found.tried) == ("shop = 150", 201)
    assert slices.worst((many == 250).astype(float), 1.0).value == "rarer values"


def test_a_prefix_is_a_table_of_its_own():
    r = np.random.default_rng(3)
    age, city = r.integers(18, 90, 2000), CITIES[r.integers(0, 4, 2000)]
    slices = Slices.of([("age", age, None), ("city", city, None)])
    d = r.normal(size=2000) + (city == "Bern")
    whole = slices.worst(d[:700], 1.0)
    assert whole == slices.worst(d[:700], 1.0, rows=700) == slices.worst(d[:700], 1.0, rows=slice(0, 700))
    assert whole == slices.worst(d[:700], 1.0, rows=np.arange(700))
    assert whole.rows == (city[:700] == "Bern").sum()
    turned = np.arange(2000)[::-1]
    one, other = slices.worst(d[turned], 1.0, rows=turned), slices.worst(d, 1.0)
    assert (one.words, one.low) == (other.words, pytest.approx(other.low))


def test_rows_tied_in_clusters_are_not_taken_for_so_many_rows():
    r, runs, cluster = np.random.default_rng(4), 100, np.repeat(np.arange(200), 10)
    naive = counted = 0
    for _ in range(runs):
        ward = CITIES[r.integers(0, 4, 200)][cluster]
        slices = Slices.of([("ward", ward, None), ("x", r.normal(size=2000), None)])
        d = np.repeat(r.normal(size=200), 10) + r.normal(size=2000)
        naive += slices.worst(d, 2.0).surely
        counted += slices.worst(d, 2.0, cluster=cluster).surely
    assert counted <= binom.ppf(1 - 1e-6, runs, 0.05)
    assert naive > binom.ppf(1 - 1e-6, runs, 0.05)


def test_clusters_of_one_row_are_rows_and_one_cluster_is_its_rows(monkeypatch):
    r = np.random.default_rng(5)
    slices, d = table(r, 1000), r.normal(size=1000)
    rows, ones = slices.worst(d, 1.0), slices.worst(d, 1.0, cluster=np.arange(1000))
    assert (rows.words, rows.tried) == (ones.words, ones.tried)
    assert (rows.drop, rows.low, rows.rest) == pytest.approx((ones.drop, ones.low, ones.rest))
    shop = np.repeat(np.arange(10), 100)
    shops = Slices.of([("shop", shop.astype(object), None)])
    bad = d + 2 * (shop == 3)
    found = shops.worst(bad, 1.0, cluster=shop)
    assert (found.words, found.drop, found.low) == (
        "shop = 3",
        pytest.approx(bad[shop == 3].sum() / 102),
        pytest.approx(shops.worst(bad, 1.0).low),
    )
    at_once = slices.worst(d, 1.0, cluster=shop)
    monkeypatch.setattr("hormesis.statistics.slices.CELLS", 25)  # a few slices at a time
    assert slices.worst(d, 1.0, cluster=shop) == at_once


def test_what_does_not_fit_is_said():
    with pytest.raises(DataError, match="`b` has 50 rows, the columns before it have 60"):
        Slices.of([("a", np.ones(60), None), ("b", np.ones(50), None)])
    slices = Slices.of([("city", CITIES[np.arange(400) % 4], None)])
    with pytest.raises(DataError, match="300 row drops for 200 rows"):
        slices.worst(np.ones(300), 1.0, rows=200)
    with pytest.raises(DataError, match="not numbers"):
        slices.worst(np.full(400, np.nan), 1.0)
