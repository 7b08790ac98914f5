"""The engine and models of every kind: what they answer, what they raise, and which of their habits are found out."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hormesis import StressResult, stress
from hormesis.errors import ModelError
from hormesis.noise import GaussianNoise, MissingValues, Outliers, SwapNoise
from hormesis.recipe import noisy
from hormesis.step import Step
from hormesis.trials.trial import prepared

ROWS = 1_000
ROW_BY_ROW = "the answer to a row depends on the rows beside it"


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(ROWS, 3)), columns=list("abc"))
    return X, (X.a + 0.5 * X.b + 0.2 * rng.normal(size=ROWS) > 0).to_numpy().astype(int)


def proba(table):
    a, b = (np.asarray(table[n], float) for n in "ab")
    return 1 / (1 + np.exp(-np.clip(3 * a + 1.5 * b, -30, 30)))


def curves(model, X, y, **more):
    settings = {"noises": ["SwapNoise", "GaussianNoise"], "scoring": "roc_auc"} | more
    return stress(model, X, y, **settings).curves


def by_hand(model, X, y, noise, score, repeats=1, seed=0):
    """Return the clean score and the noisy one, every table predicted whole and in the user's order."""
    bench = prepared(model, X, y, None, 0.05, repeats, None, None, None, seed).bench
    tables = [
        noisy(Step(noise), X, bench.profile, seed=seed, repeat=r, ids=bench.known)[0] for r in range(repeats)
    ]
    return score(y, model(X)), np.mean([score(y, model(t)) for t in tables])


