"""The HTML report: true, whole, escaped, small, and silent towards the network."""

import dataclasses
import html
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from math import sqrt

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hormesis.errors import DataError
from hormesis.limits import Bound
from hormesis.noise import GaussianNoise, MissingValues
from hormesis.proof import HardenResult, Trial
from hormesis.recipe import Recipe
from hormesis.report import render, write
from hormesis.report.figures import curves_figure
from hormesis.results import (
    BreakPoint,
    Checked,
    Cost,
    Crash,
    Curve,
    Difference,
    Distribution,
    Estimate,
    Fragility,
    Limit,
    Provenance,
    Slice,
    StressResult,
    spoken,
)
from hormesis.results.tables import column_of
from hormesis.stressing import stress

LIMIT = 2_500_000
MAX_DROP = 0.05
EVIL = "<script>alert('$$x$$')</script>"
VOID = {"meta", "br", "hr", "img", "input", "link"}


def break_point(model, noise, unit, levels, low, high):
    """Read a break point off the intervals of the drop, as the statistics do."""
    passes = next((i for i, v in enumerate(high) if v is None or v > MAX_DROP), len(levels))
    fails = next((i for i, v in enumerate(low[::-1]) if v is None or v <= MAX_DROP), len(levels))
    start = len(levels) - fails
    to = levels[passes - 1] if passes else 0.0
    surely = levels[start] if start < len(levels) else None
    crash = high[0] is None
    return BreakPoint(
        model=model,
        noise=noise,
        scoring="roc_auc",
        unit=unit,
        tested_to=levels[-1],
        passes_to=to,
        fails_from=surely,
        low=to,
        high=surely,
        reason="the model raised at every level" if crash else None,
    )


def curve(model, noise, unit, levels, hurt, *, raises_from=None, scoring="roc_auc", rows=4000):
    clean, top = (0.8713 if model == "plain" else 0.8702), levels[-1]
    error = "ValueError: Found unknown categories ['Berlni', 'Pariss'] in column 'city' during transform"
    drop = [None if raises_from and x >= raises_from else hurt * (x / top) ** 1.4 for x in levels]
    half = [None if d is None else 2.0 * sqrt(0.05 * d + 0.0004) / sqrt(rows) * 6 for d in drop]

    def numbers(start, drops, halves):
        pairs = zip(drop, half, strict=True)
        return tuple(None if d is None else start + drops * d + halves * h for d, h in pairs)

    low, high = numbers(0, 1, -1), numbers(0, 1, 1)
    return Curve(
        model=model,
        noise=noise,
        step={"noise": noise.title().replace("-", ""), "name": noise, "level": top},
        unit=unit,
        scoring=scoring,
        clean=clean,
        clean_low=clean - 0.011,
        clean_high=clean + 0.011,
        levels=levels,
        score=numbers(clean, -1, 0),
        score_low=numbers(clean - 0.009, -1, -1),
        score_high=numbers(clean + 0.009, -1, 1),
        drop=numbers(0, 1, 0),
        drop_low=low,
        drop_high=high,
        changed=tuple(
            None if d is None else min(1.0, x / top * 0.4) for d, x in zip(drop, levels, strict=True)
        ),
        errors=tuple(error if d is None else None for d in drop),
        robustness=None if raises_from else 1 - hurt / clean / 2.4,
        break_point=dataclasses.replace(break_point(model, noise, unit, levels, low, high), scoring=scoring),
    )


FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
SIGMAS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
HURTS = {
    "missing-values": (0.19, 0.06),
    "typos": (0.10, 0.03),
    "outliers": (0.047, 0.03),
    "gaussian-noise": (0.21, 0.11),
}


def curves(scoring="roc_auc"):
    for noise, hurts in HURTS.items():
        for model, hurt in zip(("plain", "hardened"), hurts, strict=True):
            sigma = noise == "gaussian-noise"
            yield curve(
                model,
                noise,
                "sigma" if sigma else "fraction",
                SIGMAS if sigma else FRACTIONS,
                hurt,
                raises_from=0.3 if (model, noise) == ("plain", "typos") else None,
                scoring=scoring,
            )


