"""The display: what is drawn where, in panels, with verdicts, early stops and crashes; without matplotlib a clear word."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from hormesis.display import RobustnessCurveDisplay
from hormesis.errors import MissingExtraError, SettingError
from hormesis.results import BreakPoint, Curve, Provenance, StressResult

pytest.importorskip("matplotlib").use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

LEVELS = (0.1, 0.2, 0.3, 0.4)
SCORES = {"plain": (0.88, 0.86, 0.8, 0.7), "hard$ened_": (0.89, 0.88, 0.87, 0.85)}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def curve(noise, model, scoring="accuracy", **given):
    score = SCORES[model]
    breaks = 0.3 if model == "plain" else None
    point = BreakPoint(model, noise, scoring, "fraction", 0.4, 0.1 if breaks else 0.4, breaks, 0.12, breaks)
    made = Curve(
        model=model, noise=noise, step={}, unit="fraction", scoring=scoring, clean=0.9, clean_low=0.89, clean_high=0.91,
        levels=LEVELS, score=score, score_low=tuple(s - 0.01 for s in score), score_high=tuple(s + 0.02 for s in score),
        drop=tuple(0.9 - s for s in score), drop_low=tuple(0.88 - s for s in score),
        drop_high=tuple(0.91 - s for s in score), changed=LEVELS,
        errors=(None,) * 4, robustness=0.9, break_point=point, rows=(156, 1000, 1000, 312),
    )  # fmt: skip
    return dataclasses.replace(made, **given)


def result(*curves):
    provenance = Provenance(0, 1, 1000, "all 1,000 rows", "abc", 1.0, {}, "hormesis.v1")
    return StressResult(curves, 0.05, ("accuracy",), provenance)


ONE = result(curve("missing-values", "plain"))
MANY = result(*(curve(n, m) for n in ("missing-values", "typos", "outliers", "shift") for m in SCORES))


def drawn(display):
    """Draw for good: a warning of the layout is an error here."""
    display.figure_.canvas.draw()
    return display


def test_one_curve_is_one_panel_with_its_numbers():
    display = drawn(RobustnessCurveDisplay.from_result(ONE))
    assert display.line_.get_xdata().tolist() == [0.0, *LEVELS]
    assert display.line_.get_ydata().tolist() == [0.9, *SCORES["plain"]]
    segments = np.array(display.errorbar_[2][0].get_segments())
    np.testing.assert_allclose(segments[1, :, 1], [0.87, 0.9])
    assert display.fill_between_ is None
    assert display.ax_.get_title(loc="left").splitlines() == [
        "missing values",
        "passes 10 %, fails at 30 %",
    ]
    assert display.ax_.get_ylabel() == "accuracy"
    assert next(t.get_text() for t in display.ax_.get_xticklabels()).endswith("%")


def test_the_tolerated_drop_and_the_break_point_are_drawn():
    display = drawn(RobustnessCurveDisplay.from_result(ONE))
    dashed = [line for line in display.ax_.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [pytest.approx(0.85)]
    (span,) = display.ax_.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((0.1, 0.3))
    held = drawn(RobustnessCurveDisplay.from_result(result(curve("typos", "hard$ened_"))))
    assert list(held.ax_.patches) == []


def test_levels_that_were_stopped_early_are_hollow():
    display = drawn(RobustnessCurveDisplay.from_result(ONE))
    hollow = [line for line in display.ax_.lines if line.get_marker() == "o" and line.get_mfc() == "white"]
    full = [line for line in display.ax_.lines if line.get_marker() == "o" and line.get_mfc() != "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[0.1, 0.4]]
    assert [line.get_xdata().tolist() for line in full] == [[0.0, 0.2, 0.3]]
    assert "decided early" in "".join(t.get_text() for t in display.ax_.get_legend().get_texts())


def test_a_level_at_which_the_model_raised_breaks_the_line():
    gone = (0.02, 0.04, None, None)
    error = (None, None, "ValueError: no", "ValueError: no")
    raised = curve("typos", "plain", drop=gone, drop_low=gone, drop_high=gone, errors=error)
    display = drawn(RobustnessCurveDisplay.from_result(result(raised)))
    assert np.isnan(display.line_.get_ydata()[3:]).all()
    (cross,) = [line for line in display.ax_.lines if line.get_marker() == "x"]
    assert list(cross.get_xdata()) == [0.3, 0.4]
    drawn(RobustnessCurveDisplay.from_result(result(raised), interval_style="fill_between"))


def test_several_noises_are_small_multiples_and_models_are_lines():
    display = drawn(RobustnessCurveDisplay.from_result(MANY))
    assert len(display.ax_) == 4
    assert len(display.line_) == len(display.errorbar_) == 8
    assert {ax.get_ylim() for ax in display.ax_} == {display.ax_[0].get_ylim()}
    assert [ax.get_title(loc="left") for ax in display.ax_] == [
        "missing values", "typos", "outliers", "shift",
    ]  # fmt: skip
    assert display.line_[0].get_color() != display.line_[1].get_color() == display.line_[3].get_color()
    labels = [t.get_text() for t in display.figure_.legends[0].get_texts()]
    assert labels[:3] == ["plain", r"hard\$ened_", "tolerated drop 0.05"]


def test_two_scorers_are_two_panels_with_scales_of_their_own():
    low = tuple(v / 9 for v in SCORES["plain"])
    other = curve(
        "typos",
        "plain",
        "f1",
        clean=0.1,
        clean_low=0.09,
        clean_high=0.11,
        drop=low,
        drop_low=low,
        drop_high=low,
    )
    display = drawn(RobustnessCurveDisplay.from_result(result(curve("typos", "plain"), other)))
    assert [ax.get_ylabel() for ax in display.ax_] == ["accuracy", "f1"]
    assert display.ax_[0].get_ylim() != display.ax_[1].get_ylim()


def test_intervals_come_as_a_band():
    display = drawn(RobustnessCurveDisplay.from_result(ONE, interval_style="fill_between"))
    assert display.errorbar_ is None
    corners = display.fill_between_.get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(0.69)
    with pytest.raises(SettingError, match="'errorbar' or as 'fill_between'"):
        RobustnessCurveDisplay.from_result(ONE, interval_style="band")


@pytest.mark.parametrize("said", ["missing-values", "MissingValues", "missing values"])
def test_noises_are_chosen_by_any_of_their_names(said):
    display = RobustnessCurveDisplay.from_result(MANY, noise=said, model="plain")
    assert [c.noise for c in display.curves] == ["missing-values"]
    both = RobustnessCurveDisplay.from_result(MANY, noise=[said, "typos"])
    assert len(both.curves) == 4


def test_it_draws_on_axes_that_are_given():
    figure, axes = plt.subplots(1, 2)
    display = RobustnessCurveDisplay.from_result(MANY, noise=["typos", "shift"], ax=axes)
    assert display.figure_ is figure
    assert list(display.ax_) == list(axes)
    again = display.plot()
    assert again is display
    assert display.figure_ is not figure
    one = plt.subplots()[1]
    assert RobustnessCurveDisplay.from_result(ONE, ax=one).ax_ is one
    with pytest.raises(SettingError, match="4 panels to draw, and 1 given"):
        RobustnessCurveDisplay.from_result(MANY, ax=one)
    with pytest.raises(SettingError, match="1 panel to draw"):
        RobustnessCurveDisplay.from_result(ONE, ax="figure")


def test_mistakes_are_one_clear_sentence():
    with pytest.raises(
        SettingError, match=r"`noise='typo'`: the result has no such noise. Did you mean `typos`\?"
    ):
        RobustnessCurveDisplay.from_result(MANY, noise="typo")
    with pytest.raises(SettingError, match="no curve to draw"):
        RobustnessCurveDisplay.from_result(result())


def test_a_name_is_never_read_as_mathematics_or_hidden():
    strange = curve("$typos$", "plain", scoring="_s$")
    display = drawn(RobustnessCurveDisplay.from_result(result(dataclasses.replace(strange, model="_$m"))))
    assert "m" in display.ax_.get_legend().get_texts()[0].get_text()


def test_from_estimator_runs_stress():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    display = drawn(
        RobustnessCurveDisplay.from_estimator(model, X, y, noises="GaussianNoise", levels=[0.5, 1.0])
    )
    assert display.line_.get_xdata().tolist() == [0.0, 0.5, 1.0]
    assert display.line_.get_ydata()[0] == pytest.approx(model.score(X, y))
    assert display.ax_.get_xlabel() == "level: robust sd of the training data"


def test_without_matplotlib_the_mend_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hormesis\[plot\]'"):
        RobustnessCurveDisplay.from_result(ONE)


def test_nothing_is_loaded_before_something_is_drawn():
    code = (
        "import sys, hormesis, hormesis.display; print('matplotlib' in sys.modules, 'sklearn' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]
