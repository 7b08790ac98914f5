"""What the page template is given: the parts of a report, in reading order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hormesis.proof import HardenResult
from hormesis.report import alone, figures, findings, tables, words
from hormesis.results import Cost, Curve, Distribution, Estimate, StressResult, spoken, title

MOST_CURVES = 24
MOST_POINTS = 1600
MOST_DISTRIBUTIONS = 20
LONGEST_RECIPE = 20_000


@dataclass(frozen=True)
class Fact:
    """A key number: its name, its value and the interval or reading below it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """A figure with its heading, its content in words, and what went wrong."""

    key: str
    heading: str
    label: str
    sentences: tuple[str, ...]
    plot: Any
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """The figures of one scorer, and whether they share one scale."""

    scoring: str
    panels: tuple[Panel, ...]
    one_scale: bool


def context(result: StressResult | HardenResult) -> dict[str, Any]:
    """Return all parts of the page by name."""
    parts = _harden_parts(result) if isinstance(result, HardenResult) else _stress_parts(result)
    proof, whole = parts["proof"], result.proof if isinstance(result, HardenResult) else result
    blocks = _blocks(proof)
    columns = [_column(i, d) for i, d in enumerate(proof.distributions[:MOST_DISTRIBUTIONS])]
    panels = [panel for block in blocks for panel in block.panels] + columns
    script, places = figures.embed({panel.key: panel.plot for panel in panels})
    return (
        parts
        | _findings(whole, proof)
        | {
            "finished": result.finished and proof.finished,
            "blocks": blocks,
            "curves_left": len(_groups(proof)) - sum(len(block.panels) for block in blocks),
            "legend": figures.legend(proof.models),
            "columns": columns,
            "script": script,
            "places": places,
        }
    )


def _findings(result: StressResult, proof: StressResult) -> dict[str, Any]:
    """Return what is beside the curves; `proof` holds those of noise in all its columns only."""
    noticed, validated = findings.validated(result)
    return {
        "hollow": any(n < proof.provenance.rows for c in proof.curves for n in c.rows),
        "at_break": tables.at_break(proof),
        "crashes": findings.crashes(proof),
        "heats": alone.heats(result),
        "heat_key": alone.KEY,
        "fragile": findings.columns(result),
        "fragile_pairs": findings.pairs(result),
        "differences": findings.differences(proof),
        "limits": findings.limits(result),
        "noticed": noticed,
        "validated": validated,
        "everything": tables.everything(result),
    }


def _stress_parts(result: StressResult) -> dict[str, Any]:
    proof = alone.joint(result)
    return {
        "proof": proof,
        "verdict": words.headline(proof),
        "facts": _scores(proof),
        "breaks": tables.break_points(proof),
        "ladder": None,
        "repeat": _origin(result),
        "recipes": [_noises(proof)],
    }


def _harden_parts(result: HardenResult) -> dict[str, Any]:
    recipe = words.cut(result.recipe.to_yaml(), LONGEST_RECIPE)
    return {
        "proof": result.proof,
        "verdict": result.reason,
        "facts": _gains(result),
        "breaks": tables.before_and_after(result),
        "ladder": tables.ladder(result),
        "repeat": _settings(result) | _origin(result.proof),
        "recipes": [("Recipe of the training noise", recipe), _noises(result.proof)],
    }


def _gains(result: HardenResult) -> list[Fact]:
    curves = [
        next(result.proof.select(model, scoring=result.scoring), None) for model in ("plain", "hardened")
    ]
    known = [c for c in curves if c]
    if len(known) < 2:
        return [_clean(c, named=False) for c in known] + [
            Fact("Gain", words.NOTHING, "no candidate came to the proof")
        ]
    spans = [f"{words.number(c.clean_low)} to {words.number(c.clean_high)}" for c in known]
    score = f"{words.number(result.clean_before)} → {words.number(result.clean_after)}"
    return [
        Fact(f"Clean {result.scoring}, before → after", score, f"95 %: {' → '.join(spans)}"),
        _estimate("Clean cost", result.clean_cost, f"; tolerated: {words.setting(result.max_clean_drop)}"),
        _estimate("Gain under noises searched", result.gain, f"; mean {result.scoring}"),
        _estimate("Gain under noises held out", result.held_out_gain, f"; mean {result.scoring}"),
    ]


def _estimate(name: str, found: Estimate | None, note: str) -> Fact:
    if found is None:
        return Fact(name, words.NOTHING, "not measured")
    low, high = words.number(found.low, signed=True), words.number(found.high, signed=True)
    return Fact(name, words.number(found.value, signed=True), f"95 %: {low} to {high}{note}")


def _scores(result: StressResult) -> list[Fact]:
    firsts = {(c.model, c.scoring): c for c in reversed(result.curves)}
    facts = [_clean(curve, named=len(firsts) > 1) for curve in list(firsts.values())[::-1][:2]]
    points = [c.break_point for c in result.curves]
    held = sum(b.verdict == "holds" for b in points)
    facts.append(Fact("Curves that hold", f"{held} of {len(points)}", "to the highest level tested"))
    areas = [(c.robustness, title(c.noise)) for c in result.curves if c.robustness is not None]
    if areas:
        facts.append(
            Fact("Least robustness", words.number(min(areas)[0]), f"under {min(areas)[1]}; 1 is no loss")
        )
    if result.cost is not None:
        facts.append(_cost(result.cost))
    return facts