def distributions():
    bell = (2, 9, 40, 121, 260, 410, 530, 560, 480, 390, 290, 210, 150, 101, 70, 44, 30, 18, 9, 4)
    wide = (20, 42, 81, 150, 240, 350, 430, 455, 420, 360, 290, 230, 180, 140, 103, 80, 61, 42, 30, 24)
    edges = tuple(float(5000 * i) for i in range(21))
    yield Distribution("income", "gaussian-noise", 0.5, "sigma", 0.31, bell, wide, 0, 0, edges=edges)
    yield Distribution("tenure", "missing-values", 0.2, "fraction", 0.2, bell, wide, 120, 900, edges=edges)
    towns = ("Berlin", "Paris", "Wien", "a town with a rather long name", "$$x$$", "")
    before, after = (900, 700, 400, 300, 100, 50), (600, 420, 200, 150, 60, 30)
    yield Distribution("city", "typos", 0.1, "fraction", 0.12, before, after, 30, 30, labels=towns)
    many = tuple(f"street {i}" for i in range(40))
    yield Distribution(EVIL, "typos", 0.1, "fraction", 0.1, (9,) * 40, (7,) * 40, 0, 80, labels=many)


def stressed(**changes):
    result = StressResult(
        curves=tuple(curves()),
        max_drop=MAX_DROP,
        scoring=("roc_auc",),
        provenance=Provenance(
            seed=7,
            repeats=2,
            rows=4000,
            sampled="4,000 of 48,842 rows, by hashed order",
            fingerprint="5f1c0de2",
            seconds=12.34,
            versions={"hormesis": "0.1.0", "scikit-learn": "1.7.2"},
            scheme="hormesis.v1",
        ),
        distributions=tuple(distributions()),
        notes=("Column `age` holds whole numbers; noise on it is rounded.",),
    )
    return dataclasses.replace(result, **changes)


def hardened(**changes):
    trials = [
        Trial(
            f"missing values + {noise}",
            dose,
            0.868,
            0.80 + dose / 10,
            dose == 0.2,
            "" if dose < 0.4 else "worse than 0.2: stop",
        )
        for noise in ("typos", "gaussian noise", "outliers")
        for dose in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
    ]
    result = HardenResult(
        model=None,
        recipe=Recipe([MissingValues(0.2), GaussianNoise(0.3)]),
        verdict="harden",
        reason="Use the hardened model: robustness grows by 0.0612 at a clean cost of 0.0011 of 0.005.",
        scoring="roc_auc",
        guard=True,
        copies=3,
        clean_before=0.8713,
        clean_after=0.8702,
        clean_cost=Estimate(0.0011, -0.0014, 0.0036),
        max_clean_drop=0.005,
        gain=Estimate(0.0612, 0.0521, 0.0703),
        held_out_gain=Estimate(0.0402, 0.0291, 0.0513),
        searched=("missing-values", "gaussian-noise", "outliers"),
        held_out=("typos",),
        trials=tuple(trials),
        proof=stressed(),
    )
    return dataclasses.replace(result, **changes)


