"""Rounds: searches against plain grids, threads, the store, budgets and Ctrl-C: another way to the same numbers."""

import contextlib
import gc
import itertools
import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, roc_auc_score

from hormesis import StressResult, stress
from hormesis.engine import rounds
from hormesis.engine.oracle import BORDER, DERIVED, PROBED, Oracle
from hormesis.noise import GaussianNoise, MissingValues, Shift, SwapNoise
from hormesis.recipe import noisy
from hormesis.statistics.search import Looks
from hormesis.step import Step
from hormesis.trials.pictures import SHUFFLED
from hormesis.trials.plans import SEARCHED
from hormesis.trials.trial import prepared

ROWS = 1_000


def world(rows=ROWS, seed=0):
    """Return a table of numbers, integers and categories, labels of two classes, and a number to tell."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(rows, 3)), columns=list("abc"))
    X["k"] = rng.integers(0, 9, rows)
    X["city"] = pd.Categorical(rng.choice(["Bern", "Ulm", "Graz"], rows))
    number = (X.a + 0.5 * X.b + 0.1 * X.k + (X.city == "Ulm") + rng.normal(size=rows) * 0.3).to_numpy()
    return X, (number > np.median(number)).astype(int), number


@pytest.fixture(scope="module")
def two():
    X, y, number = world()
    trees = HistGradientBoostingClassifier(max_iter=30).fit(X, y)
    return X, y, number, trees, HistGradientBoostingRegressor(max_iter=30).fit(X, number)


def test_a_search_never_contradicts_the_grid_on_the_same_rows():
    X, y, _ = world(6_000, 1)
    model = HistGradientBoostingClassifier(max_iter=20).fit(X[::2], y[::2])
    noises = [GaussianNoise(), SwapNoise(), MissingValues()]
    searched = stress(model, X, y, noises=noises, scoring=["accuracy", "roc_auc"], max_drop=0.02, repeats=1)
    grid = stress(
        model, X, y, noises=noises, scoring=["accuracy", "roc_auc"], max_drop=0.02, repeats=1,
        levels={u: SEARCHED[u] for u in ("sigma", "fraction")},
    )  # fmt: skip
    early = 0
    for one, other in zip(searched.curves, grid.curves, strict=True):
        assert (one.noise, one.scoring, one.clean) == (other.noise, other.scoring, other.clean)
        truth = dict(zip(other.levels, zip(other.words_at(0.02), other.drop, strict=True), strict=True))
        assert list(one.levels) == sorted(set(one.levels))
        for level, word, rows, drop in zip(one.levels, one.words_at(0.02), one.rows, one.drop, strict=True):
            assert {word, truth[level][0]} != {"passes", "fails"}, (one.noise, one.scoring, level)
            assert rows in Looks.of(6_000).units
            early += rows < 6_000
            if rows == 6_000:
                assert drop == truth[level][1]
    assert early > 20
    assert searched.cost.rows < 0.6 * grid.cost.rows


@pytest.mark.parametrize("noise", [SwapNoise(), Shift()], ids=["swap", "shift"])
def test_what_is_said_of_few_rows_is_true_of_these_very_rows(noise, two):
    X, y, _, model, _ = two
    result = stress(model, X, y, noises=noise, scoring=["accuracy", "roc_auc"], seed=4)
    bench = prepared(model, X, y, "accuracy", 0.05, None, None, None, None, 4).bench
    draws = [0, 2, 4, 6, 8, 10, 12, 14] if noise.shared else [0, 1]
    levels = {(x, rows) for c in result.curves for x, rows in zip(c.levels, c.rows, strict=True)}
    assert any(rows < ROWS for _, rows in levels)
    for level, rows in levels:
        first = bench.order[:rows]
        tables = [
            noisy(Step(noise.at(level)), X, bench.profile, seed=4, repeat=d, ids=bench.known)[0].iloc[first]
            for d in draws
        ]
        for score, curve in zip((accuracy, auc), result.curves, strict=True):
            by_hand = np.mean([score(model, t, y[first]) for t in tables])
            assert curve.score[curve.levels.index(level)] == pytest.approx(by_hand, abs=1e-12)


def accuracy(model, X, y):
    return accuracy_score(y, model.predict(X))


def auc(model, X, y):
    return roc_auc_score(y, model.predict_proba(X)[:, 1])


def test_several_scorers_leave_one_entry_per_level():
    """A level that one scorer had decided is looked at again for another: with these labels it was."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(2_000, 2)), columns=["a", "b"])
    proba = lambda t: 1 / (1 + np.exp(-np.clip(4 * (t["a"] + 0.5 * t["b"]), -30, 30)))  # noqa: E731
    y = (np.random.default_rng(2).random(2_000) < proba(X)).astype(int)
    result = stress(
        proba, X, y, noises="SwapNoise", max_drop=0.02, seed=2, scoring=["accuracy", "roc_auc", "f1"]
    )
    for curve in result.curves:
        assert list(curve.levels) == sorted(set(curve.levels))


