"""Noise in test only, in training only, in both: what each costs, and whether training on it helps."""

import dataclasses
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss

from hormesis.errors import DataError, HormesisError, ModelError, SettingError
from hormesis.frames import changed
from hormesis.noise import (
    DropRows,
    DuplicateRows,
    GaussianNoise,
    LabelFlips,
    LabelSmoothing,
    MissingValues,
    PriorShift,
    RegressionLabelNoise,
    Shift,
    WorstOf,
)
from hormesis.results import Estimate
from hormesis.scenario import Cell, ScenariosResult, scenarios
from hormesis.scenario import study as studying

TREES = HistGradientBoostingClassifier(max_iter=15, early_stopping=False)
FAST = {"repeats": 2, "test_size": 0.5}


@pytest.fixture(scope="module")
def sensors():
    """Eight readings of one quantity: lost readings hurt a model that never saw any."""
    r = np.random.default_rng(0)
    truth = r.normal(size=2000)
    X = pd.DataFrame({f"sensor {i}": truth + 0.1 * i * r.normal(size=2000) for i in range(8)})
    return X, np.where(truth + 0.3 * r.normal(size=2000) > 0, "high", "low")


@pytest.fixture(scope="module")
def lost(sensors):
    return scenarios(TREES, *sensors, noises="MissingValues", levels=[0.2, 0.4], seed=3, test_size=0.5)


def test_training_on_lost_readings_wins_back_what_they_cost(lost):
    low, high = lost.cells
    assert high.test.drop.low > 0
    assert high.test.drop.value > low.test.drop.value
    assert high.gain.low > 0
    assert high.helps == "yes"
    assert "training on it wins back" in high.words
    assert high.both.drop.value == pytest.approx(high.test.drop.value - high.gain.value, abs=2e-3)


def test_scores_are_those_of_models_fitted_and_tested_by_hand(sensors):
    """The noise is at the scale of the training rows in every place: a shift by hand moves the test rows as far."""
    X, y = sensors
    train, test = X[:1000], X[1000:].reset_index(drop=True)
    model, shift = LogisticRegression(), Shift(1.0, direction="up")
    run = {"noises": shift, "levels": 1.0, "repeats": 1, "scoring": "neg_brier_score"}
    found = scenarios(model, train, y[:1000], X_test=test, y_test=y[1000:], **run).cells[0]
    bad_train = shift.apply(train)
    bad_test = test + (bad_train - train).iloc[0]
    for known, asked, cell in (
        (train, bad_test, found.test),
        (bad_train, test, found.training),
        (bad_train, bad_test, found.both),
    ):
        proba = model.fit(known, y[:1000]).predict_proba(asked)[:, 1]
        assert cell.score.value == pytest.approx(-brier_score_loss(y[1000:] == "low", proba))


def test_training_and_test_rows_get_draws_of_their_own(sensors):
    seen = []

    class Watching(LogisticRegression):
        def fit(self, X, y):
            seen.append(X.copy())
            return super().fit(X, y)

        def predict_proba(self, X):
            seen.append(X.copy())
            return super().predict_proba(X)

    X, y = sensors
    half, labels = X[:1000], y[:1000]
    scenarios(
        Watching(), half, labels, X_test=half, y_test=labels, noises=GaussianNoise(0.5), levels=0.5, repeats=2
    )
    noisy = [frame for frame in seen if changed(half, frame).any()]
    errors = [(frame - half).to_numpy().ravel() for frame in noisy]
    distinct = {e.tobytes(): e for e in errors}
    assert len(distinct) == 4  # two draws for training, two for test
    assert np.abs(np.corrcoef(list(distinct.values())) - np.eye(4)).max() < 5 / np.sqrt(errors[0].size)


def test_the_four_cells_hold_when_the_seed_is_the_same_and_in_threads(sensors):
    X, y = (part[:600] for part in sensors)
    run = dict(noises=["MissingValues", "LabelFlips"], levels=[0.1, 0.3], **FAST)
    one, other = scenarios(TREES, X, y, **run), scenarios(TREES, X, y, n_jobs=2, **run)
    assert one.cells == other.cells
    assert scenarios(TREES, X, y, seed=1, **run).cells != one.cells


