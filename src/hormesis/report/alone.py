"""Break points of each column alone by kind of noise: one picture of coloured cells that is also a table."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hormesis.report.words import cut, series
from hormesis.results import BreakPoint, Curve, StressResult, spoken, title
from hormesis.results.tables import column_of, idle

MOST_TILES = 3200
MOST_MAPS = 4
WORST = 5
SHADES = ((0.1, "s4"), (0.25, "s3"), (0.5, "s2"), (1.0, "s1"))
BROKEN = ("s4", "s3", "s2", "s1")
WEIGHT = {"s4": 8.0, "s3": 4.0, "s2": 2.0, "s1": 1.0, "open": 0.1}
KEY = (
    ("s4", "fails within the first tenth of the levels tested, or once the whole column changes"),
    ("s3", "within the first quarter"),
    ("s2", "within the first half"),
    ("s1", "further up"),
    ("open", "undecided"),
    ("fine", "holds"),
    ("none", "not measured, or nothing changed"),
)


@dataclass(frozen=True)
class Tile:
    """One column under one noise: what is written, what it means in full, and its shade."""

    text: str
    said: str
    shade: str
    whole: bool = False


MISSING = Tile("", "", "none")
Line = tuple[str, Sequence[Tile]]


@dataclass(frozen=True)
class Heat:
    """All columns of one model and scorer, the one that breaks first on top."""

    heading: str
    label: str
    sentences: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Tile, ...]], ...]
    left: int


def joint(result: StressResult) -> StressResult:
    """Return the result with the curves of noise in all its columns only."""
    return replace(result, curves=tuple(c for c in result.curves if column_of(c) is None))


def heats(result: StressResult) -> list[Heat]:
    """Return one picture per scorer and model, as many as fit."""
    found: dict[tuple[str, str], dict[str, dict[str, Curve]]] = {}
    for curve in result.curves:
        about = column_of(curve)
        if about:
            noise, column = about
            found.setdefault((curve.scoring, curve.model), {}).setdefault(column, {})[noise] = curve
    most = MOST_TILES // max(1, min(MOST_MAPS, len(found)))
    several = len(result.models) > 1
    return [
        _heat(f"{scoring}, {cut(model, 60)}" if several else scoring, columns, most)
        for (scoring, model), columns in list(found.items())[:MOST_MAPS]
    ]


def _heat(heading: str, columns: dict[str, dict[str, Curve]], most: int) -> Heat:
    head = list(dict.fromkeys(noise for curves in columns.values() for noise in curves))
    lines = [
        (name, [_tile(curves[noise]) if noise in curves else MISSING for noise in head])
        for name, curves in columns.items()
    ]
    lines.sort(key=lambda line: -sum(WEIGHT.get(t.shade, 0.0) for t in line[1]))
    shown = lines[: max(1, most // len(head))]
    return Heat(
        heading=heading,
        label=f"Break points of {len(lines)} columns alone, {heading}",
        sentences=tuple(_sentences(head, lines)),
        head=tuple(cut(title(n), 40) for n in head),
        rows=tuple((cut(name, 40) or "(no name)", tuple(tiles)) for name, tiles in shown),
        left=len(lines) - len(shown),
    )


def _tile(curve: Curve) -> Tile:
    point = curve.break_point
    said = cut(point.words, 120)
    if idle(curve):
        return Tile("no change", "nothing changed in these rows", "none")
    if point.verdict == "not measurable":
        return Tile("–", said, "none")
    if point.verdict == "holds":
        return Tile("within tolerance" if point.whole else "holds", said, "fine", point.whole)
    if point.fails_from is None:
        return Tile("undecided", said, "open", point.whole)
    return Tile(_failing(point), said, _shade(point, point.fails_from), point.whole)


def _failing(point: BreakPoint) -> str:
    if point.whole:
        return "raises" if point.raises else "silent loss"
    level = spoken(point.fails_from or 0.0, point.unit)
    return f"{level}, raises" if point.raises else level


def _shade(point: BreakPoint, level: float) -> str:
    part = level / point.tested_to if not point.whole and point.tested_to else 0.0
    return next(shade for most, shade in SHADES if part <= most or shade == SHADES[-1][1])


def _sentences(head: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    """Say the picture: which columns break the model alone, how many hold; apart from that, whole columns changed."""
    whole = {i for i in range(len(head)) if any(tiles[i].whole for _, tiles in lines)}
    rest = [(name, [t for i, t in enumerate(tiles) if i not in whole]) for name, tiles in lines]
    if len(whole) < len(head):
        yield _counted(rest)
    for i in sorted(whole):
        texts = Counter(tiles[i].text for _, tiles in lines if tiles[i].text)
        said = [f"{text} for {n:,}" for text, n in texts.most_common()]
        yield f"{cut(title(head[i]), 40)}: {series(said)} of {_several(texts.total())}."


def _counted(lines: Sequence[Line]) -> str:
    broken = [cut(name, 40) for name, tiles in lines if any(t.shade in BROKEN for t in tiles)]
    fine = sum(any(tiles) and all(t.shade in ("fine", "none") for t in tiles) for _, tiles in lines)
    more = [f"{len(broken) - WORST:,} more"] if len(broken) > WORST else []
    some = "breaks" if len(broken) == 1 else "break"
    first = (
        f"{len(broken):,} {some} the model alone: {series(broken[:WORST] + more)}"
        if broken
        else ("none was shown to break the model alone")
    )
    return f"Of {_several(len(lines))}, {first}; {fine:,} pass at every level under every noise that changes them."


def _several(columns: int) -> str:
    return f"{columns:,} column{'s' * (columns > 1)}"
