"""Curves of score against level as matplotlib figures, in the manner of scikit-learn's displays."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from hormesis.errors import MissingExtraError, SettingError, listed, nearest
from hormesis.results.words import spoken, title

if TYPE_CHECKING:
    from hormesis.results import Curve, StressResult

Style = Literal["errorbar", "fill_between"]
Names = str | Sequence[str] | None
_UNITS = {
    "fraction": "level: share hit",
    "sigma": "level: robust sd of the training data",
    "relative": "level: share of the value",
    "rank": "level: share of the training ranks",
    "epsilon": "level: epsilon, spreads of the training data",
}
_WIDE = 3


class RobustnessCurveDisplay:
    """Draw how a score falls with the level of noise, with its intervals, the tolerated drop and the break point.

    One panel per noise and scorer, one line per model. A point is the clean score less the drop, which is
    paired by row; vertical bars are the 95 % intervals of the drop over new rows and new noise;
    the dashed line is the clean score minus the tolerated drop; the shaded range runs from the last level that was shown to
    pass to the first that was shown to fail. A hollow point was measured on part of the rows: its level was decided
    early. A cross on the axis is a level at which the model raised.

    Make it with `from_result` or `from_estimator`. Needs matplotlib: `pip install 'hormesis[plot]'`.

    Parameters
    ----------
    curves : sequence of Curve
        What is drawn.
    max_drop : float
        The tolerated drop.
    rows : int
        Test rows: a level measured on fewer is hollow.

    Attributes
    ----------
    ax_ : matplotlib Axes, or an array of them where there are several panels
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D, or a list of them in the order of `curves`
    errorbar_ : matplotlib ErrorbarContainer, or a list of them; None where `interval_style` is another
    fill_between_ : matplotlib PolyCollection, or a list of them; None where `interval_style` is another

    Raises
    ------
    SettingError
        There is nothing to draw.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> display = RobustnessCurveDisplay.from_estimator(model, X, y, noises="GaussianNoise", levels=[0.5, 1.0])
    >>> display.ax_.get_ylabel()
    'accuracy'
    """

    ax_: Any
    figure_: Any
    line_: Any
    errorbar_: Any
    fill_between_: Any

    def __init__(self, curves: "Sequence[Curve]", *, max_drop: float, rows: int) -> None:
        if not curves:
            raise SettingError("There is no curve to draw: the result holds none.")
        self.curves, self.max_drop, self.rows = tuple(curves), max_drop, rows

    @classmethod
    def from_result(
        cls,
        result: "StressResult",
        *,
        noise: Names = None,
        model: Names = None,
        scoring: Names = None,
        ax: Any = None,
        interval_style: Style = "errorbar",
    ) -> Self:
        """Draw the curves of a result; `noise`, `model` and `scoring` choose among them by name.

        Raises
        ------
        SettingError
            No curve has that name; `ax` does not fit the panels.
        MissingExtraError
            Matplotlib is not installed.
        """
        curves: Sequence[Curve] = result.curves
        for word, names in (("noise", noise), ("model", model), ("scoring", scoring)):
            curves = _chosen(curves, word, names)
        made = cls(curves, max_drop=result.max_drop, rows=result.provenance.rows)
        return made.plot(ax, interval_style=interval_style)

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: Any,
        *,
        ax: Any = None,
        interval_style: Style = "errorbar",
        **settings: Any,
    ) -> Self:
        """Run `stress` and draw its curves; `settings` are those of `stress`."""
        from hormesis.stressing import stress

        _pyplot()
        return cls.from_result(stress(model, X, y, **settings), ax=ax, interval_style=interval_style)

    def plot(self, ax: Any = None, *, interval_style: Style = "errorbar") -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, optional
            Where to draw: one for each panel. None makes a new figure.
        interval_style : {"errorbar", "fill_between"}
            Intervals as bars or as a band.
        """
        if interval_style not in ("errorbar", "fill_between"):
            raise SettingError(
                f"`interval_style={interval_style!r}`: intervals are drawn as 'errorbar' or as 'fill_between'."
            )
        panels = list(dict.fromkeys((c.noise, c.scoring) for c in self.curves))
        axes = _axes(_pyplot(), ax, len(panels), share=len({c.scoring for c in self.curves}) == 1)
        colour = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(c.model for c in self.curves))}
        drawn = [
            _Drawn(
                axes[panels.index((c.noise, c.scoring))],
                c,
                colour[c.model],
                self.max_drop,
                self.rows,
                several=len(colour) > 1,
            )
            for c in self.curves
        ]
        lines = [d.line() for d in drawn]
        intervals = [d.interval(interval_style) for d in drawn]
        for d in drawn:
            d.points()
            d.verdict()
        for panel, where in zip(panels, axes, strict=True):
            _dress(where, [c for c in self.curves if (c.noise, c.scoring) == panel])
        keys = _keys(drawn, self.max_drop)
        if ax is None and len(panels) > 1:
            axes[0].figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False)
        else:
            axes[0].legend(handles=keys, loc="best", fontsize="small", frameon=False)
        self.ax_, self.figure_ = (axes[0] if len(panels) == 1 else axes), axes[0].figure
        self.line_ = _single(lines)
        self.errorbar_ = _single(intervals) if interval_style == "errorbar" else None
        self.fill_between_ = _single(intervals) if interval_style == "fill_between" else None
        return self