def test_label_and_row_noises_are_for_training_alone(sensors):
    X, y = (part[:600] for part in sensors)
    noises = [LabelFlips(), LabelSmoothing(), DropRows(), DuplicateRows(), PriorShift()]
    found = scenarios(TREES, X, y, noises=noises, levels=[0.4], **FAST)
    for cell in found.cells:
        assert cell.training.score is not None
        assert cell.test.absent == cell.both.absent is not None
        assert cell.gain is None
        assert "test only not applicable" in cell.words
    assert found.cells[0].test.verdict(0.05) == "not applicable"


def test_wrong_labels_reach_the_model_and_rows_keep_theirs(sensors):
    fits = []

    class Watching(LogisticRegression):
        def fit(self, X, y):
            fits.append((X, y))
            return super().fit(X, y)

    X, y = (part[:600] for part in sensors)
    known = {tuple(row): label for row, label in zip(X.to_numpy(), y, strict=True)}
    scenarios(Watching(), X, y, noises=[LabelFlips(), DropRows(), DuplicateRows()], levels=0.3, repeats=1)
    (_, clean), (_, flipped), (dropped, dy), (doubled, by) = fits
    assert flipped.size == clean.size
    assert 0.2 < np.mean(flipped != clean) < 0.4  # 450 labels, level 0.3: four and a half standard errors
    assert len(dropped) == dy.size < clean.size < by.size == len(doubled)
    for rows, labels in ((dropped, dy), (doubled, by)):
        assert [known[tuple(row)] for row in rows.to_numpy()] == labels.tolist()


def test_regression_gets_errors_in_its_target():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    found = scenarios(LinearRegression(), X, y, levels={"sigma": [0.5, 2.0], "fraction": [0.1]}, repeats=3)
    names = [cell.noise for cell in found.cells]
    assert names[-2:] == ["regression-label-noise"] * 2
    assert "missing-values" in names
    (lost,) = (c for c in found.cells if c.noise == "missing-values")
    assert "ValueError" in lost.test.raises
    assert lost.training.raises.endswith("in fit")
    assert lost.gain is None
    assert list(found.clean) == ["r2"]


