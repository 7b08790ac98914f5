"""Numbers, levels and verdicts in words: the sentences of a report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import isfinite

from hormesis.results import BreakPoint, Curve, Distribution, StressResult, spoken, title
from hormesis.results.tables import idle
from hormesis.results.words import fewer

NOTHING = "–"
LONGEST = 300


def cut(text: str, most: int = LONGEST) -> str:
    """Cut a text after `most` characters.

    >>> cut("a long story", most=7)
    'a long…'
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def number(value: float | None, *, signed: bool = False) -> str:
    """Say a number with four decimals, fewer when it is large, and a true minus sign.

    >>> number(0.87131), number(-51234.56), number(None)
    ('0.8713', '−51,235', '–')
    """
    if value is None or not isfinite(value):
        return NOTHING
    decimals = max(0, 4 - len(str(int(abs(value)))) + (abs(value) < 10))
    return f"{value:{'+' if signed else ''},.{decimals}f}".replace("-", "−")


def interval(value: float | None, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """Say a number with its interval.

    >>> interval(0.5, 0.25, 0.75)
    '0.5000 [0.2500, 0.7500]'
    """
    if value is None or low is None or high is None:
        return number(value, signed=signed)
    return f"{number(value, signed=signed)} [{number(low, signed=signed)}, {number(high, signed=signed)}]"


def setting(value: float) -> str:
    """Say a number that somebody chose, as it was typed.

    >>> setting(0.05)
    '0.05'
    """
    return f"{value:g}".replace("-", "−")


def share(value: float | None) -> str:
    """Say a share of a whole in percent.

    >>> share(0.125), share(None)
    ('12.5 %', '–')
    """
    return NOTHING if value is None else f"{100 * value:.3g} %"


def series(parts: Sequence[str]) -> str:
    """Join the parts of a sentence.

    >>> series(["a", "b", "c"])
    'a, b and c'
    """
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


def verdict(point: BreakPoint) -> str:
    """Say a break point; of an error its kind only, the message being told once elsewhere."""
    raises = point.raises or ""
    text = cut(point.words.replace(raises, raises.split(":")[0]) if raises else point.words)
    early = [spoken(level, point.unit) for level in point.failed_below[:3]]
    return f"{text}; also fails at {series(early)}" if early else text


def level_verdict(curve: Curve, i: int, max_drop: float) -> str:
    """Say whether one level passes, fails or stays undecided, by the interval of its drop."""
    low, high = curve.drop_low[i], curve.drop_high[i]
    if curve.errors[i] is not None:
        return "raised"
    if low is None or high is None:
        return "not measured"
    return curve.words_at(max_drop)[i]


def _tally(points: Sequence[BreakPoint]) -> str:
    count = Counter[str]("within" if b.whole and b.verdict == "holds" else b.verdict for b in points)
    forms = {
        "holds": ("holds to the highest level tested", "hold to the highest level tested"),
        "within": ("stays within the tolerance", "stay within the tolerance"),
        "undecided": ("is undecided", "are undecided"),
        "not measurable": ("is not measurable", "are not measurable"),
    }
    return series([f"{count[word]} {form[count[word] > 1]}" for word, form in forms.items() if count[word]])


def _breaks(points: Sequence[BreakPoint], most: int = 3) -> str:
    broken = [f"{title(b.noise)} ({verdict(b)})" for b in points if b.verdict == "breaks"]
    more = [f"{len(broken) - most} more"] if len(broken) > most else []
    return series(broken[:most] + more)


def headline(result: StressResult, most: int = 4) -> str:
    """Say in one sentence under how many noises each model breaks, and under which."""
    groups: dict[str, dict[str, list[BreakPoint]]] = {}
    for curve in result.curves:
        groups.setdefault(curve.scoring, {}).setdefault(curve.model, []).append(curve.break_point)
    if not groups:
        return "Nothing was measured."
    models = [points for by_model in groups.values() for points in by_model.values()]
    if len(models) == 1:
        return _one(models[0])
    parts = [f"{_models(found, most)} in {scoring}" for scoring, found in list(groups.items())[:most]]
    more = [f"{len(groups) - most} more scorers are below"] if len(groups) > most else []
    return "; ".join(parts + more) + "."


def _models(found: dict[str, list[BreakPoint]], most: int) -> str:
    parts: list[str] = []
    for model, points in list(found.items())[:most]:
        broken = sum(b.verdict == "breaks" for b in points)
        noises = "" if parts else f" noise{'s' * (len(points) > 1)}"
        parts.append(f"{cut(model, 60)} breaks under {broken} of {len(points)}{noises}")
    return series(parts + ([f"{len(found) - most} more models"] if len(found) > most else []))


def _one(points: Sequence[BreakPoint]) -> str:
    count = Counter(b.verdict for b in points)
    noises = f"{len(points)} noise" + "s" * (len(points) > 1)
    if count["holds"] == len(points):
        return f"The model holds to the highest level tested under {'all ' * (len(points) > 1)}{noises}."
    if not count["breaks"]:
        return f"The model was not shown to break under any of {noises}: {_tally(points)}."
    rest = _tally([b for b in points if b.verdict != "breaks"])
    text = f"The model breaks under {count['breaks']} of {noises}: {_breaks(points)}"
    return f"{text}; of the others, {rest}." if rest else text + "."


def curve_sentence(curve: Curve, every: int) -> str:
    """Say one curve without a picture: its verdict, its clean score, its last drop, and on how many rows it is known."""
    measured = [(x, d) for x, d in zip(curve.levels, curve.drop, strict=True) if d is not None]
    text = f"{curve.model}: {verdict(curve.break_point)}{idle(curve)}; score {number(curve.clean)} clean"
    if not measured:
        return text + "."
    level, drop = measured[-1]
    part = fewer(curve.rows, every)
    return f"{text}, loses {number(drop)} at {spoken(level, curve.unit)}{f'; {part}' if part else ''}."


def raised(curves: Iterable[Curve], most: int = 4) -> tuple[str, ...]:
    """Say at which levels a model raised, and what; neighbours with errors of one kind make one sentence."""
    out = []
    for curve in curves:
        pairs = zip(curve.errors, curve.levels, strict=True)
        for kind, group in groupby(pairs, key=lambda pair: pair[0] and pair[0][:30]):
            if kind:
                out.append(f"{curve.model} raised at {_told(list(group), curve.unit)}")
    more = (
        [f"{len(out) - most} more errors are in the table of everything measured."] if len(out) > most else []
    )
    return (*out[:most], *more)


def _told(group: list[tuple[str | None, float]], unit: str) -> str:
    (error, first), (_, last) = group[0], group[-1]
    where = spoken(first, unit) if len(group) == 1 else f"{spoken(first, unit)} to {spoken(last, unit)}"
    one = len({error for error, _ in group}) == 1
    return f"{where}{'' if one else ', first'}: {cut(error or '')}"


def distribution_sentence(found: Distribution) -> str:
    """Say one pair of histograms without a picture: how much they differ, and what is missing."""
    before, after = sum(found.before) + found.missing_before, sum(found.after) + found.missing_after
    if not before or not after:
        return "No rows."
    gone = found.missing_before / before, found.missing_after / after
    pairs = zip(found.before, found.after, strict=True)
    moved = sum(abs(b / before - a / after) for b, a in pairs) + abs(gone[0] - gone[1])
    missing = f" Missing: {share(gone[0])} before, {share(gone[1])} after." if any(gone) else ""
    return f"the two differ by {share(moved / 2)} of the rows.{missing}"