class _Drawn:
    """One curve on one panel."""

    def __init__(
        self, ax: Any, curve: "Curve", colour: str, max_drop: float, rows: int, *, several: bool
    ) -> None:
        self.ax, self.curve, self.colour, self.max_drop = ax, curve, colour, max_drop
        self.shade = colour if several else "0.5"
        early = tuple(n < rows for n in curve.rows) or (False,) * len(curve.levels)
        self.early = tuple(e and s is not None for e, s in zip(early, curve.score, strict=True))
        self.x = (0.0, *curve.levels)
        self.y = tuple(math.nan if d is None else curve.clean - d for d in (0.0, *curve.drop))

    def line(self) -> Any:
        """Draw the scores, clean first; where the model raised, the line is broken."""
        return self.ax.plot(self.x, self.y, color=self.colour, lw=1.6, label=_plain(self.curve.model))[0]

    def interval(self, style: Style) -> Any:
        """Draw the intervals: an interval above the dashed line passes, one below it fails."""
        c = self.curve
        low = [math.nan if d is None else c.clean - d for d in (0.0, *c.drop_high)]
        high = [math.nan if d is None else c.clean - d for d in (0.0, *c.drop_low)]
        if style == "fill_between":
            return self.ax.fill_between(self.x, low, high, color=self.colour, alpha=0.15, lw=0)
        known = [p for p in zip(self.x, self.y, low, high, strict=True) if not math.isnan(sum(p))]
        x, y, low, high = (list(side) for side in zip(*known, strict=True))
        reach = [
            [max(0.0, b - a) for a, b in zip(low, y, strict=True)],
            [max(0.0, b - a) for a, b in zip(y, high, strict=True)],
        ]
        return self.ax.errorbar(x, y, yerr=reach, fmt="none", ecolor=self.colour, elinewidth=1)

    def points(self) -> None:
        """Draw full points, hollow ones where the level was stopped early, crosses where the model raised."""
        style = {"ls": "none", "marker": "o", "ms": 5, "mec": self.colour, "zorder": 3}
        hollow = (False, *self.early)
        for fill, which in ((self.colour, False), ("white", True)):
            at = [i for i, h in enumerate(hollow) if h is which]
            self.ax.plot([self.x[i] for i in at], [self.y[i] for i in at], mfc=fill, **style)
        raised = [x for x, e in zip(self.curve.levels, self.curve.errors, strict=True) if e is not None]
        cross = {"ls": "none", "marker": "x", "ms": 6, "clip_on": False, "color": self.colour}
        if raised:  # a layout counts an empty unclipped line as a point in the corner of the figure
            self.ax.plot(raised, [0.02] * len(raised), transform=self.ax.get_xaxis_transform(), **cross)

    def verdict(self) -> None:
        """Draw the tolerated drop, and shade the range in which the model breaks."""
        tolerated = self.curve.clean - self.max_drop
        self.ax.axhline(tolerated, color=self.colour, ls="--", lw=0.9, alpha=0.7)
        if self.shaded:
            self.ax.axvspan(*self.shaded, color=self.shade, alpha=0.12, lw=0, zorder=0)

    @property
    def shaded(self) -> tuple[float, float] | None:
        """From the last level that passes to the first that fails, or to the top where none was shown to."""
        point = self.curve.break_point
        if point.verdict not in ("breaks", "undecided"):
            return None
        return point.passes_to, point.tested_to if point.fails_from is None else point.fails_from