def test_a_crash_is_a_result(sensors):
    class Fragile(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            self.inner_ = TREES.fit(X, y)
            return self

        def predict(self, X):
            if X.isna().any(axis=None):
                raise RuntimeError("no value in a sensor")
            return self.inner_.predict(X)

    X, y = (part[:600] for part in sensors)
    (cell,) = scenarios(Fragile(), X, y, noises="MissingValues", levels=0.2, **FAST).cells
    assert cell.test.raises == cell.both.raises == "RuntimeError: no value in a sensor"
    assert cell.test.verdict(0.05) == "fails"
    assert cell.training.score is not None
    assert cell.helps == "not applicable"
    assert "test only raises RuntimeError" in cell.words


def test_lost_columns_are_tried_in_every_place(sensors):
    X, y = (part[:600] for part in sensors)
    from hormesis.noise import MissingColumn

    (cell,) = scenarios(TREES, X, y, noises=MissingColumn(1.0, columns=("sensor 0",)), **FAST).cells
    assert "ValueError" in cell.test.raises
    assert "ValueError" in cell.training.raises
    assert cell.both.score is not None


def test_intervals_count_what_differs_between_training_draws(sensors, monkeypatch):
    """An interval over draws is never narrower than that over rows alone."""
    X, y = (part[:600] for part in sensors)
    run = {"noises": [GaussianNoise(1.0), Shift(1.0)], "levels": 1.0, "repeats": 3}
    with_draws = scenarios(TREES, X, y, **run).cells
    monkeypatch.setattr(studying, "_over_draws", lambda found, *_: studying.Estimate(*map(float, found)))
    rows_alone = scenarios(TREES, X, y, **run).cells
    assert with_draws[0].test == rows_alone[0].test
    wider = [(c.both.drop, r.both.drop) for c, r in zip(with_draws, rows_alone, strict=True)]
    wider += [(with_draws[1].test.drop, rows_alone[1].test.drop), (with_draws[0].gain, rows_alone[0].gain)]
    for ours, theirs in wider:
        assert ours.value == theirs.value
        assert ours.low < theirs.low
        assert ours.high > theirs.high


def test_over_draws_adds_the_variance_of_draws_to_that_of_rows():
    like = studying.Sample(0.5, np.zeros(1001), 1001)
    t = studying.t_quantile
    same = studying._over_draws((0.1, 0.1 - t(1000) * 0.02, 0.1 + t(1000) * 0.02), [0.1, 0.1, 0.1], like)
    assert same.high == pytest.approx(0.1 + t(1000) * 0.02)
    far = studying._over_draws((0.1, 0.1, 0.1), [0.0, 0.1, 0.2], like)
    assert far.high == pytest.approx(0.1 + t(2) * 0.1 / np.sqrt(3))
    half = studying._over_draws((0.1, 0.1 - t(1000) * 0.1 / 3**0.5, 0.1 + t(1000) * 0.1 / 3**0.5), [0, 0.1, 0.2], like)  # fmt: skip
    assert half.high == pytest.approx(0.1 + t(4 / (1 / 1000 + 1 / 2)) * 0.1 * (2 / 3) ** 0.5)


def test_intervals_over_draws_hold_the_truth():
    """Three draws with an effect common to all rows: 95 % intervals hold 0 in 91.5 % or more of 2,000 worlds."""
    r = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        d = r.normal(0, 1, 400) + r.normal(0, 2, (3, 400)) + r.normal(0, 0.08, (3, 1))
        mean = d.mean(axis=0)
        half = studying.t_quantile(399) * mean.std(ddof=1) / 20
        like = studying.Sample(0.0, mean - mean.mean(), 400)
        made = studying._over_draws(
            (mean.mean(), mean.mean() - half, mean.mean() + half), d.mean(axis=1), like
        )
        held += made.low <= 0 <= made.high
    assert held >= 0.915 * 2000


def test_groups_stay_on_one_side_and_are_counted(sensors):
    X, y = (part[:800] for part in sensors)
    rows = X.assign(shop=np.repeat(np.arange(40), 20))
    seen = []

    class Watching(HistGradientBoostingClassifier):
        def fit(self, X, y):
            seen.append(set(X["shop"]))
            return super().fit(X, y)

        def predict_proba(self, X):
            seen.append(set(X["shop"]))
            return super().predict_proba(X)

    run = {"noises": LabelFlips(), "levels": 0.2, "repeats": 1}
    found = scenarios(Watching(max_iter=5), rows, y, groups="shop", **run)
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == set(range(40))
    by_array = scenarios(Watching(max_iter=5), rows, y, groups=rows["shop"].to_numpy(), **run)
    assert by_array.cells == found.cells
    with pytest.raises(DataError, match="one label for each of the 800 rows"):
        scenarios(TREES, rows, y, groups=[1, 2, 3], **run)


def test_the_result_tabulates_travels_and_speaks(lost, tmp_path):
    frame = lost.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["noise in"].tolist() == ["test", "training", "both"] * 2
    assert frame["gain"].notna().tolist() == [False, False, True] * 2
    assert (frame["drop"].round(2) == (frame["clean"] - frame["score"]).round(2)).all()
    lost.to_json(tmp_path / "s.json")
    assert ScenariosResult.from_json((tmp_path / "s.json").read_text()) == lost
    assert json.loads(lost.to_json())["finished"] is True
    assert all(sentence in repr(lost) for sentence in lost.words())
    assert "<table" in lost._repr_html_()
    assert "scale of the clean training rows" in lost._repr_html_()


def test_frames_come_out_in_the_users_library(sensors):
    X, y = (part[:400] for part in sensors)
    found = scenarios(TREES, pl.from_pandas(X), y, noises=[LabelFlips()], levels=0.2, **FAST)
    frame = found.to_frame()
    assert isinstance(frame, pl.DataFrame)
    assert frame.schema["gain"] == pl.Float64
    empty = dataclasses.replace(found, cells=())
    assert empty.to_frame().schema == frame.schema
    assert len(empty.table()) == 0


def test_a_loss_below_nothing_is_called_a_gain():
    cell = Cell(Estimate(0.9, 0.88, 0.92), Estimate(-0.01, -0.03, 0.005))
    assert cell.words == "gains 0.010 [-0.005, 0.030]"
    assert cell.verdict(0.02) == "passes"
    assert cell.verdict(0.004) == "undecided"


def test_several_scorers_are_told_apart(sensors):
    X, y = (part[:400] for part in sensors)
    found = scenarios(TREES, X, y, noises=[LabelFlips()], levels=0.2, scoring=["accuracy", "roc_auc"], **FAST)
    assert [c.scoring for c in found.cells] == ["accuracy", "roc_auc"]
    assert found.words()[0].startswith("accuracy: label flips 20 %")
    assert found.table()["scoring"].tolist() == ["accuracy", "roc_auc"]


def test_ctrl_c_returns_what_is_finished(sensors, monkeypatch):
    X, y = (part[:400] for part in sensors)
    measured = studying.Study.cells

    def interrupted(self, step, level):
        if level > 0.2:
            raise KeyboardInterrupt
        return measured(self, step, level)

    monkeypatch.setattr(studying.Study, "cells", interrupted)
    found = scenarios(TREES, X, y, noises=["MissingValues", "LabelFlips"], levels=[0.1, 0.2, 0.3], **FAST)
    assert [c.level for c in found.cells] == [0.1, 0.2]
    assert not found.finished
    assert found.notes[-1].startswith("left out (interrupted): missing-values 0.3, label-flips 0.1")
    with pytest.raises(KeyboardInterrupt):
        scenarios(TREES, X, y, noises="LabelFlips", levels=0.3, **FAST)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"repeats": 0}, SettingError, "drawn at least once"),
        ({"max_drop": 0}, SettingError, "above 0"),
        ({"X_test": [[1]]}, SettingError, "without `y_test`"),
        ({"test_size": 2.0}, DataError, "cannot be split"),
        ({"levels": {"sigmas": [1]}}, SettingError, "Did you mean `sigma`"),
        ({"levels": [0]}, SettingError, "all above 0"),
        ({"noises": "LabelFlip"}, SettingError, "Did you mean `LabelFlips`"),
        ({"noises": [WorstOf(MissingValues(0.1))]}, SettingError, "give it to `stress`"),
        ({"noises": RegressionLabelNoise(0.1)}, SettingError, "these are classes"),
        ({"noises": ["LabelFlips", "LabelFlips"]}, HormesisError, "named"),
        ({"scoring": "r2"}, HormesisError, "r2"),
        ({"model": lambda X: X}, ModelError, "cannot be fitted"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_told_in_one_sentence(sensors, settings, error, said):
    X, y = (part[:200] for part in sensors)
    with pytest.raises(error, match=said):
        scenarios(**{"model": TREES, "X": X, "y": y, "noises": ["MissingValues", "GaussianNoise"]} | settings)


def test_noises_that_cannot_be_made_say_so_before_the_fits(sensors, monkeypatch):
    from hormesis.noise import CovariateShift

    X, y = (part[:400] for part in sensors)
    monkeypatch.setattr(studying.Study, "cells", lambda *_: pytest.fail("measured"))
    with pytest.raises(SettingError, match="Choose a lower level"):
        scenarios(TREES, X, y, noises=CovariateShift(0.5, columns=("sensor 0",)), levels=[0.5, 50.0], **FAST)
    with pytest.raises(ModelError, match="cannot learn from these rows"):
        scenarios(LogisticRegression(), X.assign(gap=np.nan).fillna({"sensor 0": 0}).assign(gap=[np.nan] * 399 + [1.0]), y, **FAST)  # fmt: skip