SHAPES = {
    "list": lambda t: proba(t).tolist(),
    "series of another index": lambda t: pd.Series(proba(t), index=np.arange(len(t))[::-1]),
    "one column": lambda t: proba(t)[:, None],
    "frame of one column": lambda t: pd.DataFrame({"p": proba(t)}),
    "two columns": lambda t: np.column_stack([1 - proba(t), proba(t)]),
    "frame of two columns": lambda t: pd.DataFrame({"no": 1 - proba(t), "yes": proba(t)}),
    "list of lists": lambda t: [[1 - p, p] for p in proba(t).tolist()],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_answers_may_come_in_any_shape(shape, world):
    assert curves(SHAPES[shape], *world) == curves(proba, *world)


def test_numbers_may_come_as_a_column(world):
    X, _ = world
    y = X["a"].to_numpy() + 0.1 * X["c"].to_numpy()
    plain = curves(lambda t: t["a"].to_numpy(), X, y, scoring="r2")
    assert curves(lambda t: t[["a"]], X, y, scoring="r2") == plain
    single = curves(lambda t: t["a"].to_numpy().astype(np.float32), X, y, scoring="r2")
    assert [c.drop for c in single] == [pytest.approx(c.drop, abs=1e-5) for c in plain]


WRONG = {
    "rows left out": (lambda t: proba(t)[1:], "for 64 rows"),
    "one answer for all": (lambda _: np.float64(0.3), r"shape \(\)"),
    "three classes": (lambda t: np.column_stack([proba(t)] * 3) / 3, "2 classes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_answers_that_are_not_one_per_row_are_refused(case, world):
    model, said = WRONG[case]
    with pytest.raises(ModelError, match="on the rows as they are"):
        stress(model, *world, noises="SwapNoise")
    if case == "rows left out":
        with pytest.raises(ModelError, match=said):
            stress(model, *world, noises="SwapNoise", scoring="roc_auc")


def test_rows_that_are_left_out_under_noise_are_a_crash_and_shift_no_answers(world):
    """Of several stacked tables one misses rows: the others keep their own answers."""
    X, y = world
    leaving = lambda t: proba(t.dropna())  # noqa: E731
    result = stress(leaving, X, y, noises=["SwapNoise", "MissingValues"], scoring="roc_auc", levels=[0.05])
    swapped, lost = result.curves
    (same,) = curves(proba, X, y, noises="SwapNoise", levels=[0.05])
    assert swapped.drop == same.drop
    assert "shape" in lost.errors[0]
    assert lost.break_point.verdict == "breaks"


def test_a_model_that_ranks_its_rows_is_found_out_and_asked_about_whole_tables(world):
    X, y = world
    model = lambda t: t["a"].rank(pct=True).to_numpy()  # noqa: E731
    score = lambda y, p: np.mean((p > 0.5) == y)  # noqa: E731
    result = stress(model, X, y, noises=GaussianNoise(), levels=[0.4], scoring="accuracy", repeats=2)
    assert any(ROW_BY_ROW in n for n in result.notes)
    clean, hurt = by_hand(model, X, y, GaussianNoise(0.4), score, repeats=2)
    assert result.curves[0].clean == pytest.approx(clean)
    assert result.curves[0].score[0] == pytest.approx(hurt)


def test_rows_in_their_order_are_what_a_model_of_neighbours_is_asked(world):
    X, y = world
    X = X.set_axis(np.random.default_rng(0).permutation(ROWS))
    model = lambda t: (t["a"].rolling(3, min_periods=1).mean().to_numpy() > 0).astype(int)  # noqa: E731
    y = model(X) ^ (np.arange(ROWS) % 10 == 0)
    score = lambda y, said: np.mean(said == y)  # noqa: E731
    result = stress(
        model, X, y, noises=SwapNoise(columns=("a",)), levels=[0.2], scoring="accuracy", repeats=1
    )
    clean, hurt = by_hand(model, X, y, SwapNoise(0.2, columns=("a",)), score)
    assert clean == pytest.approx(0.9)
    assert (result.curves[0].clean, result.curves[0].score[0]) == pytest.approx((clean, hurt))


@pytest.mark.parametrize("flag", [True, False])
def test_a_users_word_on_rows_is_taken(flag, world):
    X, y = world
    sizes = []

    def model(table):
        sizes.append(len(table))
        return proba(table)

    settings = {"noises": SwapNoise(columns=("a",)), "levels": [0.05], "repeats": 1, "scoring": "roc_auc"}
    result = stress(model, X, y, row_wise=flag, **settings)
    assert (40 < sizes[-2] < 60) if flag else sizes[-4:-1].count(ROWS)
    assert result.curves == stress(proba, X, y, **settings).curves
    assert min(sizes) > 0


def test_a_model_that_answers_at_random_is_said_to(world):
    X, y = world
    rng = np.random.default_rng(0)
    model = lambda t: np.clip(proba(t) + rng.normal(size=len(t)) * 0.3, 0, 1)  # noqa: E731
    result = stress(
        model, X, y, noises=SwapNoise(columns=("c",)), levels=[0.3], scoring="roc_auc", max_drop=0.1
    )
    (curve,) = result.curves
    assert any("answers at random" in n for n in result.notes)
    assert curve.drop_low[0] < 0 < curve.drop_high[0]  # what it does not look at does it no harm
    assert not any("at random" in n for n in stress(proba, X, y, noises="SwapNoise", scoring="roc_auc").notes)


THRESHOLDS = {
    "0.3": lambda X, y: FixedThresholdClassifier(
        LogisticRegression().fit(X, y), threshold=0.3, response_method="predict_proba"
    ).fit(X, y),
    "almost a half": lambda X, y: FixedThresholdClassifier(
        LogisticRegression().fit(X, y), threshold=0.49, response_method="predict_proba"
    ).fit(X, y),
}


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_labels_that_do_not_follow_from_probabilities_are_the_models_own(threshold, world):
    X, y = world
    model = THRESHOLDS[threshold](X, y)
    result = stress(
        model, X, y, noises=GaussianNoise(), levels=[0.5], repeats=1, scoring=["accuracy", "roc_auc"]
    )
    score = lambda y, said: np.mean(said == y)  # noqa: E731
    clean, hurt = by_hand(model.predict, X, y, GaussianNoise(0.5), score)
    assert (result.curves[0].clean, result.curves[0].score[0]) == pytest.approx((clean, hurt), abs=1e-12)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_labels_of_a_vector_machine_differ_from_its_probabilities_near_the_border():
    """In 4 rows of 1,000, none of them among the first 300: those nearest to a tie are asked, not the first ones."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(3000, 5))
    y = (X[:, 0] + X[:, 1] ** 2 * 0.5 + rng.normal(size=3000) * 0.5 > 0.4).astype(int)
    model = SVC(probability=True, random_state=0).fit(X[:800], y[:800])
    derived = model.classes_[model.predict_proba(X).argmax(axis=1)]
    assert 0.99 < np.mean(derived == model.predict(X)) < 1
    result = stress(model, X, y, noises=GaussianNoise(), levels=[0.1], scoring="accuracy", repeats=1)
    assert result.curves[0].clean == pytest.approx(np.mean(model.predict(X) == y), abs=1e-12)


def spoiling(table):
    """Scale a table where it lies, as pipelines with `copy=False` do."""
    if isinstance(table, np.ndarray):
        table -= 1
        table *= 3
        return 1 / (1 + np.exp(-np.clip(table[:, 0] + 3, -30, 30)))
    table["a"] = (table["a"] - 1) * 3
    table["extra"] = 1.0
    return 1 / (1 + np.exp(-np.clip(table["a"] + 3, -30, 30)))


@pytest.mark.parametrize("kind", ["frame", "array", "mixed"])
def test_a_model_that_changes_its_table_spoils_nothing(kind, world):
    X, y = world
    X = {"frame": X, "array": X.to_numpy(), "mixed": X.assign(d=np.arange(ROWS) % 5)}[kind]
    before = X.copy()
    careful = lambda t: spoiling(t.copy())  # noqa: E731
    assert curves(spoiling, X, y) == curves(careful, X, y)
    np.testing.assert_array_equal(np.asarray(X), np.asarray(before))


def test_a_pipeline_without_copies_is_measured_as_one_with_copies(world):
    X, y = world[0].to_numpy().copy(), world[1]
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    sparing = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(X.copy(), y)
    sparing.set_params(standardscaler=plain[0]).set_params(standardscaler__copy=False)
    assert curves(sparing, X, y) == curves(plain.set_params(standardscaler__copy=False), X.copy(), y)


def test_a_type_that_a_model_minds_is_seen_in_rows_that_lost_nothing():
    """Whole numbers that lose a cell are read as floats in every row, and `3.0` is not the text `3`."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"code": rng.integers(0, 9, ROWS), "a": rng.normal(size=ROWS)})
    y = (X["code"] > 4).to_numpy().astype(int)
    by_text = lambda t: t["code"].astype(str).isin([*"5678"]).to_numpy().astype(int)  # noqa: E731
    by_number = lambda t: (t["code"] > 4).to_numpy().astype(int)  # noqa: E731
    texts, numbers = (
        stress(m, X, y, noises=MissingValues(columns=("code",)), levels=[0.02], scoring="accuracy")
        for m in (by_text, by_number)
    )
    assert texts.curves[0].score[0] == np.mean(y == 0)
    assert numbers.curves[0].score[0] > 0.98
    assert numbers.cost.rows < texts.cost.rows


def test_a_model_that_raises_on_some_rows_says_on_how_many(world):
    X, y = world

    def model(table):
        if (table["a"] > 5).any():
            raise ValueError("out of range")
        return proba(table)

    result = stress(model, X, y, noises=["Outliers", "SwapNoise"], levels=[0.3], scoring="roc_auc")
    raised, fine = result.curves
    assert raised.errors == ("ValueError: out of range",)
    assert raised.crashes[0].kind == "ValueError"
    assert raised.crashes[0].share is None or 0 < raised.crashes[0].share <= 1
    assert fine.errors == (None,)
    assert StressResult.from_json(result.to_json()) == result


@pytest.mark.parametrize("least", [2, 40])
def test_a_model_that_needs_many_rows_at_once_gets_them(least, world):
    X, y = world
    sizes = []

    def model(table):
        sizes.append(len(table))
        if len(table) < least:
            raise ValueError("too few rows")
        return proba(table)

    found = curves(model, X, y, noises="SwapNoise", levels=[0.01, 0.3])
    assert found == curves(proba, X, y, noises="SwapNoise", levels=[0.01, 0.3])
    assert found[0].errors == (None, None)
    assert 0 not in sizes


def test_a_model_that_squeezes_its_answers_is_not_asked_about_single_rows(world):
    X, y = world
    noise = SwapNoise(columns=("a",))
    one = stress(
        lambda t: np.squeeze(proba(t)), X[:60], y[:60], noises=noise, levels=[0.02], scoring="roc_auc"
    )
    assert one.curves[0].errors == (None,)
    assert one.curves[0].changed[0] * 60 < 3


def test_answers_that_are_no_numbers_under_noise_are_crashes(world):
    X, y = world
    model = lambda t: np.where(t["a"].isna(), np.nan, proba(t))  # noqa: E731
    result = stress(model, X, y, noises=["MissingValues", "SwapNoise"], levels=[0.1], scoring="roc_auc")
    assert "NaN or infinity" in result.curves[0].errors[0]
    assert result.curves[1].errors == (None,)


def test_a_model_that_raises_on_shuffled_columns_still_has_a_result(world):
    X, y = world
    X = X.assign(start=np.arange(ROWS) % 50.0, end=np.arange(ROWS) % 50.0 + 1)

    def model(table):
        if (table["start"] > table["end"]).any():
            raise ValueError("the end is before the start")
        return proba(table)

    result = stress(model, X, y, noises=GaussianNoise(columns=("a",)), levels=[0.2], scoring="roc_auc")
    assert result.curves[0].errors == (None,)
    assert result.distributions == ()


def test_early_looks_without_a_class_decide_nothing():
    """8,000 rows in the order of their class, 1 in 200 of the rare one: a first look of 250 rows may hold none."""
    rng = np.random.default_rng(0)
    y = (np.arange(8_000) >= 7_960).astype(int)
    X = pd.DataFrame({"a": rng.normal(size=8_000) + 2 * y, "b": rng.normal(size=8_000)})
    ours = make_scorer(roc_auc_score, response_method="predict_proba")
    known, unknown = (
        stress(proba, X, y, noises="GaussianNoise", scoring=s, repeats=1, resolution=4)
        for s in ("roc_auc", {"auc": ours})
    )
    bench = prepared(proba, X, y, None, 0.05, 1, None, None, None, 0).bench
    rare = np.cumsum(y[bench.order])
    for (curve,) in (known.curves, unknown.curves):
        told = [drop is not None for drop in curve.drop]
        assert told == [rare[rows - 1] >= 10 for rows in curve.rows]
        assert any(told)
        assert curve.clean == pytest.approx(known.curves[0].clean)


def test_one_scorer_of_several_is_not_measurable(world):
    X, _ = world
    y = (X["a"].rank() > ROWS - 8).to_numpy().astype(int)
    result = stress(proba, X, y, noises="SwapNoise", scoring=["roc_auc", "accuracy"])
    auc, accuracy = result.curves
    assert auc.break_point.verdict == "not measurable"
    assert "8 test rows of the rarest class" in auc.break_point.words
    assert accuracy.break_point.verdict != "not measurable"
    assert StressResult.from_json(result.to_json()) == result


@pytest.fixture(scope="module")
def spares():
    """Two columns that stand in for each other, one that matters alone, and two that nobody looks at."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=ROWS)
    X = pd.DataFrame({"one": true, "spare": true, "own": rng.normal(size=ROWS)})
    X[["idle", "off"]] = rng.normal(size=(ROWS, 2))
    y = ((true + X["own"]) > 0).to_numpy().astype(int)
    return X, y


def voting(table):
    """Take the one of two spares that is nearer to its middle: only both together go far out."""
    one, spare, own = (np.asarray(table[n], float) for n in ("one", "spare", "own"))
    said = np.where(np.abs(one) < np.abs(spare), one, spare) + own
    return 1 / (1 + np.exp(-np.clip(3 * said, -30, 30)))


LIBRARIES = {
    "pandas": lambda X: X,
    "polars": pl.from_pandas,
    "pyarrow": lambda X: pa.Table.from_pandas(X, preserve_index=False),
    "numpy": lambda X: X.to_numpy(),
}


def model_for(X, names):
    if isinstance(X, np.ndarray):
        return lambda t: voting(dict(zip(names, t.T, strict=True)))
    return voting


@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_are_ranked_and_spares_found_in_any_library(library, spares):
    frame, y = spares
    X = LIBRARIES[library](frame)
    result = stress(
        model_for(X, list(frame)), X, y, noises=Outliers(), levels=[0.3], scoring="accuracy", by_column=True
    )
    found = {f.column: f for f in result.fragile if f.pair_with is None}
    one, spare, own, idle, off = (str(n) for n in (range(5) if library == "numpy" else frame))
    assert set(found) == {one, spare, own, idle, off}
    assert [c for c in found if found[c].matters] == [own]
    assert found[own].rank_low == found[own].rank_high == 1
    assert found[idle].drop == found[off].drop == 0
    pairs = {frozenset((f.column, f.pair_with)): f for f in result.fragile if f.pair_with is not None}
    assert pairs[frozenset((one, spare))].matters
    assert pairs[frozenset((one, spare))].extra.low > 0
    assert not any(f.matters for p, f in pairs.items() if p != frozenset((one, spare)))
    assert len(result.fragility()) == len(result.fragile)
    assert StressResult.from_json(result.to_json()) == result


@pytest.mark.parametrize("library", LIBRARIES)
def test_plans_limits_and_validators_take_any_library(library, spares):
    frame, y = spares
    X = LIBRARIES[library](frame)
    model, seen = model_for(X, list(frame)), []

    def validator(table):
        seen.append(type(table))
        return float(np.abs(np.asarray(table)).max()) < 6

    settings = {"noises": ["Outliers", "MissingValues"], "levels": [0.01, 0.4], "scoring": "accuracy"}
    plan = stress(model, X, y, dry_run=True, by_column=True, validator=validator, **settings)
    assert not seen
    assert {n.noise for n in plan.noises} >= {"outliers", "missing-values"}
    assert len(plan.noises) == 2 * (1 + frame.shape[1])
    assert len(plan.to_frame()) == len(plan.noises)
    result = stress(model, X, y, validator=validator, **settings)
    assert set(seen) == {type(X)}
    words = {(c.noise, c.level): c.verdict for c in result.checked}
    assert words["outliers", 0.4] == "harmful and noticed"
    assert len(words) == 4
    limits = result.thresholds()
    assert len(limits) == len(result.curves)
    assert limits.check(X) == []
    assert json.loads(result.to_json())


def test_tensors_are_planned_ranked_and_limited(spares):
    torch = pytest.importorskip("torch")
    frame, y = spares
    X = torch.tensor(frame.to_numpy())
    kept = X.clone()
    model = lambda t: voting(dict(zip(frame, np.asarray(t).T, strict=True)))  # noqa: E731
    settings = {"noises": Outliers(), "levels": [0.3], "scoring": "accuracy", "by_column": True}
    plan = stress(model, X, y, dry_run=True, **settings)
    assert plan.test_rows == ROWS
    result = stress(model, X, y, validator=lambda t: bool(t.abs().max() < 6), **settings)
    plain = stress(model, X.numpy(), y, **settings)
    assert result.fragile == plain.fragile
    assert result.checked[0].verdict == "harmful and noticed"
    assert len(result.thresholds()) == len(result.curves)
    assert torch.equal(X, kept)


def test_a_ranking_of_models_that_need_whole_tables_uses_whole_tables():
    """With 6,000 rows the ranking would take 5,000: a model of ranks would then answer otherwise in clean rows too."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(6_000, 2)), columns=["a", "idle"])
    y = (X["a"] > 0.3).to_numpy().astype(int)
    seen = []

    def model(table):
        seen.append(len(table))
        return (table["a"].rank() > 0.618 * 6_000).to_numpy().astype(int)

    result = stress(model, X, y, noises="SwapNoise", levels=[0.2], scoring="accuracy", by_column=True)
    assert 5_000 not in seen
    found = {f.column: f.drop for f in result.fragile if f.pair_with is None}
    assert found["idle"] == 0
    assert found["a"] > 0.05


def test_several_models_of_different_habits_side_by_side(world):
    X, y = world
    trees = HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    models = {"trees": trees, "ranks": lambda t: t["a"].rank(pct=True).to_numpy(), "spoils": spoiling}
    settings = {"noises": ["SwapNoise"], "levels": [0.1, 0.3], "scoring": "roc_auc"}
    together = stress(models, X, y, **settings)
    for name, model in models.items():
        (alone,) = stress({name: model}, X, y, **settings).curves
        assert next(iter(together.select(model=name))).drop == alone.drop
    assert any(n.startswith("ranks: ") for n in together.notes)
