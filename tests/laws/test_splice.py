"""Splicing is exact: changed rows alone, stacked, and put among the clean answers are the answers to whole noisy tables."""

import zlib

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lawbook import cells, columns_of, every_library, plain, to_library, to_pandas
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from hormesis import stress
from hormesis.engine.measuring import ask_of, clean_answers
from hormesis.engine.oracle import told_of
from hormesis.engine.rounds import Rounds, Want
from hormesis.frames import changed, is_frame, open_table, take
from hormesis.noise import CATALOGUE, GaussianNoise, MissingValues, Outliers, RenamedColumn, SwapNoise, Where
from hormesis.noise.base import unit_of
from hormesis.recipe import noisy
from hormesis.step import Step
from hormesis.trials.trial import prepared

ROWS = 180
STRESSED = {name: kind for name, kind in CATALOGUE.items() if kind.changes in ("cells", "schema")}


def said(name, value):
    """Return a number that any other cell, name or missing value would change, and another type would not."""
    return zlib.crc32(f"{name}={float(value) if isinstance(value, bool | int | float) else value}".encode())


def said_with_types(name, value):
    return zlib.crc32(f"{name}={value!r}".encode())


def reader(tell):
    """Return a model that answers each row by all of its cells, and by nothing else."""

    def model(table):
        named = dict(enumerate(table.T.tolist())) if isinstance(table, np.ndarray) else plain(table)
        total = np.zeros(len(table), np.uint64)
        for place, (name, values) in enumerate(named.items()):
            own = [tell(name, None if v != v else v) for v in values]
            total += np.uint64(place + 1) * np.array(own, np.uint64)
        return (total % np.uint64(10_007)) / 10_007

    return model


def bench_of(model, X, seed=3, scoring="roc_auc"):
    y = np.arange(open_table(X).rows) % 2
    return prepared(model, X, y, scoring, 0.05, 1, None, None, None, seed).bench


def steps_of(bench, kinds=STRESSED):
    """Return every noise that has columns to change here, at a low and a high level, in some rows alone too."""
    out = []
    for kind in kinds.values():
        noise = kind()
        named = is_frame(bench.X) or kind is not RenamedColumn
        if named and noise.targets(bench.profile):
            few, many = (1.0, 1.0) if unit_of(kind).of == "columns" else (0.02, 0.4)
            part = 1.0 if noise.changes == "schema" else 0.5
            out += [
                Step(noise.at(few), f"few-{kind.__name__}"),
                Step(noise.at(many), f"many-{kind.__name__}"),
            ]
            out.append(Step(noise.at(many), f"part-{kind.__name__}", probability=part))
    return out


def answered(oracle, table):
    """Return the answers to a table, or none and what was raised."""
    try:
        return oracle.ask(table), None
    except Exception as error:
        return {}, told_of(error)


def check(bench, steps, same, *, ends=(70, ROWS), row_wise=None):
    """Compare replies, some rows at a time, with the answers to whole tables; return the oracle."""
    oracles = ask_of(bench, row_wise=row_wise)
    oracle = oracles["model"]
    rounds = Rounds(bench, oracles, clean_answers(bench, oracles, None, None))
    cut = [(s, (ROWS,) if bench.whole(s) or s.noise.changes == "schema" else ends) for s in steps]
    wants = [
        Want(step, step.noise.level, 0, a, b, ("model",))
        for step, ends in cut
        for a, b in zip((0, *ends), ends, strict=False)
    ]
    replies = iter(rounds.fulfil(wants))
    for step, ends in cut:
        own = [next(replies)["model"] for _ in ends]
        table, _ = noisy(step, bench.X, bench.profile, seed=bench.seed, repeat=0, ids=bench.known)
        whole, error = answered(oracle, take(table, bench.order))
        assert {r.error for r in own} - {None} == {error} - {None}, step
        for kind, values in whole.items():
            same(np.concatenate([r.told[kind] for r in own]), values, err_msg=step.name)
        if step.noise.changes == "cells":
            chosen = step.noise.selected(open_table(bench.X), bench.profile)
            real = changed(bench.X, table)[:, chosen].mean()
            sizes = np.diff((0, *ends))
            assert np.average([r.share for r in own], weights=sizes) == pytest.approx(real, abs=1e-12), step
    return oracle


@every_library
@pytest.mark.parametrize("tell", [said, said_with_types])
def test_every_noise_in_every_library(library, tell):
    """A model that minds types is asked about every row of a column that was widened."""
    bench = bench_of(reader(tell), to_library(cells(ROWS, missing=0.0), library))
    steps = steps_of(bench)
    assert len(steps) > 3 * 25
    oracle = check(bench, steps, np.testing.assert_array_equal)
    assert oracle.row_wise


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("tell", [said, said_with_types])
def test_every_noise_of_arrays(kind, tell):
    X = (np.random.default_rng(0).normal(size=(ROWS, 4)) * 100).astype(kind)
    bench = bench_of(reader(tell), X)
    steps = steps_of(bench)
    assert len(steps) > 3 * 10
    assert check(bench, steps, np.testing.assert_array_equal).row_wise