class Reader(HTMLParser):
    """Reads a page strictly: every tag is closed in order; keeps its text and what it would load."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.loads, self.tags = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [v for name, v in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader, re.sub(r"\s+", " ", " ".join(reader.text))


@pytest.fixture(scope="module", params=[stressed, hardened], ids=["stress", "harden"])
def page(request):
    return render(request.param())


def test_a_page_is_whole_small_and_loads_nothing(page):
    reader, _ = read(page)
    assert len(page.encode()) < LIMIT
    assert reader.loads == []
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(\s*['\"]?http", re.sub(r"<script.*?</script>", "", page, flags=re.S))


def test_every_noise_is_named_and_an_error_is_said(page):
    _, text = read(page)
    for noise in HURTS:
        assert text.count(noise.replace("-", " ")) > 2
    assert "plain raised at 30 % to 40 %: ValueError: Found unknown categories ['Berlni', 'Pariss']" in text
    assert "undecided" in text


def test_what_users_typed_is_never_markup(page):
    reader, text = read(page)
    assert EVIL in text
    assert EVIL not in page
    assert reader.tags.count("script") == render(stressed(distributions=())).count("<script")


def test_every_figure_has_its_words(page):
    reader, _ = read(page)
    figures = 4 + 4
    assert reader.tags.count("figure") == reader.tags.count("figcaption") == figures
    assert page.count('role="img" aria-label="') == figures


def test_a_stress_report_opens_with_the_break_points():
    _, text = read(render(stressed(curves=tuple(c for c in curves() if c.model == "plain"))))
    assert "The model breaks under 2 of 4 noises: missing values (passes" in text
    _, text = read(render(stressed()))
    assert "plain breaks under 2 of 4 noises and hardened breaks under 1 of 4 in roc_auc." in text


def test_a_harden_report_opens_with_the_reason_and_says_what_was_held_out():
    result = hardened()
    _, text = read(render(result))
    assert result.reason in text
    assert "0.8713 → 0.8702" in text
    assert "+0.0402" in text
    assert re.search("typos held out passes.*outliers searched passes.*gaussian noise yes passes", text)
    assert "Show 3 more" in text
    assert result.recipe.to_yaml().split()[-1] in text


def test_a_report_can_lack_nearly_everything():
    bare = stressed(distributions=(), notes=(), finished=False)
    _, text = read(render(bare))
    assert "stopped before its end" in text
    assert "before and after" not in text
    read(render(stressed(curves=(), distributions=())))
    read(render(hardened(trials=(), held_out_gain=None, held_out=(), verdict="keep", finished=False)))


def test_without_a_hardened_model_no_number_is_made_up():
    none = Estimate(0.0, 0.0, 0.0)
    proof = stressed(curves=tuple(c for c in curves() if c.model == "plain"))
    reason = "Keep your model: of 3 candidates none made it more robust."
    result = hardened(
        verdict="keep", reason=reason, clean_cost=none, gain=none, held_out_gain=None, proof=proof
    )
    _, text = read(render(result))
    assert reason in text
    assert "no candidate came to the proof" in text
    assert "0.0000" not in text.split("Where it breaks")[0]
    assert "robustness after" not in text


def test_a_model_that_always_raises_is_reported():
    crash = curve("plain", "typos", "fraction", FRACTIONS, 0.1, raises_from=0.001)
    _, text = read(render(stressed(curves=(crash,), distributions=())))
    assert "not measurable" in text
    assert "plain raised at 1 % to 40 %" in text


def test_a_break_by_an_error_is_said_once_in_full():
    broken = curve("plain", "typos", "fraction", FRACTIONS, 0.03, raises_from=0.3)
    point = dataclasses.replace(
        broken.break_point, fails_from=0.3, raises="ValueError: bad city", failed_below=(0.05,)
    )
    errors = (
        *(None,) * 6,
        "ValueError: Found unknown categories ['Wein']",
        "ValueError: Found unknown categories ['Wn']",
    )
    _, text = read(render(stressed(curves=(dataclasses.replace(broken, break_point=point, errors=errors),))))
    assert "typos (passes 20 %, fails at 30 % (the model raises ValueError); also fails at 5 %)" in text
    assert "raised at 30 % to 40 %, first: ValueError: Found unknown categories ['Wein']" in text


def test_several_scorers_have_a_block_each():
    both = stressed(curves=(*curves(), *curves("accuracy")), scoring=("roc_auc", "accuracy"))
    reader, text = read(render(both))
    assert reader.tags.count("figure") == 12
    assert "hardened breaks under 1 of 4 in roc_auc; plain breaks under 2" in text


def test_a_large_result_stays_small_and_says_what_it_left_out():
    levels = tuple((i + 1) / 64 for i in range(64))
    many = [
        curve(model, f"noise-{i}", "fraction", levels, 0.02 * i, scoring=scoring)
        for scoring in ("roc_auc", "accuracy", "neg_log_loss")
        for i in range(20)
        for model in ("plain", "hardened")
    ]
    shapes = tuple(distributions()) * 20
    result = stressed(
        curves=tuple(many), distributions=shapes, scoring=("roc_auc", "accuracy", "neg_log_loss")
    )
    page = render(result)
    assert len(page.encode()) < LIMIT
    _, text = read(page)
    assert "48 more figures are left out" in text
    assert "7080 more rows are left out" in text
    assert "60 more are left out" in text


def test_an_ordinary_large_result_is_shown_whole():
    levels = tuple((i + 1) / 24 for i in range(12))
    many = [
        curve(m, f"noise-{i}", "fraction", levels, 0.02 * i) for i in range(10) for m in ("plain", "hardened")
    ]
    page = render(stressed(curves=tuple(many), distributions=tuple(distributions()) * 5))
    assert len(page.encode()) < LIMIT
    reader, text = read(page)
    assert reader.tags.count("figure") == 30
    assert "left out" not in text


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.html"
    write(stressed(), path)
    read(path.read_text(encoding="utf-8"))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(DataError, match="cannot be written"):
        write(stressed(), tmp_path / "nowhere" / "report.html")


def test_importing_the_report_loads_no_bokeh():
    code = "import sys, hormesis.report; sys.exit(bool({'bokeh', 'jinja2', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def rows_of(page, heading):
    """Return the rows of the first table below a heading, as lists of texts."""
    table = page.split(f">{heading}</h", 1)[1].split("<tbody>", 1)[1].split("</tbody>", 1)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.S)
    return [
        [html.unescape(c) for c in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, flags=re.S)] for row in rows
    ]


def searched(**changes):
    """A curve whose search stopped early at two levels, on rows that score better than all."""
    found = curve("plain", "outliers", "fraction", (0.05, 0.1, 0.2, 0.4), 0.16)
    few = (221, 221, 4000, 4000)
    lifted = tuple(s + 0.03 if n < 4000 else s for s, n in zip(found.score, few, strict=True))
    part = Slice("age", "17 to 22", 120, 0.12, 0.05, 0.19)
    doubt = Slice("city", "Wien", 60, 0.02, -0.01, 0.05)
    return dataclasses.replace(
        found,
        score=lifted,
        rows=few,
        flips=(0.01, 0.02, 0.031, 0.12),
        clean_calibration=0.0211,
        calibration=(0.02, 0.03, 0.04, 0.05),
        calibration_change=(0.001, 0.002, 0.011, 0.0312),
        calibration_change_low=(-0.001, 0.001, 0.008, 0.0251),
        calibration_change_high=(0.003, 0.003, 0.014, 0.0373),
        worst=(None, None, doubt, part),
        **changes,
    )


def whole(model, noise, *, raises=None, drop=0.0, column=None):
    """A noise that changes columns whole: one level, one verdict."""
    low, high = (None, None) if raises else (drop - 0.01, drop + 0.01)
    fails = 1.0 if raises or low > MAX_DROP else None
    name = noise if column is None else f"{noise}@{column}"
    kind = "".join(word.title() for word in noise.split("-"))
    found = curve(model, name, "fraction", (1.0,), 0.0)
    point = dataclasses.replace(
        found.break_point, passes_to=0.0 if fails else 1.0, fails_from=fails, raises=raises, whole=True
    )
    one = dict.fromkeys(("score", "score_low", "score_high"), (None if raises else 0.8713 - drop,))
    return dataclasses.replace(
        found,
        **one,
        step={"noise": kind, "name": name, "level": 1.0} | ({"columns": [column]} if column else {}),
        drop=(None if raises else drop,),
        drop_low=(low,),
        drop_high=(high,),
        errors=(raises,),
        crashes=(Crash(*raises.split(": ")) if raises else None,),
        break_point=point,
    )


def alone(noise, column, hurt, levels=FRACTIONS):
    name = f"{noise}@{column}"
    step = {"noise": "MissingValues", "name": name, "level": 0.4, "columns": [column]}
    return dataclasses.replace(curve("plain", name, "fraction", levels, hurt), step=step)


def test_levels_decided_early_are_hollow_and_told():
    _, text = read(render(stressed(curves=(searched(),))))
    assert "measured on 221 to 4,000 of 4,000 rows" in text
    assert "decided early, on part of the rows" in text
    _, text = read(render(stressed()))
    assert "decided early" not in text


def test_a_dot_is_the_clean_score_less_the_paired_drop():
    found = searched()
    plot = curves_figure([found], ["plain"], MAX_DROP, (0.5, 1.0), every=4000)
    dots = plot.renderers[-1].data_source.data
    assert dots["fill"] == ["#0072B2", "#FFFFFF", "#FFFFFF", "#0072B2", "#0072B2"]
    assert dots["y"] == pytest.approx([found.clean] + [found.clean - d for d in found.drop])
    assert dots["rows"] == ["all", "221", "221", "4,000", "4,000"]
    (zone,) = [r for r in plot.renderers if type(r.glyph).__name__ == "VStrip"]
    point = found.break_point
    assert (zone.data_source.data["x0"], zone.data_source.data["x1"]) == (
        [point.passes_to],
        [point.fails_from],
    )


def test_what_happens_at_the_break_is_a_row():
    held = dataclasses.replace(
        searched(),
        noise="typos",
        break_point=curve("plain", "typos", "fraction", (0.05, 0.1, 0.2), 0.01).break_point,
    )
    (row, other) = rows_of(render(stressed(curves=(searched(), held))), "What happens there")
    assert row[:2] == ["outliers", "40 %"]
    assert row[3] == "12 %"
    assert row[4] == "0.0211 clean, +0.0312 [+0.0251, +0.0373]"
    assert row[5] == "age 17 to 22 (120 rows): loses 0.120 [0.050, 0.190]"
    assert other[:2] == ["typos", "40 %"]
    doubt = dataclasses.replace(
        searched(), worst=(None, None, None, Slice("city", "Wien", 60, 0.02, -0.01, 0.05))
    )
    assert rows_of(render(stressed(curves=(doubt,))), "What happens there")[0][5] == "no part shown to lose"


def test_changes_of_whole_columns_are_rows_loud_or_silent_and_no_figures():
    several = (
        searched(),
        whole("plain", "renamed-column", raises="KeyError: 'age'"),
        whole("plain", "swapped-columns", drop=0.2),
        whole("plain", "reordered-columns"),
    )
    page = render(stressed(curves=several, distributions=()))
    reader, text = read(page)
    assert reader.tags.count("figure") == 1
    assert rows_of(page, "Loud and silent") == [
        [
            "swapped columns",
            "whole",
            "silent: loses more than tolerated",
            "silently loses 0.200 [0.190, 0.210]",
        ],
        ["renamed column", "whole", "loud: raises", "raises KeyError: 'age'"],
        [
            "reordered columns",
            "whole",
            "within tolerance",
            "within the tolerance: loses 0.000 [-0.010, 0.010]",
        ],
    ]
    assert "renamed column (raises KeyError)" in text
    assert "of the others, 1 stays within the tolerance" in text


def test_a_crash_says_on_which_share_of_the_rows():
    broken = curve("plain", "typos", "fraction", FRACTIONS, 0.03, raises_from=0.3)
    crash = Crash("ValueError", "bad city", 0.35, 20)
    page = render(stressed(curves=(dataclasses.replace(broken, crashes=(*(None,) * 6, crash, crash)),)))
    assert rows_of(page, "Loud and silent") == [
        ["typos", "30 % to 40 %", "loud: raises", "raises ValueError: bad city (on 35 % of 20 rows)"]
    ]


def test_columns_alone_are_one_picture_and_no_figures():
    several = (
        curve("plain", "missing-values", "fraction", FRACTIONS, 0.3),
        alone("missing-values", "city", 0.01),
        alone("missing-values", "a@b", 0.3),
        alone("missing-values", EVIL, 0.08),
        whole("plain", "renamed-column", raises="KeyError: 'age'"),
        whole("plain", "renamed-column", raises="KeyError: 'age'", column="city"),
    )
    page = render(stressed(curves=several, distributions=()))
    reader, text = read(page)
    assert reader.tags.count("figure") == 1
    assert EVIL not in page
    assert "The model breaks under 2 of 2 noises" in text
    assert "Of 3 columns, 2 break the model alone: a@b and <script>" in text
    assert "renamed column: raises for 1 of 1 column." in text
    rows = {row[0]: row[1:] for row in rows_of(page, "roc_auc")}
    assert rows["city"] == ["holds", "raises"]
    assert rows["a@b"] == [spoken(several[2].break_point.fails_from, "fraction"), ""]
    order = list(rows)
    assert order.index("a@b") < order.index(EVIL)


def test_a_name_with_an_at_sign_is_no_column_alone():
    named = dataclasses.replace(searched(), noise="outliers@night")
    assert column_of(named) is None
    other = {"noise": "Outliers", "level": 0.1, "columns": ["age"]}
    assert column_of(dataclasses.replace(named, step=other)) is None
    assert column_of(alone("missing-values", "a@b", 0.1)) == ("missing-values", "a@b")


def fragility(column, drop, *, matters, ranks=(None, None), **pair):
    low, high = drop - 0.01, drop + 0.01
    return Fragility(
        "plain",
        "outliers",
        "roc_auc",
        0.2,
        "fraction",
        column,
        drop,
        low,
        high,
        0.01,
        matters,
        *ranks,
        **pair,
    )


def test_fragile_columns_and_pairs_are_told_with_their_ranks():
    fragile = (
        fragility("age", 0.08, matters=True, ranks=(1, 1)),
        fragility("city", 0.02, matters=False, ranks=(2, 9)),
        fragility("age", 0.12, matters=True, pair_with="city", extra=Estimate(0.02, 0.01, 0.03)),
    )
    page = render(stressed(curves=(searched(),), fragile=fragile))
    loss = "+0.0800 [+0.0700, +0.0900]"
    assert rows_of(page, "Fragile columns") == [
        ["outliers", "20 %", "age", loss, "matters", "1"],
        ["outliers", "20 %", "city", "+0.0200 [+0.0100, +0.0300]", "not shown to matter", "2 to 9"],
    ]
    ((_, _, both, _, word, extra),) = rows_of(page, "Columns that fail together")
    assert (both, word, extra) == ("age and city", "worse together", "+0.0200 [+0.0100, +0.0300]")
    assert "Fragile columns" not in render(stressed())


def test_limits_validator_differences_and_cost_are_told():
    bound = Bound("income", "number", baseline=0.02, limit=0.12, fails_from=0.22)
    step = {"noise": "MissingValues", "level": 0.1}
    limit = Limit(
        "plain", "roc_auc", "missing-values", step, ("income",), "fraction", 0.1, 0.2, "missing", (bound,)
    )
    none = Limit(
        "plain", "roc_auc", "typos", step, ("city",), "fraction", 0.1, 0.2, reason="no batch shows it"
    )
    checked = (
        Checked("typos", 0.1, "fraction", "fails", accepted=False, reason="<b>bad</b> city"),
        Checked("outliers", 0.1, "fraction", "fails", accepted=True),
        Checked("outliers", 0.2, "fraction", "fails", accepted=True),
    )
    gap = Difference(
        "plain", "hardened", "typos", "roc_auc", (0.1,), (0.02,), (0.01,), (0.03,), 0.02, 0.08, 0.11
    )
    cost = Cost(34_120, 4000, 45, 12.1, 12.9, 4000, grid_rows=130_000)
    page = render(stressed(limits=(none, limit), checked=checked, differences=(gap,), cost=cost))
    _, text = read(page)
    assert [row[-1] for row in rows_of(page, "Limits for data")] == [limit.words, none.words]
    assert rows_of(page, "What the validator noticed") == [
        ["outliers", "10 % to 20 %", "harmful and unnoticed", ""],
        ["typos", "10 %", "harmful and noticed", "<b>bad</b> city"],
    ]
    assert "2 harmful and unnoticed and 1 harmful and noticed" in text
    assert "<b>bad</b>" not in page
    assert rows_of(page, "The models compared")[0][-2:] == [
        "hardened holds 8 points longer [2, 11]",
        "hardened loses 0.020 less at 10 % [0.010, 0.030]",
    ]
    assert "8.5 × the test rows predicted; a grid of these levels takes 32.5 ×" in text
    assert str(cost) in text
    assert stressed().estimand in text


def wide(columns=400):
    """Everything a run column by column finds on a wide table."""
    names = [f"a column with a rather long name {i}" for i in range(columns)]
    levels = tuple(i / 24 for i in range(1, 13))
    noises = ("missing-values", "category-swap", "typos")
    some = [alone(noise, name, 0.1 * (i % 5), levels) for noise in noises for i, name in enumerate(names)]
    some += [whole("plain", "renamed-column", raises=f"KeyError: '{name}'", column=name) for name in names]
    bounds = tuple(Bound(name, "number", limit=0.1, fails_from=0.2) for name in names[:1])
    limits = [
        Limit(
            c.model, c.scoring, c.noise, c.step, tuple(c.step["columns"]), c.unit, 0.1, 0.2, "missing", bounds
        )
        for c in some
    ]
    checked = [Checked(c.noise, x, c.unit, "fails", accepted=x < 0.2) for c in some for x in c.levels]
    fragile = [fragility(name, 0.01, matters=i < 9, ranks=(1, 400)) for i, name in enumerate(names)]
    return stressed(
        curves=(*curves(), *some), limits=tuple(limits), checked=tuple(checked), fragile=tuple(fragile)
    )


def test_four_hundred_columns_stay_small_and_fast():
    result = wide()
    began = time.process_time()
    page = render(result)
    assert time.process_time() - began < 3
    assert len(page.encode()) < LIMIT
    reader, text = read(page)
    assert reader.tags.count("figure") == 4 + 4
    assert "Of 400 columns, 320 break the model alone" in text
    assert "Show 380 more columns" in text
    assert "more rows are left out" in text


def test_a_real_run_column_by_column_is_told_truly():
    draws = np.sin(np.arange(4000.0) ** 2).reshape(1000, 4)
    X = pd.DataFrame(draws, columns=["a", "b", "c", "d"])
    y = (X.a + 0.5 * X.b + 0.2 * X.c > 0).to_numpy()
    by_name = ColumnTransformer([("all", "passthrough", list(X.columns))])
    model = make_pipeline(by_name, LogisticRegression()).fit(X, y)
    noises = ["GaussianNoise", "Outliers", "ReorderedColumns", "RenamedColumn"]
    result = stress(model, X, y, noises=noises, by_column=True, progress=False)
    (same,) = result.select(noise="reordered-columns")
    assert same.robustness == pytest.approx(1.0)
    assert {d.noise.split("@")[0] for d in result.distributions} <= {"gaussian-noise", "outliers"}
    page = render(result)
    reader, text = read(page)
    assert reader.tags.count("figure") == 2 + len(result.distributions)
    assert rows_of(page, "roc_auc")[0][0] == "a"
    worst = next(f for f in result.fragile if f.matters)
    assert rows_of(page, "Fragile columns")[0][2] == worst.column == "a"
    assert [row[2] for row in rows_of(page, "Loud and silent")] == ["loud: raises", "within tolerance"]
    assert all(limit.words in text for limit in result.limits)
    assert result.estimand in text


def test_many_notes_are_cut_and_said():
    _, text = read(render(stressed(notes=tuple(f"note {i} " + "x" * 900 for i in range(20)))))
    assert "note 11 x" in text
    assert "note 12 x" not in text
    assert "8 more notes are in the JSON of the result." in text
    assert "x" * 601 not in text
