"""The pictures of a report: score against level, and columns before and after a noise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from hormesis.report.words import cut, interval, share
from hormesis.results import Curve, Distribution, spoken

if TYPE_CHECKING:
    from markupsafe import Markup

LOOKS = (
    {"color": "#0072B2", "marker": "circle"},
    {"color": "#D55E00", "marker": "square"},
    {"color": "#009E73", "marker": "triangle"},
    {"color": "#CC79A7", "marker": "diamond"},
    {"color": "#000000", "marker": "star"},
)  # Okabe and Ito (2008)
GLYPHS = {"circle": "●", "square": "■", "triangle": "▲", "diamond": "◆", "star": "★"}
BEFORE, AFTER = "#C4C9CE", "#222222"
HOLLOW = "#FFFFFF"
SAID = ("level", "score", "drop", "cells changed", "predictions changed", "rows")
MOST_LABELS = 16
THEME = {
    "attrs": {
        "Plot": {"outline_line_color": None, "background_fill_alpha": 0, "border_fill_alpha": 0},
        "Grid": {"grid_line_color": "#EBEDEF"},
        "Axis": {
            "axis_line_color": "#8A9199",
            "major_tick_line_color": "#8A9199",
            "major_tick_in": 0,
            "minor_tick_line_color": None,
            "major_label_text_color": "#444444",
            "axis_label_text_color": "#444444",
            "axis_label_text_font_style": "normal",
            "axis_label_text_font_size": "12px",
            "axis_label_standoff": 4,
        },
    }
}


@dataclass(frozen=True)
class Point:
    """One measured level of a curve: what its drop leaves of the clean score, and the interval of that.

    The score itself is another number where fewer rows than all were asked; the drop is paired on those rows. `said` are the words of `SAID`; `early` says that fewer rows than all decided the level.
    """

    level: float
    score: float
    low: float
    high: float
    said: tuple[str, ...]
    early: bool = False


def runs(curve: Curve, every: int = 0) -> list[list[Point]]:
    """Return the measured points from clean upwards, one list per unbroken run; an error is a gap.

    Points measured on fewer than `every` rows are marked as early.
    """
    clean = interval(curve.clean, curve.clean_low, curve.clean_high)
    out = [[Point(0.0, curve.clean, curve.clean, curve.clean, ("clean", clean, *("none",) * 3, "all"))]]
    for i, level in enumerate(curve.levels):
        if level == 0:
            continue
        point = _point(curve, i, every)
        if point is None:
            out.append([])
        else:
            out[-1].append(point)
    return [run for run in out if run]


def _point(curve: Curve, i: int, every: int) -> Point | None:
    score, drop, low, high = curve.score[i], curve.drop[i], curve.drop_low[i], curve.drop_high[i]
    if score is None or not isfinite(score):
        return None
    said = (
        spoken(curve.levels[i], curve.unit),
        interval(score, curve.score_low[i], curve.score_high[i]),
        interval(drop, low, high, signed=True),
        share(curve.changed[i]),
        share(curve.flips[i] if curve.flips else None),
        f"{curve.rows[i]:,}" if curve.rows else "all",
    )
    early = bool(curve.rows) and curve.rows[i] < every
    if drop is not None:
        score = curve.clean - drop
    ends = (score, score) if low is None or high is None else (curve.clean - high, curve.clean - low)
    y, bottom, top = (float(f"{v:.7g}") for v in (score, *ends))  # digits that nobody sees weigh much
    return Point(curve.levels[i], y, bottom, top, said, early)


def extent(curves: Iterable[Curve], max_drop: float) -> tuple[float, float]:
    """Return the lowest and the highest score to be shown, with some air."""
    found = list(curves)
    points = [p for c in found for run in runs(c) for p in run]
    low = min([p.low for p in points] + [c.clean - max_drop for c in found])
    high = max([p.high for p in points] + [c.clean for c in found])
    air = 0.06 * (high - low or 1.0)
    return low - air, high + air


def curves_figure(
    curves: Sequence[Curve], models: Sequence[str], max_drop: float, span: tuple[float, float], every: int = 0
) -> Any:
    """Draw score against level for one noise: line and band per model, tolerance, break-point zone.

    Levels measured on fewer than `every` rows are hollow.
    """
    from bokeh.models import ColumnDataSource, HoverTool

    top = max((level for c in curves for level in c.levels), default=1.0) or 1.0
    plot = _frame(curves[0].unit, top, span)
    looks = dict(zip(models, LOOKS, strict=False))
    floor = span[0] + 0.05 * (span[1] - span[0])
    for glyph, rows in _layers(curves, looks, max_drop, floor, every):
        if rows:
            source = ColumnDataSource({name: [row[name] for row in rows] for name in rows[0]})
            dots = plot.add_glyph(source, glyph)
    said = [(name, f"@{{{name}}}") for name in SAID]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=[("", "@who"), *said]))
    return plot


def _layers(
    curves: Sequence[Curve], looks: dict[str, dict[str, str]], max_drop: float, floor: float, every: int
) -> list[tuple[Any, Any]]:
    """Return glyphs and their rows from the bottom up; the dots come last."""
    from bokeh.models import HSpan, MultiLine, Patches, Scatter, VStrip

    found = [(run, c.model) for c in curves for run in runs(c, every)]
    shapes = [(run, looks[model]) for run, model in found]
    dots = [_dot(point, model, looks[model]) for run, model in found for point in run]
    tolerance = [{"y": c.clean - max_drop} | looks[c.model] for c in curves]
    zones = [zone | looks[c.model] for c in curves for zone in _zones(c)]
    crosses = [{"x": x, "y": floor} | looks[c.model] for c in curves for x in _raised(c)]
    color: dict[str, Any] = {"fill_color": "color", "line_color": None}
    return [
        (VStrip(x0="x0", x1="x1", fill_alpha=0.09, **color), zones),
        (Patches(xs="x", ys="y", fill_alpha=0.2, **color), [_band(*s) for s in shapes]),
        (HSpan(y="y", line_color="color", line_dash="dashed", line_alpha=0.8), tolerance),
        (MultiLine(xs="x", ys="y", line_color="color", line_width=2), [_line(*s) for s in shapes]),
        (Scatter(x="x", y="y", size=7, marker="x", line_color="color", line_width=2), crosses),
        (Scatter(x="x", y="y", size=7, marker="marker", fill_color="fill", line_color="color"), dots),
    ]


def _raised(curve: Curve) -> list[float]:
    return [level for level, error in zip(curve.levels, curve.errors, strict=True) if error is not None]


def _frame(unit: str, top: float, span: tuple[float, float]) -> Any:
    from bokeh.models import NumeralTickFormatter, Range1d
    from bokeh.plotting import figure

    plot = figure(
        height=220,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_range=Range1d(-0.03 * top, 1.03 * top),
        y_range=Range1d(*span),
        x_axis_label={"sigma": "level (sd)", "epsilon": "epsilon (sd)"}.get(unit, "level"),
    )
    plot.yaxis.ticker.desired_num_ticks = 5
    plot.xgrid.grid_line_color = None
    if unit not in ("sigma", "epsilon"):
        plot.xaxis.formatter = NumeralTickFormatter(format="0.[00] %")
    return plot


def _zones(curve: Curve) -> list[dict[str, Any]]:
    found = curve.break_point
    if found.verdict in ("holds", "not measurable"):
        return []
    end = found.tested_to if found.fails_from is None else found.fails_from
    return [{"x0": found.passes_to, "x1": end}]


def _line(run: list[Point], look: dict[str, str]) -> dict[str, Any]:
    return {"x": [p.level for p in run], "y": [p.score for p in run]} | look


def _band(run: list[Point], look: dict[str, str]) -> dict[str, Any]:
    there, back = run, run[::-1]
    return {"x": [p.level for p in there + back], "y": [p.low for p in there] + [p.high for p in back]} | look


def _dot(point: Point, model: str, look: dict[str, str]) -> dict[str, Any]:
    fill = HOLLOW if point.early else look["color"]
    where = {"x": point.level, "y": point.score, "fill": fill, "who": cut(model, 40)}
    return where | dict(zip(SAID, point.said, strict=True)) | look


def distribution_figure(found: Distribution) -> Any:
    """Draw one column before (filled) and after (outlined) a noise, as shares of the rows."""
    before = [n / max(1, sum(found.before) + found.missing_before) for n in found.before]
    after = [n / max(1, sum(found.after) + found.missing_after) for n in found.after]
    return _bars(found.labels, before, after) if found.labels else _histogram(found.edges, before, after)


def _histogram(edges: Sequence[float], before: list[float], after: list[float]) -> Any:
    from bokeh.models import NumeralTickFormatter
    from bokeh.plotting import figure

    plot = figure(height=160, sizing_mode="stretch_width", toolbar_location=None, tools="")
    plot.quad(left=edges[:-1], right=edges[1:], bottom=0, top=before, fill_color=BEFORE, line_color=None)
    plot.step(x=[edges[0], *edges], y=[0.0, *after, 0.0], mode="after", line_color=AFTER, line_width=1.5)
    plot.yaxis.formatter = NumeralTickFormatter(format="0.[0] %")
    plot.y_range.start = 0
    plot.yaxis.ticker.desired_num_ticks = 3
    plot.xaxis.ticker.desired_num_ticks = 4
    if max(map(abs, edges)) >= 10_000:
        plot.xaxis.formatter = NumeralTickFormatter(format="0.[0] a")
    plot.xgrid.grid_line_color = None
    return plot


def _bars(labels: Sequence[str], before: list[float], after: list[float]) -> Any:
    from bokeh.models import NumeralTickFormatter
    from bokeh.plotting import figure

    names = _short(labels[:MOST_LABELS])
    plot = figure(
        height=50 + 20 * len(names),
        y_range=names[::-1],
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
    )
    plot.hbar(y=names, right=before[:MOST_LABELS], height=0.8, fill_color=BEFORE, line_color=None)
    plot.hbar(
        y=names, right=after[:MOST_LABELS], height=0.8, fill_color=None, line_color=AFTER, line_width=1.5
    )
    plot.xaxis.formatter = NumeralTickFormatter(format="0.[0] %")
    plot.x_range.start = 0
    plot.xaxis.ticker.desired_num_ticks = 4
    plot.ygrid.grid_line_color = None
    return plot


def _short(labels: Sequence[str]) -> list[str]:
    """Return short names unlike each other."""
    names: list[str] = []
    for label in labels:
        name = cut(label, 18) or "(empty)"
        names.append(name if name not in names else f"{name} ({len(names)})")
    return names


def legend(models: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the mark, the colour and the name of each model that is drawn."""
    return [(GLYPHS[look["marker"]], look["color"], m) for look, m in zip(LOOKS, models, strict=False)]


def embed(plots: dict[str, Any]) -> "tuple[Markup, dict[str, Markup]]":
    """Return the script of all figures, the library included, and the place of each figure by name."""
    from bokeh.document import Document
    from bokeh.embed import components
    from bokeh.resources import Resources
    from bokeh.themes import Theme
    from markupsafe import Markup

    if not plots:
        return Markup(), {}
    document = Document(theme=Theme(json=THEME))
    with document.models.freeze():  # else each root walks all others again
        for plot in plots.values():
            document.add_root(plot)
    script, places = components(plots)
    library = Resources(mode="inline", components=["bokeh"], minified=True).render_js()
    return Markup(library + script), {name: Markup(place) for name, place in places.items()}