def test_only_changed_rows_are_predicted(two):
    X, y, _, model, _ = two
    noise = SwapNoise(columns=("a",))
    result = stress(model, X, y, noises=noise, levels=[0.05, 0.1], scoring="accuracy", repeats=1)
    (curve,) = result.curves
    hit = sum(curve.changed) * ROWS
    probes = min(BORDER, ROWS) + DERIVED + 2 * PROBED + -(-PROBED // 3) + 1
    assert 0.13 * ROWS < hit < 0.17 * ROWS
    pictures = len(X.columns) * (SHUFFLED // len(X.columns))
    assert result.cost.rows == pytest.approx(ROWS + probes + hit + pictures, abs=1e-6)
    assert result.cost.clean_rows == ROWS


def inverted(model, X, y):
    """Score by a scorer that nobody knows."""
    return float(np.mean(model.predict(X) == y) ** 2)


WAYS = {
    "classification": lambda w: {"model": w[3], "y": w[1], "noises": ["SwapNoise", "GaussianNoise"]},
    "several scorers, one unknown": lambda w: {
        "model": w[3], "y": w[1], "noises": "Outliers", "scoring": {"ours": inverted, "auc": "roc_auc"}
    },
    "regression": lambda w: {"model": w[4], "y": w[2], "noises": ["MissingValues", "Outliers"], "repeats": 2},
    "several models": lambda w: {
        "model": {"trees": w[3], "rule": lambda t: (t["a"] > 0).astype(float)}, "y": w[1], "noises": "GaussianNoise",
        "levels": [0.1, 0.5], "scoring": "accuracy",
    },
    "groups": lambda w: {
        "model": w[3], "y": w[1], "noises": "SwapNoise", "groups": np.arange(ROWS) % 400, "repeats": 1
    },
    "shared noise": lambda w: {"model": w[3], "y": w[1], "noises": ["Shift"]},
    "a worst case": lambda w: {"model": w[3], "y": w[1], "noises": worst(), "levels": [0.2]},
    "not row by row": lambda w: {
        "model": lambda t: t["a"].rank(pct=True).to_numpy(), "y": w[1], "noises": "SwapNoise", "scoring": "roc_auc"
    },
}  # fmt: skip


def worst():
    from hormesis.noise import WorstOf

    return WorstOf(SwapNoise(), k=3)


@pytest.mark.parametrize("way", WAYS)
def test_threads_and_stores_change_nothing(way, two, tmp_path, monkeypatch):
    given = WAYS[way](two)
    model, y = given.pop("model"), given.pop("y")
    run = lambda **more: stress(model, two[0], y, **given, **more)  # noqa: E731
    plain, threads = run(), run(n_jobs=2)
    assert plain.curves == threads.curves
    assert plain.differences == threads.differences
    kept = run(store=tmp_path / "kept.sqlite")
    assert kept.curves == plain.curves
    assert kept.cost.from_store == 0
    half(monkeypatch, lambda: run(store=tmp_path / "half.sqlite"), plain.cost.calls // 2)
    resumed = run(store=tmp_path / "half.sqlite", n_jobs=2)
    assert resumed.curves == plain.curves
    monkeypatch.setattr(rounds, "_predicted", lambda *_: pytest.fail("asked although the answer is stored"))
    again = run(store=tmp_path / "kept.sqlite")
    assert again.curves == plain.curves
    assert again.differences == plain.differences
    assert again.cost.from_store > 0


def half(monkeypatch, run, calls):
    """Stop a run by Ctrl-C in the middle of its questions."""
    with monkeypatch.context() as patch:
        stop_at(patch, calls)
        with contextlib.suppress(KeyboardInterrupt):  # so early that nothing was there to be returned
            assert not run().finished


def stop_at(patch, calls):
    count, ask = itertools.count(1), Oracle.ask

    def interrupted(self, X):
        if next(count) == calls:
            raise KeyboardInterrupt
        return ask(self, X)

    patch.setattr(Oracle, "ask", interrupted)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_ctrl_c_at_any_question_leaves_a_valid_result(n_jobs, two, monkeypatch):
    X, y, _, model, _ = two
    settings = {"noises": ["SwapNoise", "GaussianNoise", "Outliers"], "scoring": "roc_auc", "n_jobs": n_jobs}
    full = stress(model, X, y, **settings)
    whole = {
        (c.noise, x): (r, d) for c in full.curves for x, r, d in zip(c.levels, c.rows, c.drop, strict=True)
    }
    valid = 0
    for calls in range(8, full.cost.calls, 4):
        with monkeypatch.context() as patch:
            stop_at(patch, calls)
            try:
                result = stress(model, X, y, **settings)
            except KeyboardInterrupt:
                continue
        valid += 1
        assert not result.finished
        assert StressResult.from_json(result.to_json()) == result
        assert "interrupted" in result.notes[-1]
        known = {c.noise for c in result.curves}
        assert all(c.noise in known or c.noise in result.notes[-1] for c in full.curves)
        for curve in result.curves:
            assert list(curve.levels) == sorted(set(curve.levels))
            for x, r, d in zip(curve.levels, curve.rows, curve.drop, strict=True):
                rows, drop = whole[curve.noise, x]
                assert r <= rows
                assert r < rows or d == drop
            point, last = (
                curve.break_point,
                next(c for c in full.curves if c.noise == curve.noise).break_point,
            )
            assert point.passes_to <= last.passes_to
            assert point.fails_from is None or point.fails_from >= last.fails_from
    assert valid > 3


def test_ctrl_c_does_not_go_on_with_single_columns(two, monkeypatch):
    X, y, _, model, _ = two
    with monkeypatch.context() as patch:
        stop_at(patch, 14)
        result = stress(model, X, y, noises=["SwapNoise"], scoring="roc_auc", by_column=True)
    assert not result.finished
    assert result.fragile == ()


@pytest.mark.parametrize("budget", [0.0, 0.02, 0.1])
def test_a_spent_budget_leaves_a_valid_result(budget, two):
    X, y, _, model, _ = two
    result = stress(model, X, y, scoring="roc_auc", budget=budget, by_column=True)
    assert result.curves
    assert StressResult.from_json(result.to_json()) == result
    assert result.finished or any("time budget" in n for n in result.notes)
    full = stress(model, X, y, scoring="roc_auc", noises=[result.curves[0].step["noise"]])
    first, last = result.curves[0].break_point, full.curves[0].break_point
    assert first.passes_to <= last.passes_to
    assert first.fails_from is None or first.fails_from >= last.fails_from


@pytest.mark.parametrize("levels", [None, [0.05, 0.1, 0.2, 0.3, 0.4, 0.5]])
def test_tables_of_the_sweep_are_let_go(levels):
    """The model counts the tables that live while it is asked: clean ones, and those of one round."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 20)))
    y = (X[0] + X[1] > 0).to_numpy().astype(int)
    seen, most = [], []

    def model(table):
        seen.append(weakref.ref(table))
        most.append(sum(len(t) for t in (r() for r in seen) if t is not None))
        return 1 / (1 + np.exp(-np.clip(table[0] + table[1], -30, 30)))

    result = stress(model, X, y, noises=["SwapNoise", "GaussianNoise"], levels=levels, scoring="roc_auc",
                    row_wise=True, max_rows=None)  # fmt: skip
    gc.collect()
    given = sum(s is not None for s in (r() for r in seen))
    assert result.cost.calls > 8
    assert max(most) <= 2 * len(X)  # what is asked now, and the table in the order in which it is looked at
    assert given == 0