def test_every_noise_of_floats_in_a_frame():
    """Frames of floats alone take a way of their own: as blocks."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(ROWS, 4)), columns=list("abcd"), index=[7] * ROWS)
    X.iloc[::9, 2] = np.nan
    bench = bench_of(reader(said), X)
    assert check(bench, steps_of(bench), np.testing.assert_array_equal).row_wise


def numbers(rows=ROWS):
    frame = to_pandas(cells(rows, missing=0.0))[["größe", "计数", "farbe"]]
    return frame, np.asarray((frame["größe"] > 170) ^ (frame["farbe"] == "rot"), int)


TREES = {
    "boosted": (HistGradientBoostingClassifier(max_iter=20), ["größe", "计数", "farbe"]),
    "tree": (DecisionTreeClassifier(min_samples_leaf=3, random_state=0), ["größe", "计数"]),
}


@pytest.mark.parametrize("name", TREES)
@every_library
def test_trees_answer_bit_for_bit_alike(name, library):
    frame, y = numbers()
    model, columns = TREES[name]
    native = columns_of(to_library(cells(ROWS, missing=0.0), library), columns)
    fitted = model.fit(columns_of(frame, columns), y)
    ask = lambda t: fitted.predict_proba(pd_of(t, frame[columns]))  # noqa: E731
    bench = bench_of(ask, native)
    check(bench, steps_of(bench), np.testing.assert_array_equal)


def pd_of(table, like):
    """Return any table as the pandas frame that was learnt from."""
    made = pd.DataFrame(plain(table))
    return made.astype({"farbe": pd.CategoricalDtype(["rot", "grün", "blau"])}) if "farbe" in like else made


@pytest.mark.parametrize("library", ["pandas", "numpy", "polars"])
def test_linear_models_answer_alike_up_to_rounding(library):
    """Matrix products may add up rows in another order in smaller tables; nothing else may differ."""
    frame, y = numbers()
    X = frame[["größe", "计数"]].astype(float)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X.to_numpy(), y)
    table = {"pandas": X, "numpy": X.to_numpy(), "polars": pl.from_pandas(X)}[library]
    bench = bench_of(lambda t: model.predict_proba(np.asarray(t)), table)
    near = lambda a, b, err_msg: np.testing.assert_allclose(a, b, rtol=0, atol=1e-9, err_msg=err_msg)  # noqa: E731
    assert check(bench, steps_of(bench), near).row_wise


@pytest.mark.parametrize("noise", [MissingValues(where=Where(burst=5)), SwapNoise(), Outliers(), "Shift"])
def test_a_whole_test_is_the_same_with_and_without_splicing(noise):
    frame, y = numbers()
    model = TREES["boosted"][0].fit(frame, y)
    few, all_rows = (
        stress(
            model, frame, y, noises=noise, levels=[0.05, 0.3], scoring=["roc_auc", "accuracy"], row_wise=flag
        )
        for flag in (None, False)
    )
    assert few.curves == all_rows.curves


def test_answers_of_any_type_come_through_whole():
    """A label that is longer than all clean ones is not cut to their length, and a fraction among integers stays one."""
    x = np.random.default_rng(0).normal(size=(400, 2))
    labels = lambda t: np.array(["up" if v > 5 else "far below" if v < -5 else "in" for v in t[:, 0]])  # noqa: E731
    rounded = lambda t: np.rint(t[:, 0]).astype(int) if abs(t).max() < 5 else t[:, 0]  # noqa: E731
    y = np.array(["in", "up", "far below", "in"] * 100)
    bench = prepared(labels, x, y, "accuracy", 0.05, 1, None, None, None, 0).bench
    oracles = ask_of(bench, row_wise=None)
    rounds = Rounds(bench, oracles, clean_answers(bench, oracles, None, None))
    (reply,) = rounds.fulfil([Want(Step(Outliers(magnitude=50.0)), 0.2, 0, 0, 400, ("model",))])
    assert set(reply["model"].told["labels"]) == {"in", "up", "far below"}
    bench = prepared(rounded, x, x[:, 0] * 1.1, "r2", 0.05, 1, None, None, None, 0).bench
    check_numbers = lambda a, b, err_msg: np.testing.assert_array_equal(a, b, err_msg=err_msg)  # noqa: E731
    oracles = ask_of(bench, row_wise=True)
    rounds = Rounds(bench, oracles, clean_answers(bench, oracles, None, None))
    (reply,) = rounds.fulfil([Want(Step(GaussianNoise(columns=(0,))), 2.0, 0, 0, 400, ("model",))])
    table, _ = noisy(Step(GaussianNoise(2.0, columns=(0,))), x, bench.profile, seed=0, ids=bench.known)
    check_numbers(reply["model"].told["labels"], table[bench.order, 0], err_msg="")