def _cost(found: Cost) -> Fact:
    grid = found.grid_rows and found.test_rows and found.grid_rows / found.test_rows
    more = f"; a grid of these levels takes {grid:.1f} ×" if grid else ""
    return Fact("Cost", f"{found.multiple:.1f} ×", f"the test rows predicted{more}")


def _clean(curve: Curve, *, named: bool) -> Fact:
    name = f"Clean {curve.scoring}" + f", {curve.model}" * named
    low, high = words.number(curve.clean_low), words.number(curve.clean_high)
    return Fact(name, words.number(curve.clean), f"95 %: {low} to {high}")


def _groups(result: StressResult) -> list[list[Curve]]:
    """Return the curves that share a figure: one noise and one scorer, all models; none for whole columns."""
    found: dict[tuple[str, str], list[Curve]] = {}
    for scoring in result.scoring:
        for curve in result.select(scoring=scoring):
            if curve.break_point.whole and len(curve.levels) == 1:
                continue  # one level is no curve: its verdict is a row
            found.setdefault((scoring, curve.noise), []).append(curve)
    return list(found.values())


def _shown(result: StressResult) -> list[list[Curve]]:
    """Return the figures that fit: the first ones, and of these the models that have a look of their own."""
    models, points = result.models[: len(figures.LOOKS)], 0
    out: list[list[Curve]] = []
    for group in _groups(result)[:MOST_CURVES]:
        curves = [c for c in group if c.model in models]
        points += sum(len(c.levels) + 1 for c in curves)
        if curves and (points <= MOST_POINTS or not out):
            out.append(curves)
    return out


def _blocks(result: StressResult) -> list[Block]:
    shown = _shown(result)
    blocks = []
    for scoring in result.scoring:
        groups = [g for g in shown if g[0].scoring == scoring]
        spans, one_scale = _spans(groups, result.max_drop)
        panels = [_curves(result, g, span) for g, span in zip(groups, spans, strict=True)]
        blocks.append(Block(scoring, tuple(panels), one_scale))
    return [block for block in blocks if block.panels]


def _spans(groups: Sequence[list[Curve]], max_drop: float) -> tuple[list[tuple[float, float]], bool]:
    """Return the range of scores of each figure: one for all, unless a figure would flatten the others."""
    own = [figures.extent(group, max_drop) for group in groups]
    heights = sorted(high - low for low, high in own)
    if not own or heights[-1] > 4 * heights[len(heights) // 2]:
        return own, False
    return [(min(low for low, _ in own), max(high for _, high in own))] * len(own), True


def _curves(result: StressResult, curves: list[Curve], span: tuple[float, float]) -> Panel:
    first, models = curves[0], words.series([c.model for c in curves])
    return Panel(
        key=f"curves {first.scoring} {first.noise}",
        heading=title(first.noise),
        label=f"{first.scoring} against the level of {title(first.noise)}, {models}",
        sentences=tuple(words.curve_sentence(c, result.provenance.rows) for c in curves),
        plot=figures.curves_figure(curves, result.models, result.max_drop, span, result.provenance.rows),
        errors=words.raised(curves),
    )


def _column(i: int, found: Distribution) -> Panel:
    about = f"{title(found.noise)} at {spoken(found.level, found.unit)}"
    name, labels = words.cut(found.column, 60), len(found.labels)
    some = f" Shown are {figures.MOST_LABELS} of {labels} values." if labels > figures.MOST_LABELS else ""
    return Panel(
        key=f"column {i}",
        heading=name,
        label=f"{'Bars' if found.labels else 'Histogram'} of {name} before and after {about}",
        sentences=(f"{about}: {words.distribution_sentence(found)}{some}",),
        plot=figures.distribution_figure(found),
    )


def _settings(result: HardenResult) -> dict[str, str]:
    return {
        "searched": words.cut(", ".join(map(title, result.searched))) or words.NOTHING,
        "held out": words.cut(", ".join(map(title, result.held_out))) or words.NOTHING,
        "noisy copies": str(result.copies),
        "input guard": "yes" if result.guard else "no",
        "tolerated clean cost": words.setting(result.max_clean_drop),
    }


def _origin(result: StressResult) -> dict[str, str]:
    found = result.provenance
    return {
        "tolerated drop": f"{words.setting(result.max_drop)} of {', '.join(result.scoring)}",
        "rows": f"{found.rows:,}",
        "sampled": found.sampled,
        "data fingerprint": found.fingerprint,
        "seed": str(found.seed),
        "repeats of the noise": "as many as each noise needs"
        if found.repeats is None
        else str(found.repeats),
        "randomness": found.scheme,
        "versions": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
        "time taken": f"{found.seconds:.1f} s",
        **({"cost": str(result.cost)} if result.cost else {}),
        "schema version": str(result.schema_version),
    }


def _noises(result: StressResult) -> tuple[str, str]:
    import yaml

    steps = list({curve.noise: curve.step for curve in result.curves}.values())
    text = yaml.safe_dump(steps, sort_keys=False, allow_unicode=True)
    return "Noises of the test", words.cut(text, LONGEST_RECIPE)
