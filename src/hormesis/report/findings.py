"""The tables of what was found beside the curves: crashes, fragile columns, differences, limits, the validator."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from hormesis.limits import Checked, Limit
from hormesis.report.tables import Cell, Table, naming
from hormesis.report.words import cut, interval, series
from hormesis.results import Curve, Difference, Fragility, StressResult, spoken, title
from hormesis.results.tables import crash_rows, idle
from hormesis.validating import VERDICTS, Noticed

OUTCOMES = {
    "raises": Cell("loud: raises", "raised"),
    "silent": Cell("silent: loses more than tolerated", "fails"),
    "undecided": Cell("undecided", "undecided"),
    "within tolerance": Cell("within tolerance", "passes"),
}
NOTICED = {
    "harmful and unnoticed": "fails",
    "harmful and noticed": "passes",
    "harmless and accepted": "passes",
    "harmless and rejected": "alarm",
}
Told = tuple[Curve, str, str, str]  # curve, levels, outcome, words


def crashes(result: StressResult) -> Table:
    """Where a model raised, and what changes of whole columns did: loud, silent or within tolerance; silent loss first."""
    who = naming(result)

    def row(told: Told) -> dict[str, str | Cell]:
        curve, levels, outcome, words = told
        return who(curve) | {
            "at": levels,
            "outcome": OUTCOMES[outcome],
            "in words": cut(words, 160) if words != outcome else "",
        }

    found = {
        (c.model, c.noise, levels, words): (c, levels, outcome, words)
        for c, levels, outcome, words in _crashed(result)
    }
    order = ("silent", "raises", "undecided", "within tolerance")
    return Table.of(sorted(found.values(), key=lambda told: order.index(told[2])), row)


def _crashed(result: StressResult) -> Iterator[Told]:
    for curve in result.curves:
        rows = list(crash_rows(curve, result.max_drop))
        for (outcome, kind), group in groupby(rows, key=lambda r: (r["outcome"], r["kind"])):
            several = list(group)
            levels = [spoken(r["level"], curve.unit) for r in (several[0], several[-1])]
            where = levels[0] if len(several) == 1 else " to ".join(levels)
            whole = curve.break_point.whole and len(curve.levels) == 1
            words = str(several[0]["words"]) + (idle(curve) if kind is None else "")
            yield curve, "whole" if whole else where, str(outcome), words


def columns(result: StressResult) -> Table:
    """Say what noise in one column alone costs, those that surely matter first."""
    who = naming(result)

    def row(found: Fragility) -> dict[str, str | Cell]:
        return who(found) | _lost(found) | {"rank, 95 %": _rank(found)}

    return Table.of(_surest(f for f in result.fragile if f.pair_with is None), row)


def pairs(result: StressResult) -> Table:
    """Say what noise in two columns at once costs, and how much that is beyond the two alone."""
    who = naming(result)

    def row(found: Fragility) -> dict[str, str | Cell]:
        extra = found.extra
        said = "" if extra is None else interval(extra.value, extra.low, extra.high, signed=True)
        return who(found) | _lost(found) | {"beyond the two alone": said}

    return Table.of(_surest(f for f in result.fragile if f.pair_with is not None), row)


def _surest(found: Iterable[Fragility]) -> list[Fragility]:
    return sorted(found, key=lambda f: not f.matters)


def _lost(found: Fragility) -> dict[str, str | Cell]:
    names = [cut(name, 60) for name in (found.column, found.pair_with) if name is not None]
    known = Cell("matters", "fails") if found.matters else Cell("not shown to matter")
    return {
        "level": spoken(found.level, found.unit),
        "column": series(names),
        "loses": interval(found.drop, found.low, found.high, signed=True),
        "verdict": known if found.pair_with is None else _beyond(found),
    }


def _beyond(found: Fragility) -> Cell:
    if found.matters and found.extra is not None and found.extra.value < 0:
        return Cell("less than the two alone")
    return Cell("worse together", "fails") if found.matters else Cell("not shown")


def _rank(found: Fragility) -> str:
    if found.rank_low is None or found.rank_high is None:
        return ""
    one = found.rank_low == found.rank_high
    return str(found.rank_low) if one else f"{found.rank_low} to {found.rank_high}"


def differences(result: StressResult) -> Table:
    """Two models under the same noise: how much further one holds, and what it loses less at the highest level."""

    def row(found: Difference) -> dict[str, str | Cell]:
        return {
            "noise": cut(title(found.noise), 60),
            "scorer": found.scoring if len(result.scoring) > 1 else "",
            "models": f"{cut(found.one, 40)} and {cut(found.other, 40)}",
            "break points": cut(found.words),
            "drops": cut(found.words_at(len(found.levels) - 1)) if found.levels else "",
        }

    return Table.of(result.differences, row)


def limits(result: StressResult) -> Table:
    """Up to where data may go bad, the limits that can be checked first."""
    who = naming(result)

    def row(found: Limit) -> dict[str, str | Cell]:
        return who(found) | {"limit": cut(found.words)}

    return Table.of(sorted(result.limits, key=lambda limit: not limit.checked), row)


def validated(result: StressResult) -> tuple[str, Table]:
    """Say what the validator noticed: counted in a sentence, and in rows, the worst news first."""
    who = naming(result)

    def row(group: list[Checked]) -> dict[str, str | Cell]:
        first, levels = group[0], [spoken(c.level, c.unit) for c in (group[0], group[-1])]
        return who(first) | {
            "level": levels[0] if len(group) == 1 else " to ".join(levels),
            "verdict": Cell(first.verdict, NOTICED.get(first.verdict, "undecided")),
            "why rejected": cut(next((c.reason for c in group if c.reason), ""), 120),
        }

    counts = Noticed(result.checked).counts()
    said = series([f"{n:,} {verdict}" for verdict, n in counts.items() if n])
    key = {verdict: i for i, verdict in enumerate(VERDICTS)}
    several = [
        list(g) for _, g in groupby(result.checked, key=lambda c: (c.model, c.scoring, c.noise, c.verdict))
    ]
    return said, Table.of(sorted(several, key=lambda g: key[g[0].verdict]), row)
