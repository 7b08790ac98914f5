"""The HTML report: true, whole, escaped, small, and silent towards the network."""

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser
from math import sqrt

import pytest

from hormesis.errors import DataError
from hormesis.noise import GaussianNoise, MissingValues
from hormesis.proof import HardenResult, Trial
from hormesis.recipe import Recipe
from hormesis.report import render, write
from hormesis.results import BreakPoint, Curve, Distribution, Estimate, Provenance, StressResult

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
    assert "45 more figures are left out" in text
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