def _chosen(curves: "Sequence[Curve]", word: str, names: Names) -> "Sequence[Curve]":
    """Return the curves of the names given; ``MissingValues`` and ``missing values`` are ``missing-values``."""
    if names is None:
        return curves
    known = {_bare(getattr(c, word)): getattr(c, word) for c in curves}
    for name in [names] if isinstance(names, str) else names:
        if _bare(name) not in known:
            raise SettingError(
                f"`{word}={name!r}`: the result has no such {word}.{nearest(name, known.values())} "
                f"It has {listed(known.values())}."
            )
    asked = {_bare(n) for n in ([names] if isinstance(names, str) else names)}
    return [c for c in curves if _bare(getattr(c, word)) in asked]


def _bare(name: str) -> str:
    return "".join(ch for ch in name.lower() if ch not in "-_ ")


def _axes(pyplot: Any, ax: Any, panels: int, *, share: bool) -> Any:
    """Return one Axes for each panel: those given, or new ones side by side."""
    import numpy as np

    if ax is not None:
        given = np.ravel(np.array(ax, dtype=object))
        if given.size != panels or not all(hasattr(a, "errorbar") for a in given):
            raise SettingError(
                f"`ax`: {panels} panel{'s' if panels > 1 else ''} to draw, and {given.size} given. Give one matplotlib Axes "
                "for each, choose with `noise=` and `scoring=`, or leave `ax` out."
            )
        return given
    wide = 2 if panels == 4 else min(panels, _WIDE)
    high = math.ceil(panels / wide)
    figure, grid = pyplot.subplots(
        high, wide, figsize=(4.2 * wide, 3.4 * high), layout="constrained", squeeze=False, sharey=share
    )
    for spare in grid.ravel()[panels:]:
        figure.delaxes(spare)
    return grid.ravel()[:panels]


def _dress(ax: Any, curves: "Sequence[Curve]") -> None:
    """Name a panel and its axes; of a single model its verdict stands below the name."""
    first = curves[0]
    name = title(first.noise)
    if len(curves) == 1:
        name += f"\n{_short(first.break_point.words)}"
    ax.set_title(_plain(name), loc="left", fontsize="medium")
    ax.set_xlabel(_UNITS.get(first.unit, "level"))
    ax.set_ylabel(_plain(first.scoring))
    if first.unit != "sigma" and first.unit != "epsilon":
        ax.xaxis.set_major_formatter(lambda x, _: spoken(x, "fraction"))
    ax.spines[["top", "right"]].set_visible(False)


def _short(words: str, most: int = 48) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _keys(drawn: "list[_Drawn]", max_drop: float) -> list[Any]:
    """Return what says, once for all panels, what lines, shades and marks mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    models = {d.curve.model: d.colour for d in drawn}
    ink = "0.35" if len(models) > 1 else drawn[0].colour
    keys: list[Any] = [Line2D([], [], color=c, label=_plain(m)) for m, c in models.items()]
    keys.append(Line2D([], [], color=ink, ls="--", lw=0.9, label=f"tolerated drop {max_drop:g}"))
    if any(d.shaded for d in drawn):
        keys.append(Patch(color="0.5", alpha=0.2, lw=0, label="break point, 95 %"))
    if any(any(d.early) for d in drawn):
        keys.append(_mark("o", "decided early, on part of the rows", ink))
    if any(any(d.curve.errors) for d in drawn):
        keys.append(_mark("x", "the model raises", ink))
    return keys


def _mark(marker: str, label: str, colour: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], ls="none", marker=marker, mfc="white", mec=colour, label=label)


def _plain(text: str) -> str:
    """Keep matplotlib from reading mathematics, or a label to be left out, in a user's name."""
    safe = text.replace("$", r"\$")
    return f"\u200b{safe}" if safe.startswith("_") else safe


def _single(made: list[Any]) -> Any:
    return made[0] if len(made) == 1 else made


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtraError(
            "RobustnessCurveDisplay draws with matplotlib, which is not installed: `pip install 'hormesis[plot]'`."
        ) from error
    return plt
